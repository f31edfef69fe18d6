// Payloads of about the same entropy: what compressing them has brought and cost, and what was decided for them last.
import type { Bytes, Ms } from '../../../base/units.ts'
import { MIB } from '../../../base/units.ts'

/** Half a bit of entropy each. */
export const CLASS_COUNT = 16
const CLASSES_PER_BIT = CLASS_COUNT / 8
/** Time of one compression before any was measured (docs/decisions/0008). */
const CALL_MS: Ms = 0.014
const BYTE_MS: Ms = 2.4 / MIB
/** The classes below this one are mostly zeros, and faster by as much as they are below. */
const FULL_COST_CLASS = 4
/** Bounds what a class can believe: zeros on a fast machine, or a clock that stands still; a starved process. */
const COST_FACTOR_MIN = 0.05
const COST_FACTOR_MAX = 1000
/** A single compression counts at most this much slower than usual: the process was not running. */
const COST_OUTLIER = 4
/** Weight of the newest compression in what its class has learnt. */
const LEARN = 1 / 8
/** Sizes that share a decision differ by less than a factor of two. */
export const SIZE_COUNT = 32
/** Batches of a class between probes; doubles with each probe that told nothing new. */
const PROBE_INTERVAL_MIN = 4
const PROBE_INTERVAL_MAX = 128

/** Number of the class for an entropy of 0 to 8 bits per byte. */
export function classOf(entropyBits: number): number {
  return Math.max(0, Math.min(CLASS_COUNT - 1, Math.floor(entropyBits * CLASSES_PER_BIT)))
}

function usualCostMs(bytes: Bytes): Ms {
  return CALL_MS + bytes * BYTE_MS
}

/** No compression is expected to be faster. */
export function leastCostMs(bytes: Bytes): Ms {
  return COST_FACTOR_MIN * usualCostMs(bytes)
}

/** Number of a size; `bytes` is at least 1. */
export function sizeOf(bytes: Bytes): number {
  return Math.min(SIZE_COUNT - 1, Math.floor(Math.log2(bytes)))
}

export class PayloadClass {
  private packedShare: number
  private costFactor: number
  private batchesSinceProbe = 0
  private probeInterval = PROBE_INTERVAL_MIN
  /** Per size: 1 where it was decided to compress. */
  private readonly compressing = new Uint8Array(SIZE_COUNT)

  constructor(number: number) {
    // Pessimistic at first: as if there were nothing to use but the entropy at the upper end of the class.
    this.packedShare = (number + 1) / CLASS_COUNT
    this.costFactor = Math.min(1, (number + 1) / (FULL_COST_CLASS + 1))
  }

  /** Packed over raw, 0 to 1. */
  get share(): number {
    return this.packedShare
  }

  costMs(bytes: Bytes): Ms {
    return this.costFactor * usualCostMs(bytes)
  }

  learn(bytes: Bytes, packedBytes: Bytes, ms: Ms): void {
    this.packedShare += LEARN * (packedBytes / bytes - this.packedShare)
    const factor = Math.min(ms / usualCostMs(bytes), COST_OUTLIER * this.costFactor)
    const learnt = this.costFactor + LEARN * (factor - this.costFactor)
    this.costFactor = Math.max(COST_FACTOR_MIN, Math.min(COST_FACTOR_MAX, learnt))
  }

  isCompressing(bytes: Bytes): boolean {
    return this.compressing[sizeOf(bytes)] === 1
  }

  decided(bytes: Bytes, compress: boolean): void {
    if (this.isCompressing(bytes) === compress) return
    this.compressing[sizeOf(bytes)] = compress ? 1 : 0
    this.probeSoon()
    this.batchesSinceProbe = 0
  }

  /** Asked once per batch. */
  isProbeDue(): boolean {
    this.batchesSinceProbe++
    return this.batchesSinceProbe >= this.probeInterval
  }

  probed(again: boolean): void {
    this.batchesSinceProbe = 0
    this.probeInterval = again ? PROBE_INTERVAL_MIN : Math.min(PROBE_INTERVAL_MAX, 2 * this.probeInterval)
  }

  probeSoon(): void {
    this.probeInterval = PROBE_INTERVAL_MIN
  }
}
