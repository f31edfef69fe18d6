// A FUSE channel in memory: the test plays the kernel. Builds requests by hand-written offsets of the kernel's header,
// independent of abi.ts, and decodes replies the same way.
import type {
  FuseChannel,
  FuseChannelEvents,
  FuseChannelKind,
  ReplyOutcome,
} from '../../../../../csi-driver/io/fuse-channel.ts'
import { REPLY_SENT } from '../../../../../csi-driver/io/fuse-channel.ts'

export interface Reply {
  readonly error: number
  readonly unique: bigint
  readonly body: Buffer
}

export interface RequestFields {
  readonly opcode: number
  readonly unique?: bigint
  readonly node?: bigint
  readonly body?: Buffer
}

export function requestBytes({ opcode, unique = 2n, node = 2n, body = Buffer.alloc(0) }: RequestFields): Buffer {
  const bytes = Buffer.alloc(40 + body.length)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt32LE(opcode, 4)
  bytes.writeBigUInt64LE(unique, 8)
  bytes.writeBigUInt64LE(node, 16)
  body.copy(bytes, 40)
  return bytes
}

export function readBody(offset: bigint, size: number): Buffer {
  const body = Buffer.alloc(40)
  body.writeBigUInt64LE(offset, 8)
  body.writeUInt32LE(size, 16)
  return body
}

export function writeBody(offset: bigint, data: Buffer, flags = 0, size = data.length): Buffer {
  const body = Buffer.alloc(40 + data.length)
  body.writeBigUInt64LE(offset, 8)
  body.writeUInt32LE(size, 16)
  body.writeUInt32LE(flags, 32)
  data.copy(body, 40)
  return body
}

export function fallocateBody(offset: bigint, length: bigint, mode: number): Buffer {
  const body = Buffer.alloc(32)
  body.writeBigUInt64LE(offset, 8)
  body.writeBigUInt64LE(length, 16)
  body.writeUInt32LE(mode, 24)
  return body
}

export function initBody(flags = 0x73ff_fffb, flags2 = 0x5fd, minor = 45): Buffer {
  const body = Buffer.alloc(64)
  body.writeUInt32LE(7, 0)
  body.writeUInt32LE(minor, 4)
  body.writeUInt32LE(flags, 12)
  body.writeUInt32LE(flags2, 16)
  return body
}

export class FakeChannel implements FuseChannel {
  readonly kind: FuseChannelKind
  readonly replies: Reply[] = []
  outcome: ReplyOutcome = REPLY_SENT
  paused = false
  stopped = false
  blockedReads = 0
  /** Ends `stop` where reads were blocked. */
  onStopped: () => void = () => {}
  private events: FuseChannelEvents | null = null

  constructor(kind: FuseChannelKind = 'epoll') {
    this.kind = kind
  }

  start(events: FuseChannelEvents): void {
    this.events = events
  }

  reply(buffer: Buffer, start: number, length: number): ReplyOutcome {
    const bytes = Buffer.from(buffer.subarray(start, start + length))
    if (bytes.readUInt32LE(0) !== length) throw new Error('the header does not tell the length of the reply')
    this.replies.push({ error: bytes.readInt32LE(4), unique: bytes.readBigUInt64LE(8), body: bytes.subarray(16) })
    return this.outcome
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  stop(done: () => void): void {
    this.stopped = true
    this.onStopped = done
    if (this.blockedReads === 0) done()
  }

  close(): void {}

  /** Delivers a request and returns the replies that came while it was delivered. */
  send(request: RequestFields): Reply[] {
    return this.deliver(requestBytes(request))
  }

  deliver(bytes: Buffer): Reply[] {
    const before = this.replies.length
    this.on().onRequest(bytes, bytes.length)
    return this.replies.slice(before)
  }

  on(): FuseChannelEvents {
    if (this.events === null) throw new Error('not started')
    return this.events
  }
}
