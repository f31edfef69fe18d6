// When a run kills, what it looks at, and how long each thing has to settle before it is looked at. Pure.
import type { Prng } from '../../base/prng.ts'

const MINUTE_MS = 60_000
/** Until then caches fill, pools are made, code is compiled. */
const SETTLE_MS = MINUTE_MS
const KILL_EVERY_MS_MAX = MINUTE_MS
/** Of the run; the last engine lives as long as there is time. */
const KILLING_SHARE = 0.55
const JITTER = 0.2
/** Which part of the distance between kills engines are compared in; all live as long as that. */
const COMPARED_FROM = 0.5
const COMPARED_TO = 1 - JITTER

export interface Schedule {
  readonly totalMs: number
  /** What is seen before is not judged; an engine's age from which it is, where it lives on. */
  readonly settleMs: number
  /** Since the beginning. */
  readonly killsAtMs: readonly number[]
  /** Ages at which the engines of one run are compared with one another. */
  readonly comparedFromMs: number
  readonly comparedToMs: number
}

export function scheduleOf(minutes: number, prng: Prng): Schedule {
  const totalMs = minutes * MINUTE_MS
  const settleMs = Math.min(SETTLE_MS, totalMs / 5)
  const everyMs = Math.min(KILL_EVERY_MS_MAX, totalMs / 12)
  const killsAtMs: number[] = []
  for (let atMs = settleMs; atMs < KILLING_SHARE * totalMs; atMs += everyMs * (1 + JITTER * (2 * prng.float() - 1))) {
    killsAtMs.push(atMs)
  }
  const [comparedFromMs, comparedToMs] = [COMPARED_FROM * everyMs, COMPARED_TO * everyMs]
  return { totalMs, settleMs, killsAtMs, comparedFromMs, comparedToMs }
}
