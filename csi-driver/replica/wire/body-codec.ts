// What the bodies of messages are made of: a codec per message type, texts and identifiers of fixed room. A body has one
// encoding only: no byte is free, padding is zero and checked. What another node sends is refused by a CacheError with
// the code CACHE_WIRE_BODY (or CACHE_LAYOUT); what we would send wrongly is an assertion.
import { assert } from '../../../base/assert.ts'
import { isZero } from '../../../base/bytes.ts'
import { CacheError } from '../../../base/errors.ts'
import type { Fields, Layout, LayoutValues } from '../../../base/layout.ts'
import type { Bytes } from '../../../base/units.ts'
import { LOG_NUMBER_LIMIT } from '../../batch/batch-format.ts'
import { UUID_PATTERN } from '../../register/record.ts'
import type { WireMessage } from './messages.ts'

/** Length of a volume key. */
export const VOLUME_KEY_BYTES: Bytes = 32
/** Length of a proof: an HMAC-SHA256. */
export const PROOF_BYTES: Bytes = 32

/** Encodes and decodes the body of one message type. */
export interface BodyCodec<Message = WireMessage> {
  readonly bytesMin: Bytes
  readonly bytesMax: Bytes
  size(message: Message): Bytes
  /** Fills buffer[start, start+size(message)). Throws AssertionError for values that no peer would accept. */
  encode(message: Message, buffer: Buffer, start: number): void
  /**
   * Reads the body at buffer[0, length), which is within bytesMin and bytesMax; keeps no view of it. Throws CacheError
   * `invalid` or `corrupt` where it is no legal body.
   */
  decode(buffer: Buffer, length: Bytes): Message
}

export function refuse(what: string): never {
  throw new CacheError('invalid', 'CACHE_WIRE_BODY', what)
}

/** Refuses unless `holds`. */
export function demand(holds: boolean, what: string): void {
  if (!holds) refuse(what)
}

/** Reads a struct that another node has sent: each of its numbers stays below LOG_NUMBER_LIMIT. */
export function decodeStruct<F extends Fields>(layout: Layout<F>, buffer: Buffer, start: number): LayoutValues<F> {
  const values = layout.decode(buffer, start)
  for (const [field, value] of Object.entries(values)) {
    demand(typeof value !== 'number' || value < LOG_NUMBER_LIMIT, `${NUMBER_TOO_LARGE} field=${field}`)
  }
  return values
}

/** What is said of a larger number. */
export const NUMBER_TOO_LARGE = 'number is 2^52 or more'

/** A body that is one struct. */
export function structBody<F extends Fields, Message>(
  layout: Layout<F>,
  pack: (message: Message) => LayoutValues<F>,
  unpack: (values: LayoutValues<F>) => Message,
): BodyCodec<Message> {
  return {
    bytesMin: layout.size,
    bytesMax: layout.size,
    size: () => layout.size,
    encode: (message, buffer, start) => layout.encode(buffer, start, pack(message)),
    decode: (buffer) => unpack(decodeStruct(layout, buffer, 0)),
  }
}

/** A message that says everything by its type. */
export function emptyBody<Message>(message: Message): BodyCodec<Message> {
  return { bytesMin: 0, bytesMax: 0, size: () => 0, encode: () => undefined, decode: () => message }
}

/** The 16 bytes of 32 hexadecimal digits. */
export function uuidBytes(uuid: string): Buffer {
  assert(UUID_PATTERN.test(uuid), `uuid is 32 lower-case hexadecimal digits uuid=${uuid}`)
  return Buffer.from(uuid, 'hex')
}

export function uuidOf(found: Buffer): string {
  return found.toString('hex')
}

export function flagOf(value: number, field: string): boolean {
  demand(value <= 1, `flag is 0 or 1 field=${field} value=${value}`)
  return value === 1
}

/** An ASCII name in a field of fixed size, zeros behind. */
export function nameBytes(name: string, size: Bytes, pattern: RegExp): Buffer {
  assert(pattern.test(name) && name.length <= size, `name is legal name=${name}`)
  const packed = Buffer.alloc(size)
  packed.write(name, 'latin1')
  return packed
}

export function nameOf(found: Buffer, pattern: RegExp, field: string): string {
  const zero = found.indexOf(0)
  const end = zero === -1 ? found.length : zero
  const name = found.toString('latin1', 0, end)
  demand(pattern.test(name) && isZero(found, end, found.length), `name is not legal field=${field}`)
  return name
}
