// Proves that every combination of preconditions and every end of a step has exactly one row; that a hand-over begins only
// with everything settled, answered and ended; and, over all ways in which the steps can end, that the old owner never
// serves after a hand-over that may have been applied, and that the change is sent only with leases released and the
// backing closed.
import { combinationsOf, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  HAND_OVER_ROWS,
  HAND_OVER_STEP_ROWS,
  HAND_OVER_STEPS,
  type HandOverFacts,
  type HandOverStep,
  type HandOverStepFacts,
  handOverDecision,
  handOverText,
  type NextHandOverStep,
  nextHandOverStep,
} from '../../../../csi-driver/protocol/hand-over-table.ts'
import { PHASES } from '../../../../csi-driver/register/record.ts'
import { idleOrDouble, undecided } from './tables.ts'

const FACTS: FactDomain<HandOverFacts> = {
  phase: PHASES,
  change: ['none', 'open'],
  newOwner: ['equal', 'behind', 'not-listed', 'unreachable'],
  newNodeIo: ['none', 'maybe'],
  joined: ['none', 'some'],
  drain: ['over', 'going-on'],
  writes: ['answered', 'unanswered'],
  backingIo: ['ended', 'in-flight', 'hangs'],
}
const OUTCOMES = ['done', 'failed', 'unknown', 'lost'] as const
const STEPS: FactDomain<HandOverStepFacts> = {
  step: HAND_OVER_STEPS,
  outcome: OUTCOMES,
  backing: ['open', 'closed'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect([undecided(HAND_OVER_ROWS, FACTS), idleOrDouble(HAND_OVER_ROWS, FACTS)]).toEqual([[], []])
  expect([undecided(HAND_OVER_STEP_ROWS, STEPS), idleOrDouble(HAND_OVER_STEP_ROWS, STEPS)]).toEqual([[], []])
})

test('it begins only with everything settled, answered, ended and equal', () => {
  const ready = [...combinationsOf(FACTS)].filter((facts) => handOverDecision(facts).then === 'hand-over')
  const calm = {
    change: 'none',
    newOwner: 'equal',
    newNodeIo: 'none',
    joined: 'none',
    drain: 'over',
    writes: 'answered',
  }
  expect(ready).toEqual(
    (['WriteBack', 'DrainWT', 'WriteThrough'] as const).map((phase) => ({ phase, ...calm, backingIo: 'ended' })),
  )
})

test('a backing that hangs is never handed over, and no wait is for something that cannot come', () => {
  const hanging: FactDomain<HandOverFacts> = { ...FACTS, phase: ['WriteBack'], change: ['none'], backingIo: ['hangs'] }
  for (const facts of combinationsOf(hanging)) expect(handOverDecision(facts).then).toMatch(/^refuse-/u)
})

interface Trace {
  readonly step: HandOverStep
  readonly backing: 'open' | 'closed'
  readonly done: readonly HandOverStep[]
  /** Was the change of the owner sent, and did it end as not applied? */
  readonly sent: 'no' | 'maybe' | 'not-applied'
  readonly depth: number
}

/** All ends of all ways from a step on. */
function* ways(at: Trace): Generator<{ readonly end: NextHandOverStep; readonly at: Trace }> {
  for (const outcome of OUTCOMES) {
    const backing =
      outcome === 'done' && at.step === 'close-backing'
        ? 'closed'
        : outcome === 'done' && at.step === 'open-backing'
          ? 'open'
          : at.backing
    const changes = at.step === 'hand-over' || at.step === 'settle'
    const sent = changes ? (outcome === 'failed' ? 'not-applied' : 'maybe') : at.sent
    const { next } = nextHandOverStep({ step: at.step, outcome, backing })
    const done = outcome === 'done' ? [...at.done, at.step] : at.done
    const after: Trace = { step: at.step, backing, done, sent, depth: at.depth + 1 }
    if (next === 'serve-again' || next === 'done' || next === 'fenced') yield { end: next, at: after }
    else if (after.depth < 12) yield* ways({ ...after, step: next })
  }
}

test('over all ways the old owner serves again only if the change was not applied or not sent', () => {
  const ends = [...ways({ step: 'drain', backing: 'open', done: [], sent: 'no', depth: 0 })]
  expect(new Set(ends.map(({ end }) => end))).toEqual(new Set(['serve-again', 'done', 'fenced']))
  for (const { end, at } of ends) {
    if (end === 'serve-again') expect([at.sent === 'maybe', at.backing]).toEqual([false, 'open'])
    if (at.sent !== 'no')
      expect(at.done).toEqual(expect.arrayContaining(['stop-serving', 'release-leases', 'close-backing']))
    if (end === 'done') expect(at.sent).toBe('maybe')
  }
})

test('the user reads what is in the way and what to do', () => {
  const answers = new Set([...combinationsOf(FACTS)].map((facts) => handOverDecision(facts).then))
  for (const answer of answers) {
    if (answer === 'hand-over') continue
    const { message, remedy } = handOverText(answer, { volume: 'tank', to: 'node-2' })
    expect(message).toContain('volume=tank to=node-2')
    expect(remedy.length).toBeGreaterThan(10)
  }
  expect(handOverText('refuse-unreachable', { volume: 'tank', to: 'node-2' }).remedy).toBe(
    'Start "forebay peer" on node-2.',
  )
})
