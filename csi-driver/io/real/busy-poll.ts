// How long to poll for the next request before sleeping. The sleep and the wake-up of a thread cost more than the work
// of one request, so at low queue depth polling halves the latency; but it burns a CPU that others may want. So a poll
// is made only while it pays (AttemptScore), and `auto` sets it two limits more: so much fruitless polling in a second,
// and none while the host has no CPU to spare. Pure, but for the look at the host that it is given.
import type { Ms } from '../../../base/units.ts'
import { AttemptScore } from './attempt-score.ts'

/** Polls in a row that may find nothing before polling stops paying, and what makes up for them. */
const SCORE = { max: 64, perHit: 4, probeInterval: 32 }
/** `auto`: the next request of a caller that waits for its answer comes within this time, wake-ups included. */
export const AUTO_WINDOW_MS: Ms = 0.05
/** `auto`: fruitless polling in one period, a tenth of a CPU. */
export const AUTO_BUDGET_MS: Ms = 100
export const AUTO_PERIOD_MS: Ms = 1000
/** `auto`: CPUs that must be idle (or polled away by us) on the average of the last period. */
export const AUTO_SPARE_CPUS = 0.5

/** CPUs of the host that had nothing to do since the last call, on the average; NaN where nobody knows. */
export type SpareCpus = () => number

export class BusyPoll {
  private readonly windowMs: Ms
  /** Null: polls for as long as it pays, whatever it costs. */
  private readonly spareCpus: SpareCpus | null
  private readonly score = new AttemptScore(SCORE)
  private periodEndMs: Ms = Number.NEGATIVE_INFINITY
  private fruitlessMs: Ms = 0
  private mayPoll = true

  private constructor(windowMs: Ms, spareCpus: SpareCpus | null) {
    this.windowMs = windowMs
    this.spareCpus = spareCpus
  }

  /** Polls for `windowMs` where it pays; 0: never. */
  static fixed(windowMs: Ms): BusyPoll {
    return new BusyPoll(windowMs, null)
  }

  static auto(spareCpus: SpareCpus): BusyPoll {
    return new BusyPoll(AUTO_WINDOW_MS, spareCpus)
  }

  get isOff(): boolean {
    return this.windowMs === 0
  }

  /** When a poll that begins now should give up; 0: none should begin. A poll that begins is followed by `ended`. */
  untilMs(nowMs: Ms): Ms {
    if (this.windowMs === 0 || !this.isAllowed(nowMs) || !this.score.worthTrying()) return 0
    return nowMs + this.windowMs
  }

  ended(hit: boolean): void {
    this.score.ended(hit)
    if (!hit) this.fruitlessMs += this.windowMs
  }

  private isAllowed(nowMs: Ms): boolean {
    if (this.spareCpus === null) return true
    if (nowMs >= this.periodEndMs) this.beginPeriod(nowMs, this.spareCpus)
    return this.mayPoll && this.fruitlessMs < AUTO_BUDGET_MS
  }

  /** What we polled away ourselves counts as spare, or polling would forbid itself. */
  private beginPeriod(nowMs: Ms, spareCpus: SpareCpus): void {
    const isFirst = this.periodEndMs === Number.NEGATIVE_INFINITY
    const lastedMs = isFirst ? AUTO_PERIOD_MS : nowMs - this.periodEndMs + AUTO_PERIOD_MS
    const spare = spareCpus() + this.fruitlessMs / lastedMs
    this.mayPoll = !isFirst && spare >= AUTO_SPARE_CPUS
    this.periodEndMs = nowMs + AUTO_PERIOD_MS
    this.fruitlessMs = 0
  }
}
