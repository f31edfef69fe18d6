// Whether something that may or may not bear fruit is worth trying just now: a second look at a queue, a poll before a
// sleep. Fruit raises the score, a fruitless attempt lowers it; at zero it is tried only now and then, to notice that
// times have changed. Pure.
import { assert } from '../../../base/assert.ts'

export interface AttemptScoreOptions {
  /** Fruitless attempts in a row after which it is not worth trying any more. */
  readonly max: number
  /** What one that bears fruit adds. */
  readonly perHit: number
  /** While it does not pay, one chance in so many is taken all the same. */
  readonly probeInterval: number
}

export class AttemptScore {
  private readonly options: AttemptScoreOptions
  private score: number
  private skipped = 0

  /** Begins as worth trying. */
  constructor(options: AttemptScoreOptions) {
    assert(options.max > 0 && options.perHit > 0 && options.probeInterval > 0, 'limits of an attempt score')
    this.options = options
    this.score = options.max
  }

  /** Whether to try now. Each true is followed by one `ended`. */
  worthTrying(): boolean {
    if (this.score > 0) return true
    this.skipped = (this.skipped + 1) % this.options.probeInterval
    return this.skipped === 0
  }

  ended(hit: boolean): void {
    if (hit) this.score = Math.min(this.options.max, this.score + this.options.perHit)
    else if (this.score > 0) this.score--
  }

  /** As at the beginning. */
  reset(): void {
    this.score = this.options.max
  }
}
