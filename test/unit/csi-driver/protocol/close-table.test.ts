// Proves that every state of a closing volume has exactly one next step, that Detached is written only when the device is
// released, the register settled and the backing I/O ended, and that repeating the steps ends.
import { combinationsOf, decide, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import { CLOSE_ROWS, type CloseFacts, closeStep } from '../../../../csi-driver/protocol/close-table.ts'
import { PHASES } from '../../../../csi-driver/register/record.ts'
import { idleOrDouble, undecided } from './tables.ts'

const DOMAIN: FactDomain<CloseFacts> = {
  request: ['first', 'second'],
  phase: PHASES,
  change: ['none', 'open'],
  device: ['in-use', 'released'],
  backingIo: ['in-flight', 'ended'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect(undecided(CLOSE_ROWS, DOMAIN)).toEqual([])
  expect(idleOrDouble(CLOSE_ROWS, DOMAIN)).toEqual([])
})

test('the close is registered only from Closing, settled, without backing I/O; a second request only ends', () => {
  const situations = (wanted: (step: string, facts: CloseFacts) => boolean): CloseFacts[] =>
    [...combinationsOf(DOMAIN)].filter((facts) => wanted(decide(CLOSE_ROWS, facts).then, facts))
  const settled = { request: 'first', change: 'none' } as const
  expect(situations((step) => step === 'set-detached')).toEqual([
    { ...settled, phase: 'Closing', backingIo: 'ended', device: 'in-use' },
    { ...settled, phase: 'Closing', backingIo: 'ended', device: 'released' },
  ])
  expect(situations((step) => step === 'set-closing')).toEqual([
    { ...settled, phase: 'WriteThrough', device: 'released', backingIo: 'in-flight' },
    { ...settled, phase: 'WriteThrough', device: 'released', backingIo: 'ended' },
  ])
  expect(situations((step, { request }) => request === 'second' && step !== 'leave' && step !== 'finished')).toEqual([])
})

test('a close goes through all phases to its end', () => {
  const steps: string[] = []
  let facts: CloseFacts = {
    request: 'first',
    phase: 'WriteBack',
    change: 'none',
    device: 'in-use',
    backingIo: 'in-flight',
  }
  const effects: Record<string, Partial<CloseFacts>> = {
    'start-drain': { phase: 'DrainWT' },
    'wait-for-drain': { phase: 'WriteThrough' },
    'wait-for-release': { device: 'released' },
    'set-closing': { phase: 'Closing' },
    'wait-for-backing': { backingIo: 'ended' },
    'set-detached': { phase: 'Detached' },
  }
  while (steps.at(-1) !== 'finished' && steps.length < 10) {
    const { step } = closeStep(facts)
    steps.push(step)
    facts = { ...facts, ...effects[step] }
  }
  expect(steps).toEqual([...Object.keys(effects), 'finished'])
})
