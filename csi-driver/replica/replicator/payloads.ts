// Compression of payloads as a port: chosen once per batch for all links, by measurement or not at all.
import type { Bytes, Ms } from '../../../base/units.ts'
import type { Decompress } from '../wire/envelope.ts'
import type { PayloadCompressor } from '../wire/envelope-buffer.ts'

export interface PayloadCoder {
  /** What a batch with so much data is compressed with; null: nothing. */
  choose(rawBytes: Bytes): PayloadCompressor | null
  /** The way back, for any codec of the wire. */
  readonly decompress: Decompress
  /** A batch is complete: what it was long, what was sent of it to each peer, and how long the slowest of them took. */
  sent?(rawBytes: Bytes, sentBytes: Bytes, elapsedMs: Ms): void
}

/** Sends payloads as they are, and reads only such. */
export const RAW_PAYLOADS: PayloadCoder = {
  choose: () => null,
  decompress: () => -1,
}
