// A file in memory behind a FUSE connection that can be told to misbehave: answers a write short, holds one back and
// has it sent again. It shares the codec with FuseFrontend, which by design cannot do any of that.
import type { Bytes } from '../../../base/units.ts'
import type { FuseChannel, FuseChannelEnd, FuseChannelEvents } from '../../io/fuse-channel.ts'
import {
  EIO,
  ENOSYS,
  EPROTO,
  FALLOCATE_LENGTH_LOW,
  FALLOCATE_MODE,
  FALLOCATE_OFFSET_LOW,
  IN_OPCODE,
  IN_UNIQUE_HIGH,
  IN_UNIQUE_LOW,
  INIT_ASYNC_DIO,
  INIT_IN_FLAGS,
  INIT_IN_FLAGS2,
  INIT_IN_MAJOR,
  INIT_IN_MINOR,
  NOTIFY_RESEND,
  OP_BATCH_FORGET,
  OP_FALLOCATE,
  OP_FORGET,
  OP_FSYNC,
  OP_INIT,
  OP_READ,
  OP_WRITE,
  OUT_HEADER_BYTES,
  READ_OFFSET_LOW,
  READ_SIZE,
  UNIQUE_RESENT,
  WRITE_OFFSET_LOW,
  WRITE_OUT_BYTES,
  WRITE_PAYLOAD,
  WRITE_SIZE,
} from './abi.ts'
import { answerMetadata } from './metadata.ts'
import type { FuseSession, InitOffer, NegotiateOptions } from './negotiate.ts'
import { negotiate } from './negotiate.ts'
import { encodeInit, writeOutHeader, writeOutUnique } from './replies.ts'

export const SCRATCH_BYTES: Bytes = 1024 * 1024

/** What a test breaks on purpose, to see that the check for it looks. */
export type PlantedFault = 'none' | 'no-async-dio' | 'fsync-enosys' | 'discard-ignored' | 'resend-ignored'

export interface ScratchFile {
  readonly name: string
  /** Writes that begin here are answered with half their length. */
  readonly shortWriteAt: Bytes
  /** A write that begins here is held back until the kernel has sent it again. */
  readonly heldWriteAt: Bytes
  readonly planted: PlantedFault
}

export class ScratchServer implements FuseChannelEvents {
  readonly content: Buffer = Buffer.alloc(SCRATCH_BYTES)
  readonly fallocateModes: number[] = []
  fsyncs = 0
  /** The held write came a second time, marked as such. */
  resent = false
  /** What INIT led to; an Error when this kernel cannot carry a volume. */
  session: FuseSession | Error | null = null
  private readonly channel: FuseChannel
  private readonly file: ScratchFile
  private readonly options: NegotiateOptions
  private readonly changed: () => void
  private readonly reply: Buffer = Buffer.alloc(OUT_HEADER_BYTES + SCRATCH_BYTES)

  /** `changed` runs after INIT and when the held write has come again. */
  constructor(channel: FuseChannel, file: ScratchFile, options: NegotiateOptions, changed: () => void) {
    this.channel = channel
    this.file = file
    this.options = options
    this.changed = changed
  }

  onRequest(buffer: Buffer, length: Bytes): void {
    const opcode = buffer.readUInt32LE(IN_OPCODE)
    switch (opcode) {
      case OP_FORGET:
      case OP_BATCH_FORGET:
        return
      case OP_INIT:
        return this.onInit(buffer)
      case OP_READ:
        return this.onRead(buffer)
      case OP_WRITE:
        return this.onWrite(buffer)
      case OP_FSYNC:
        this.fsyncs++
        return this.answer(buffer, this.file.planted === 'fsync-enosys' ? ENOSYS : 0, 0)
      case OP_FALLOCATE:
        return this.onFallocate(buffer)
      default: {
        const reply = { buffer: this.reply, start: OUT_HEADER_BYTES }
        const file = { name: this.file.name, sizeBytes: SCRATCH_BYTES }
        const body = answerMetadata(opcode, { buffer, length }, reply, file)
        this.answer(buffer, body < 0 ? -body : 0, Math.max(0, body))
      }
    }
  }

  onDrained(): boolean {
    return false
  }

  onQueueEmpty(): void {}

  onClosed(_end: FuseChannelEnd): void {}

  private onInit(buffer: Buffer): void {
    const offer: InitOffer = {
      major: buffer.readUInt32LE(INIT_IN_MAJOR),
      minor: buffer.readUInt32LE(INIT_IN_MINOR),
      flags: buffer.readUInt32LE(INIT_IN_FLAGS),
      flags2: buffer.readUInt32LE(INIT_IN_FLAGS2),
    }
    let session = negotiate(offer, this.options)
    if (this.file.planted === 'no-async-dio' && !(session instanceof Error)) {
      session = { ...session, flags: session.flags & ~INIT_ASYNC_DIO }
    }
    this.session = session
    if (session instanceof Error) this.answer(buffer, EPROTO, 0)
    else this.answer(buffer, 0, encodeInit(this.reply, OUT_HEADER_BYTES, session))
    this.changed()
  }

  private onRead(buffer: Buffer): void {
    const offset = buffer.readUInt32LE(READ_OFFSET_LOW)
    const size = Math.min(buffer.readUInt32LE(READ_SIZE), SCRATCH_BYTES - offset)
    if (size < 0) return this.answer(buffer, EIO, 0)
    this.content.copy(this.reply, OUT_HEADER_BYTES, offset, offset + size)
    this.answer(buffer, 0, size)
  }

  private onWrite(buffer: Buffer): void {
    const offset = buffer.readUInt32LE(WRITE_OFFSET_LOW)
    const size = buffer.readUInt32LE(WRITE_SIZE)
    if (offset === this.file.heldWriteAt && !this.resent) {
      this.resent = buffer.readUInt32LE(IN_UNIQUE_HIGH) >= UNIQUE_RESENT
      if (!this.resent && this.file.planted !== 'resend-ignored') return this.askAgain()
      this.changed()
    }
    buffer.copy(this.content, offset, WRITE_PAYLOAD, WRITE_PAYLOAD + size)
    const written = offset === this.file.shortWriteAt ? size / 2 : size
    this.reply.writeUInt32LE(written, OUT_HEADER_BYTES)
    this.reply.writeUInt32LE(0, OUT_HEADER_BYTES + 4)
    this.answer(buffer, 0, WRITE_OUT_BYTES)
  }

  private onFallocate(buffer: Buffer): void {
    const offset = buffer.readUInt32LE(FALLOCATE_OFFSET_LOW)
    const length = buffer.readUInt32LE(FALLOCATE_LENGTH_LOW)
    if (this.file.planted !== 'discard-ignored') this.content.fill(0, offset, offset + length)
    this.fallocateModes.push(buffer.readUInt32LE(FALLOCATE_MODE))
    this.answer(buffer, 0, 0)
  }

  private askAgain(): void {
    writeOutHeader(this.reply, 0, OUT_HEADER_BYTES, -NOTIFY_RESEND)
    writeOutUnique(this.reply, 0, 0, 0)
    this.channel.reply(this.reply, 0, OUT_HEADER_BYTES)
  }

  private answer(buffer: Buffer, errno: number, bodyBytes: Bytes): void {
    const length = OUT_HEADER_BYTES + bodyBytes
    writeOutHeader(this.reply, 0, length, errno)
    writeOutUnique(this.reply, 0, buffer.readUInt32LE(IN_UNIQUE_LOW), buffer.readUInt32LE(IN_UNIQUE_HIGH))
    this.channel.reply(this.reply, 0, length)
  }
}
