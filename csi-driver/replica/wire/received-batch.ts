// A batch as FrameReader hands it over: the place of its envelope, and views of its parts made when somebody asks. The
// store asks for none of them, so that a batch costs one object.
import type { Bytes } from '../../../base/units.ts'
import { ENVELOPE_FIXED_BYTES, envelopeCodec, envelopeHeaderBytes, envelopeRawPayloadBytes } from './envelope.ts'
import type { BatchMessage, BodyInMemory } from './messages.ts'

export class ReceivedBatch<Type extends BatchMessage['type'] = BatchMessage['type']> {
  readonly type: Type
  /** Checked: it holds together as an envelope, and its hash is right. */
  readonly body: BodyInMemory

  constructor(type: Type, body: BodyInMemory) {
    this.type = type
    this.body = body
  }

  get codec(): number {
    return envelopeCodec(this.body.buffer, this.body.start)
  }
  get rawPayloadBytes(): Bytes {
    return envelopeRawPayloadBytes(this.body.buffer, this.body.start)
  }
  get header(): Buffer {
    const { buffer, start } = this.body
    const at = start + ENVELOPE_FIXED_BYTES
    return buffer.subarray(at, at + envelopeHeaderBytes(buffer, start))
  }
  get payload(): Buffer {
    const { buffer, start, length } = this.body
    return buffer.subarray(start + ENVELOPE_FIXED_BYTES + envelopeHeaderBytes(buffer, start), start + length)
  }
}
