// Whether the next batch is worth compressing: only where compressing it and sending less takes less time than sending
// it as it is. So a write is never made slower on purpose, but for probes, which are few and have a budget. Pure and
// deterministic: the caller measures and tells. What it is told of the links is the time of the slowest one.
//
//     gain = time(raw bytes) − compression time − time(packed bytes)
//
// Times of sending lie on a line (link-estimate.ts). Payloads are sorted into classes by the entropy of a sample; each
// class learns its packed share and its compression time, and begins with pessimistic ones. Decisions stick, per class
// and size: to begin needs a gain beyond doubt, to end needs a loss. Why so, and the figures: docs/decisions/0008.
import { assert } from '../../../base/assert.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import { sampledEntropy } from './byte-entropy.ts'
import { LinkEstimate } from './link-estimate.ts'
import { CLASS_COUNT, classOf, leastCostMs, PayloadClass, SIZE_COUNT, sizeOf } from './payload-class.ts'

/** To begin needs this part of the raw time as gain, and a line that much flatter than fitted. */
const BEGIN_GAIN_SHARE = 0.05
const BEGIN_DOUBT = -3
/** To end needs a loss, and a line that much steeper than fitted. */
const END_DOUBT = 0.5
/** A probe needs a gain that is possible at all, with a line that much steeper than fitted. */
const PROBE_DOUBT = 2
/** After so many batches of one size sent raw, only each LOOK_INTERVAL-th is looked at: a look costs 2 µs. */
const RAW_STREAK = 32
const LOOK_INTERVAL = 8
/** Part of the time until acknowledgement that probes may add. */
const PROBE_TIME_SHARE = 0.01
/** What may be saved up for probes, and what a volume begins with. */
const PROBE_CREDIT_MS_MAX: Ms = 20
const PROBE_CREDIT_MS_START: Ms = 10

/** A batch that was treated otherwise than decided, to see. */
interface Probe {
  readonly payloadClass: PayloadClass
  readonly rawBytes: Bytes
  /** What it is expected to take, and what it would have taken as decided. More than that is the price of the probe. */
  readonly expectedMs: Ms
  readonly usualMs: Ms
}

export class AdaptiveChoice {
  private readonly classes = Array.from({ length: CLASS_COUNT }, (_, number) => new PayloadClass(number))
  private readonly link = new LinkEstimate()
  private creditMs: Ms = PROBE_CREDIT_MS_START
  /** Class of the payload decided on last; null where it was not looked at. */
  private current: PayloadClass | null = null
  /** Whether the payload decided on last is treated otherwise than decided, to see what comes of it. */
  isProbing = false
  /** Per size: batches sent raw since one was compressed or a probe. */
  private readonly rawStreaks = new Uint32Array(SIZE_COUNT)
  /** The last probe whose answer has not come. */
  private probe: Probe | null = null

  /** Whether to compress payload[start, start+length); if so, `compressed` is to be told what came of it. */
  decide(payload: Buffer, start: number, length: Bytes): boolean {
    this.current = null
    this.isProbing = false
    if (length === 0) return false
    const size = sizeOf(length)
    const streak = this.rawStreaks[size] ?? 0
    this.rawStreaks[size] = streak + 1
    if (streak >= RAW_STREAK && streak % LOOK_INTERVAL !== 0) return false
    // Where even nothing left to send would not pay, the payload need not be looked at.
    const savedMsMax = this.link.expectedMs(length, PROBE_DOUBT) - this.link.expectedMs(0, PROBE_DOUBT)
    if (savedMsMax <= leastCostMs(length)) return false
    const payloadClass = this.classes[classOf(sampledEntropy(payload, start, length))]
    assert(payloadClass !== undefined, 'every entropy has a class')
    this.current = payloadClass
    const compress = this.isWorthIt(payloadClass, length)
    this.isProbing = this.isTimeToProbe(payloadClass, length, compress, savedMsMax)
    if (compress || this.isProbing) this.rawStreaks[size] = 0
    return compress !== this.isProbing
  }

  /** The payload decided on last was compressed to `packedBytes` (`length` where it did not shrink enough) in `ms`. */
  compressed(length: Bytes, packedBytes: Bytes, ms: Ms): void {
    if (this.isProbing) this.creditMs -= ms
    this.current?.learn(length, packedBytes, ms)
  }

  /**
   * A batch with a payload of `rawBytes` went as `sentBytes` to everybody that was waited for, and the slowest had it
   * `ms` after it was handed to the streams, compression not counted.
   */
  sent(rawBytes: Bytes, sentBytes: Bytes, ms: Ms): void {
    const isSurprising = this.link.note(sentBytes, ms)
    this.creditMs = Math.min(PROBE_CREDIT_MS_MAX, this.creditMs + PROBE_TIME_SHARE * ms)
    const { probe } = this
    if (probe === null || probe.rawBytes !== rawBytes) return
    this.probe = null
    if (isSurprising) probe.payloadClass.probeSoon()
    // A hiccup is not the probe's fault.
    this.creditMs -= Math.max(0, Math.min(ms, probe.expectedMs) - probe.usualMs)
  }

  private gainMs(payloadClass: PayloadClass, length: Bytes, doubt: number): Ms {
    const packedMs = this.link.expectedMs(payloadClass.share * length, doubt)
    return this.link.expectedMs(length, doubt) - packedMs - payloadClass.costMs(length)
  }

  /** The decision without probes. */
  private isWorthIt(payloadClass: PayloadClass, length: Bytes): boolean {
    const isWorth = payloadClass.isCompressing(length)
      ? this.gainMs(payloadClass, length, END_DOUBT) > 0
      : this.gainMs(payloadClass, length, BEGIN_DOUBT) > BEGIN_GAIN_SHARE * this.link.expectedMs(length, 0)
    payloadClass.decided(length, isWorth)
    return isWorth
  }

  /**
   * Whether to do the other thing for once: to compress, because neither the class nor the link may be as they were; to
   * send raw, because batches of nearly one size would let the link change unseen.
   */
  private isTimeToProbe(payloadClass: PayloadClass, length: Bytes, compress: boolean, savedMsMax: Ms): boolean {
    if (!payloadClass.isProbeDue() || this.creditMs <= 0) return false
    const costMs = payloadClass.costMs(length)
    if (!compress && costMs >= savedMsMax) return false
    // A likely gain only waits for more samples.
    payloadClass.probed(!compress && this.gainMs(payloadClass, length, 0) > 0)
    // The price of compressing in vain is known when it is done.
    const usualMs = compress ? this.link.expectedMs(payloadClass.share * length, 0) + costMs : Number.POSITIVE_INFINITY
    this.probe = { payloadClass, rawBytes: length, expectedMs: this.link.expectedMs(length, 0), usualMs }
    return true
  }
}
