// Proves that an open takes the steps S0 to S6 in order for each kind of open, looks again when somebody else was faster,
// and stops otherwise; together with the transitions each path ends in a record that serves. All combinations are walked.
import type { FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  nextOpenStep,
  OPEN_STEP_ROWS,
  OPEN_STEPS,
  type OpenStepFacts,
} from '../../../../csi-driver/protocol/open-steps.ts'
import { claim, createVolume, fenced, ownLog } from '../../../../csi-driver/protocol/register-transitions.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { validateRecord } from '../../../../csi-driver/register/record-validation.ts'
import { aRecord, logUuidOf, MEMBER, NODE } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const DOMAIN: FactDomain<OpenStepFacts> = {
  step: OPEN_STEPS,
  outcome: ['done', 'lost', 'failed'],
  kind: ['create-volume', 'open-clean', 'open-gather', 'open-discard'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect(undecided(OPEN_STEP_ROWS, DOMAIN)).toEqual([])
  expect(idleOrDouble(OPEN_STEP_ROWS, DOMAIN)).toEqual([])
})

/** Carries out the steps on a record as the engine does, and says which were taken. */
function open(
  kind: OpenStepFacts['kind'],
  before: RegisterRecord | null,
): { steps: string[]; record: RegisterRecord | null } {
  const steps: string[] = []
  let record = before
  let step: string = 'read'
  while (step !== 'serve' && step !== 'stop' && steps.length < 20) {
    steps.push(step)
    if (step === 'create') record = createVolume({ ...aRecord(), node: NODE })
    if (record && step === 'claim') record = claim(record, { node: NODE })
    while (record && step === 'gather' && record.unfenced[0]) record = fenced(record, record.unfenced[0], 'lock')
    if (record && step === 'own-log') {
      const log = { logUuid: logUuidOf(record.epoch), members: [MEMBER], phase: 'WriteBack', lastSeq: 1000 } as const
      record = ownLog(record, { ...log, lossAccepted: kind === 'open-discard' })
    }
    const facts = { step, outcome: 'done', kind } as OpenStepFacts
    step = nextOpenStep(facts).next
  }
  return { steps: [...steps, step], record }
}

const CLOSED = aRecord({ phase: 'Detached', dirty: false })

test.each([
  ['create-volume', null, 'read create new-log own-log serve'],
  ['open-clean', CLOSED, 'read claim gather new-log own-log serve'],
  ['open-clean', aRecord({ phase: 'WriteThrough', dirty: false }), 'read claim gather new-log own-log serve'],
  ['open-gather', aRecord(), 'read claim gather new-log own-log serve'],
  ['open-discard', aRecord({ unfenced: [{ node: NODE, epoch: 1 }] }), 'read claim gather new-log own-log serve'],
] as const)('%s', (kind, before, path) => {
  const { steps, record } = open(kind, before)
  expect(steps.join(' ')).toBe(path)
  expect(validateRecord(record)).toEqual({ record })
  expect(record).toMatchObject({ phase: 'WriteBack', dirty: true, unfenced: [], owner: NODE })
})

test('whoever loses a race looks again or stops', () => {
  const facts = { outcome: 'lost', kind: 'open-gather' } as const
  expect(nextOpenStep({ ...facts, step: 'claim' }).next).toBe('read')
  expect(nextOpenStep({ ...facts, step: 'own-log' }).next).toBe('stop')
  expect(nextOpenStep({ ...facts, step: 'gather', outcome: 'failed' }).next).toBe('stop')
})
