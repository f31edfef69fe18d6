// What acknowledgements say about a link: time = something constant + bytes sent · time per byte. The constant holds round
// trip and disk, the slope holds wire, TLS, hashing and the disk's rate; only the slope can be saved on by sending less.
// A straight line fitted by least squares, in which old samples fade:
//
//     ms │        · /          center (meanBytes, meanMs) moves with every sample;
//        │    · _/ ·           slope = covariance / variance of samples that lie off the center, because
//        │  ·_/·               batches of one size say nothing about it
//        └────────── bytes
//
// Pure: the caller measures. A late acknowledgement (a disk's hiccup, a busy core) is cut to OUTLIER deviations, so that
// it cannot tilt the line; when all are late the deviation grows with them and the line follows within some tens of
// samples.
import type { Bytes, Ms } from '../../../base/units.ts'

/** Samples after which an old one has lost two thirds of its weight. */
const MEMORY_SAMPLES = 32
/** A sample farther from the line is taken as if it were this many deviations away. */
const OUTLIER = 6
/** A sample farther than this was not expected at all. */
const SURPRISE = 3.5
/** The deviation grows by this part with each sample farther away than it, and shrinks with each nearer one. */
const DEVIATION_STEP = 1 / 8
/** No link is steadier than that, or a change of it would count as an outlier for long. */
const DEVIATION_SHARE_MIN = 0.05
const DEVIATION_MS_MIN: Ms = 0.001
/** Sizes closer than this, and than half the mean size, say little about the slope. */
const INFORMATIVE_BYTES_MIN: Bytes = 4096
/** Standard deviation over median deviation of a normal distribution. */
const SIGMA_PER_DEVIATION = 1.48

export class LinkEstimate {
  private samples = 0
  private meanBytes: Bytes = 0
  private meanMs: Ms = 0
  /** Half of the samples are nearer to the line than this. A mean would be made by a few that the scheduler held up. */
  private deviationMs: Ms = 0
  /** Weight of the samples that the slope stems from, at most MEMORY_SAMPLES. */
  private information = 0
  private variance = 0
  private covariance = 0

  /** `bytes` were acknowledged after `ms`. Returns whether that is far from what was expected. */
  note(bytes: Bytes, ms: Ms): boolean {
    this.samples++
    if (this.samples === 1) {
      this.meanBytes = bytes
      this.meanMs = ms
      this.deviationMs = Math.max(DEVIATION_MS_MIN, ms / 4)
      return false
    }
    const step = Math.max(1 / this.samples, 1 / MEMORY_SAMPLES)
    const expectedMs = this.expectedMs(bytes, 0)
    const limitMs = OUTLIER * this.deviationMs
    const residualMs = Math.max(-limitMs, Math.min(limitMs, ms - expectedMs))
    const isSurprising = Math.abs(residualMs) > SURPRISE * this.deviationMs
    const isFar = Math.abs(residualMs) > this.deviationMs
    this.deviationMs *= isFar ? 1 + DEVIATION_STEP : 1 - DEVIATION_STEP
    this.deviationMs = Math.max(this.deviationMs, DEVIATION_SHARE_MIN * this.meanMs, DEVIATION_MS_MIN)
    const offBytes = bytes - this.meanBytes
    const offMs = expectedMs + residualMs - this.meanMs
    this.learnSlope(offBytes, offMs)
    this.meanBytes += step * offBytes
    this.meanMs += step * offMs
    return isSurprising
  }

  /**
   * Time until `bytes` are acknowledged. `doubt` is how many standard errors steeper (or, below 0, flatter) than
   * fitted the line is taken: 0 for the likely value. 0 while nothing is known.
   */
  expectedMs(bytes: Bytes, doubt: number): Ms {
    return Math.max(0, this.meanMs + this.msPerByte(doubt) * (bytes - this.meanBytes))
  }

  /** Of a link that is known to be neither endless nor slower than if all the time went into bytes. */
  msPerByte(doubt: number): Ms {
    const steepest = this.meanBytes > 0 ? this.meanMs / this.meanBytes : 0
    if (this.variance === 0) return doubt > 0 ? steepest : 0
    const slope = this.covariance / this.variance
    const sigmaMs = SIGMA_PER_DEVIATION * this.deviationMs
    const standardError = sigmaMs / Math.sqrt(this.information * this.variance)
    return Math.max(0, Math.min(steepest, slope + doubt * standardError))
  }

  /** Forgets only as much as the sample tells: a slope once learnt survives thousands of batches of one size. */
  private learnSlope(offBytes: Bytes, offMs: Ms): void {
    const scale = Math.max(INFORMATIVE_BYTES_MIN, this.meanBytes / 2)
    const square = offBytes * offBytes
    const weight = square / (square + scale * scale)
    if (weight === 0) return
    this.information = this.information * (1 - weight / MEMORY_SAMPLES) + weight
    const share = weight / this.information
    this.variance += share * (square - this.variance)
    this.covariance += share * (offBytes * offMs - this.covariance)
  }
}
