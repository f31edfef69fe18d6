// Bytes of one direction of a connection to messages, whatever the other side sends. It holds a frame header, one small
// body and what arrived while a batch waits for room, and nothing is taken for a frame before its header is whole, its
// CRC right and its type, version, length and sequence allowed. After a problem it is silent for good: where the next
// frame begins is unknown, and the connection is to be closed. It has no clock: who uses it closes connections whose
// `isInsideFrame` stays true while `framesRead` stands still. Format: docs/formats/wire.md.
import { assert } from '../../../base/assert.ts'
import { CacheError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import { xxhash64 } from '../../../base/xxhash64.ts'
import type { RefusalCode } from '../../protocol/stored-log.ts'
import { ENVELOPE_BYTES_MAX, envelopeProblem } from './envelope.ts'
import {
  FIRST_SEQUENCE,
  FRAME_HEADER_BYTES,
  frameBodyBytes,
  frameBodyHash,
  frameHeaderProblem,
  frameSequence,
  frameType,
  frameVersion,
  HANDSHAKE_VERSION,
  nextSequence,
} from './frame.ts'
import type { BodyInMemory, MessageFrom, Side, WireMessage } from './messages.ts'
import { ReceivedBatch } from './received-batch.ts'
import {
  bodyLimits,
  HANDSHAKE,
  type MessageKind,
  WIRE_VERSIONS,
  type WireVersion,
  type WireVersions,
} from './versions.ts'

/** Most that is kept of what arrives while the caller has no buffer; the stream should stand still by then. */
export const KEPT_BYTES_MAX: Bytes = FRAME_HEADER_BYTES + ENVELOPE_BYTES_MAX

/** Why a stream of frames ended. */
export interface FrameProblem {
  readonly label:
    | 'magic'
    | 'checksum'
    | 'padding'
    /** Not the agreed version. */
    | 'version'
    /** No message of this version, or not of this side. */
    | 'type'
    /** HELLO or WELCOME not first, or something else first. */
    | 'order'
    | 'sequence'
    | 'length'
    | 'hash'
    | 'body'
    /** bodyBuffer gave none. */
    | 'no-buffer'
    /** The stream went on while a batch waited for a buffer. */
    | 'flood'
  /** For messages: lower case, values last. */
  readonly message: string
  /** What to answer with. */
  readonly refusal: RefusalCode
}

const REFUSALS: Partial<Record<FrameProblem['label'], RefusalCode>> = {
  version: 'version',
  checksum: 'corrupt',
  hash: 'corrupt',
  'no-buffer': 'too-many',
}

export interface RoomForBody {
  readonly buffer: Buffer
  /** The body goes to buffer[start, start+bodyBytes). */
  readonly start: number
}

export interface FrameReaderOptions<From extends Side> {
  /** Who sends what is read here. */
  readonly from: From
  readonly onMessage: (message: MessageFrom<From>) => void
  readonly onProblem: (problem: FrameProblem) => void
  /**
   * Where the body of an APPEND or BATCH goes; it belongs to the reader until the message or a problem is told. 'later':
   * none is free; pause the stream and call resume. null: there will be none, a problem. Without this function each body
   * gets a buffer of its own.
   */
  readonly bodyBuffer?: (type: 'APPEND' | 'BATCH', bodyBytes: Bytes) => RoomForBody | 'later' | null
  readonly versions?: WireVersions
}

type State = 'reading' | 'waiting' | 'ended'

export class FrameReader<From extends Side> {
  private readonly options: FrameReaderOptions<From>
  private readonly versions: WireVersions
  private readonly header = Buffer.alloc(FRAME_HEADER_BYTES)
  private readonly small: Buffer
  private version: WireVersion | null = null
  private state: State = 'reading'
  private headerFilled = 0
  private expectedSequence = FIRST_SEQUENCE
  private isFirst = true
  /** Of the frame whose body is being read. */
  private kind: MessageKind | null = null
  private body: Buffer
  private bodyStart = 0
  private bodyBytes: Bytes = 0
  private bodyFilled: Bytes = 0
  private kept: Buffer[] = []
  private keptBytes: Bytes = 0

  constructor(options: FrameReaderOptions<From>) {
    this.options = options
    this.versions = options.versions ?? WIRE_VERSIONS
    this.small = Buffer.alloc(bodyLimits(this.versions, options.from).smallBytesMax)
    this.body = this.small
  }

  /** A frame has begun and is not whole. */
  get isInsideFrame(): boolean {
    return this.headerFilled > 0
  }

  /** A batch waits for a buffer of ours: no fault of the other side. */
  get isWaiting(): boolean {
    return this.state === 'waiting'
  }

  /** Whole frames so far (modulo 2^32): one that lasts while this stands still is a slow one. */
  get framesRead(): number {
    return (this.expectedSequence - FIRST_SEQUENCE) >>> 0
  }

  /** What the reader itself holds, buffers of bodyBuffer apart. */
  get heldBytes(): Bytes {
    return this.header.length + this.small.length + this.keptBytes
  }

  /**
   * From now on frames of this version are expected, REFUSED apart. The store calls it before it sends WELCOME, the
   * engine when WELCOME has come (at the latest before the call of onMessage that brought it returns).
   */
  agree(version: number): void {
    const agreed = this.versions.get(version)
    assert(agreed !== undefined && this.version === null, `version is known and agreed once version=${version}`)
    this.version = agreed
  }

  /** Takes the next bytes of the stream. They are the caller's again when it returns. */
  push(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length && this.state === 'reading') {
      at += this.kind === null ? this.takeHeader(bytes, at) : this.takeBody(bytes, at)
    }
    if (this.state === 'waiting' && at < bytes.length) this.keep(bytes.subarray(at))
  }

  /** Asks for the buffer again that was not free, and goes on. */
  resume(): void {
    if (this.state !== 'waiting') return
    this.state = 'reading'
    this.takeRoom()
    const kept = this.kept
    this.kept = []
    this.keptBytes = 0
    for (const bytes of kept) this.push(bytes)
  }

  /** Nothing is told any more, not even of bytes that a running push still has. */
  end(): void {
    this.state = 'ended'
    this.kept = []
    this.keptBytes = 0
    this.headerFilled = 0
    this.kind = null
    this.body = this.small
  }

  private keep(bytes: Buffer): void {
    if (this.keptBytes + bytes.length > KEPT_BYTES_MAX) {
      return this.fail('flood', `stream goes on while a batch waits bytes=${this.keptBytes} limit=${KEPT_BYTES_MAX}`)
    }
    this.kept.push(Buffer.from(bytes))
    this.keptBytes += bytes.length
  }

  private takeHeader(bytes: Buffer, at: number): number {
    const taken = bytes.copy(this.header, this.headerFilled, at)
    this.headerFilled += taken
    if (this.headerFilled === FRAME_HEADER_BYTES) this.beginBody()
    return taken
  }

  private beginBody(): void {
    const damage = frameHeaderProblem(this.header)
    if (damage !== null) return this.fail(damage, `frame header is not one: ${damage}`)
    const kind = this.findKind()
    if (kind === null) return
    const sequence = frameSequence(this.header)
    const expected = this.expectedSequence
    if (sequence !== expected)
      return this.fail('sequence', `frame is out of step found=${sequence} expected=${expected}`)
    const bodyBytes = frameBodyBytes(this.header)
    if (bodyBytes < kind.bytesMin || bodyBytes > kind.bytesMax) {
      return this.fail(
        'length',
        `body type=${kind.type} bytes=${bodyBytes} least=${kind.bytesMin} most=${kind.bytesMax}`,
      )
    }
    this.kind = kind
    this.bodyBytes = bodyBytes
    this.bodyFilled = 0
    this.takeRoom()
  }

  private takeRoom(): void {
    const kind = this.kind
    if (kind === null) return
    if (kind.body !== null) {
      this.body = this.small
      this.bodyStart = 0
      if (this.bodyBytes === 0) this.finish(kind)
      return
    }
    const room = this.roomFor(kind.type === 'APPEND' ? 'APPEND' : 'BATCH')
    // It may have ended the reader.
    if (this.kind === null) return
    if (room === null) return this.fail('no-buffer', `no buffer for a batch bytes=${this.bodyBytes}`)
    if (room === 'later') {
      this.state = 'waiting'
      return
    }
    assert(room.start >= 0 && room.start + this.bodyBytes <= room.buffer.length, 'body fits into its buffer')
    this.body = room.buffer
    this.bodyStart = room.start
  }

  private roomFor(type: 'APPEND' | 'BATCH'): RoomForBody | 'later' | null {
    const { bodyBuffer } = this.options
    if (bodyBuffer !== undefined) return bodyBuffer(type, this.bodyBytes)
    return { buffer: Buffer.allocUnsafeSlow(this.bodyBytes), start: 0 }
  }

  private takeBody(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.bodyBytes - this.bodyFilled)
    bytes.copy(this.body, this.bodyStart + this.bodyFilled, at, end)
    this.bodyFilled += end - at
    if (this.bodyFilled === this.bodyBytes && this.kind !== null) this.finish(this.kind)
    return end - at
  }

  private finish(kind: MessageKind): void {
    const { body: buffer, bodyStart: start, bodyBytes: length } = this
    const hash = frameBodyHash(this.header)
    if (xxhash64(buffer, start, start + length) !== hash) return this.fail('hash', `body is damaged type=${kind.type}`)
    const message = this.decode(kind, { buffer, start, length, hash })
    if (message === null) return
    this.expectedSequence = nextSequence(this.expectedSequence)
    this.isFirst = false
    this.headerFilled = 0
    this.kind = null
    this.body = this.small
    this.options.onMessage(message as MessageFrom<From>)
  }

  private decode(kind: MessageKind, body: BodyInMemory): WireMessage | ReceivedBatch | null {
    if (kind.body === null) {
      const problem = envelopeProblem(body.buffer, body.start, body.length)
      if (problem === null) return new ReceivedBatch(kind.type === 'APPEND' ? 'APPEND' : 'BATCH', body)
      this.fail('body', `envelope is not legal: ${problem}`)
      return null
    }
    try {
      return kind.body.decode(this.small, body.length)
    } catch (error) {
      if (!(error instanceof CacheError)) throw error
      this.fail('body', `body is not legal type=${kind.type}: ${error.message}`)
      return null
    } finally {
      // A HELLO may have brought the volume key: it stays nowhere.
      if (kind.type === 'HELLO') this.small.fill(0)
    }
  }

  /** Null: the reader has failed. */
  private findKind(): MessageKind | null {
    const version = frameVersion(this.header)
    const code = frameType(this.header)
    const table = version === HANDSHAKE_VERSION ? HANDSHAKE : this.version
    if (table === null) {
      this.fail('order', `frame before a version is agreed type=${code} version=${version}`)
      return null
    }
    if (version !== table.number) {
      this.fail('version', `frame of another version found=${version} agreed=${table.number}`)
      return null
    }
    const kind = table.byCode.get(code)
    if (kind === undefined || kind.from !== this.options.from) {
      this.fail('type', `no message of this version and side type=${code} version=${version}`)
      return null
    }
    const mayBeFirst = table === HANDSHAKE
    const mustBeFirst = kind.type === 'HELLO' || kind.type === 'WELCOME'
    if (this.isFirst ? mayBeFirst : !mustBeFirst) return kind
    this.fail('order', `frame is out of order type=${kind.type}`)
    return null
  }

  private fail(label: FrameProblem['label'], message: string): void {
    this.end()
    this.options.onProblem({ label, message, refusal: REFUSALS[label] ?? 'bad-message' })
  }
}
