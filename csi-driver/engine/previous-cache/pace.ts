// Measures what a read costs from the backing and from the cache of the owner before, and how often that has what is asked
// for. From it follow: whether it is asked at all, how long it is waited for, and when it is not worth having any more.
// Numbers in, answers out: no clock, no I/O.
import type { Ms } from '../../../base/units.ts'

/** Least weight of one measurement; the first ones count alike, since the very first is seldom a good one. */
const LATENCY_WEIGHT = 1 / 16
const SHARE_WEIGHT = 1 / 128
/** Begun to be asked only where it saves this share of the backing's time; stopped where it saves nothing. */
const GAIN_TO_BEGIN = 0.2
/** Waited for as long as the backing usually takes, within these. */
const LIMIT_MIN_MS: Ms = 1
const LIMIT_MAX_MS: Ms = 100
/** So many questions are asked before it is believed that they are in vain. */
const WARM_ASKS_MIN = 512
const WARM_HIT_SHARE = 0.05
/** One read in so many is measured at both. While it is not used, that is the only way to learn that it has become faster. */
const PROBE_EVERY = { faster: 32, slower: 8 }
/** Questions compared with the backing before an answer is used. */
const TRIAL_ANSWERS = 8

export class Pace {
  /** Averages; null before anything was measured. */
  previousMs: Ms | null = null
  backingMs: Ms | null = null
  /** Of the questions, those that were answered with everything that they asked for. */
  hitShare = 1
  asks = 0
  private backings = 0
  private compared = 0
  private using = false

  notePrevious(tookMs: Ms, hit: boolean): void {
    this.asks += 1
    this.previousMs = average(this.previousMs, tookMs, this.asks)
    this.hitShare += ((hit ? 1 : 0) - this.hitShare) * SHARE_WEIGHT
    this.choose()
  }

  noteBacking(tookMs: Ms): void {
    this.backings += 1
    this.backingMs = average(this.backingMs, tookMs, this.backings)
    this.choose()
  }

  /** An answer equalled what the backing has. */
  noteEqual(): void {
    this.compared += 1
  }

  get isTried(): boolean {
    return this.compared >= TRIAL_ANSWERS
  }

  /** A question saves time on the average, the vain ones counted. */
  get isFaster(): boolean {
    return this.using
  }

  get probeEvery(): number {
    return this.using ? PROBE_EVERY.faster : PROBE_EVERY.slower
  }

  get limitMs(): Ms {
    return Math.min(LIMIT_MAX_MS, Math.max(LIMIT_MIN_MS, this.backingMs ?? LIMIT_MAX_MS))
  }

  /** What is still asked for is hardly ever there. */
  get isWarm(): boolean {
    return this.asks >= WARM_ASKS_MIN && this.hitShare < WARM_HIT_SHARE
  }

  private choose(): void {
    const { previousMs, backingMs, hitShare } = this
    if (previousMs === null || backingMs === null) return
    const gainMs = hitShare * backingMs - previousMs
    this.using = this.using ? gainMs > 0 : gainMs > GAIN_TO_BEGIN * backingMs
  }
}

function average(before: Ms | null, tookMs: Ms, count: number): Ms {
  return before === null ? tookMs : before + (tookMs - before) * Math.max(LATENCY_WEIGHT, 1 / count)
}
