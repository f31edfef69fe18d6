// Compression of the payloads that an owner sends: chosen once per batch for all links, by measurement (compression/) or
// not at all. Reading compressed payloads needs no choice: a store may hold some from a time when it was switched on.
import type { Clock } from '../../../base/clock.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import { AdaptiveChoice } from '../compression/adaptive-choice.ts'
import { zstdCodec } from '../compression/zstd-codec.ts'
import type { PayloadCompressor } from '../wire/envelope-buffer.ts'

export interface PayloadCoder {
  /** What the payload buffer[start, start+length) is compressed with; null: nothing. */
  choose(buffer: Buffer, start: number, length: Bytes): PayloadCompressor | null
  /** A payload of `rawBytes` went as `sentBytes`; the slowest that was waited for had it `elapsedMs` after the sending. */
  sent(rawBytes: Bytes, sentBytes: Bytes, elapsedMs: Ms): void
}

/** Sends payloads as they are. */
export const RAW_PAYLOADS: PayloadCoder = {
  choose: () => null,
  sent: () => undefined,
}

/** Compresses where that makes the write faster. One per volume, since it learns from what passes. */
export class AdaptivePayloads implements PayloadCoder {
  private readonly choice = new AdaptiveChoice()
  private readonly timed: PayloadCompressor

  constructor(clock: Clock) {
    const { choice } = this
    this.timed = {
      code: zstdCodec.code,
      compress(input, start, length, output) {
        const beganMs = clock.monotonicMs()
        const packed = zstdCodec.compress(input, start, length, output)
        choice.compressed(length, packed < 0 ? length : packed, clock.monotonicMs() - beganMs)
        return packed
      },
    }
  }

  choose(buffer: Buffer, start: number, length: Bytes): PayloadCompressor | null {
    return this.choice.decide(buffer, start, length) ? this.timed : null
  }

  sent(rawBytes: Bytes, sentBytes: Bytes, elapsedMs: Ms): void {
    this.choice.sent(rawBytes, sentBytes, elapsedMs)
  }
}

/** Restores a payload of any codec that the wire has; -1 where it is none of that codec. */
export function decompressPayload(codec: number, payload: Buffer, output: Buffer): number {
  return codec === zstdCodec.code && zstdCodec.decompress(payload, output) ? output.length : -1
}
