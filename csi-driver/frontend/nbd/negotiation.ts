// The handshake of one connection, fixed newstyle: bytes of the client in, replies out, until a client has chosen the
// export or the connection has to end. Knows nothing of sockets. Bounded: one option is kept at a time, and an option
// longer than OPTION_BYTES_MAX ends the connection; the time is limited by who feeds it.
//
// An option that is well formed and unwelcome gets an error reply with a reason, and the client may go on; a client that
// does not speak the protocol (wrong magic, unknown flags) is cut off, as the protocol asks for.
import type { Bytes } from '../../../base/units.ts'
import {
  ALLOCATION_CONTEXT,
  ALLOCATION_CONTEXT_ID,
  CLIENT_FLAGS_BYTES,
  EXPORT_NAME_ZEROES_BYTES,
  FLAG_CAN_MULTI_CONN,
  FLAG_HAS_FLAGS,
  FLAG_SEND_CACHE,
  FLAG_SEND_DF,
  FLAG_SEND_FAST_ZERO,
  FLAG_SEND_FLUSH,
  FLAG_SEND_FUA,
  FLAG_SEND_TRIM,
  FLAG_SEND_WRITE_ZEROES,
  HANDSHAKE_FIXED_NEWSTYLE,
  HANDSHAKE_NO_ZEROES,
  INFO_BLOCK_SIZE,
  INFO_EXPORT,
  INFO_NAME,
  OPT_ABORT,
  OPT_EXPORT_NAME,
  OPT_GO,
  OPT_INFO,
  OPT_LIST,
  OPT_LIST_META_CONTEXT,
  OPT_SET_META_CONTEXT,
  OPT_STARTTLS,
  OPT_STRUCTURED_REPLY,
  OPTION_HEADER_BYTES,
  OPTION_LENGTH,
  OPTION_MAGIC_HIGH,
  OPTION_MAGIC_LOW,
  OPTION_NUMBER,
  PAYLOAD_BYTES_MAX,
  PREFERRED_BLOCK_BYTES,
  REP_ACK,
  REP_ERR_INVALID,
  REP_ERR_POLICY,
  REP_ERR_UNKNOWN,
  REP_ERR_UNSUP,
  REP_INFO,
  REP_META_CONTEXT,
  REP_SERVER,
} from './abi.ts'
import { contextReply, exportInfo, greeting, optionReply, serverReply } from './handshake-replies.ts'
import { parseExportRequest, parseMetaRequest } from './option-data.ts'

/** Data of one option: room for the longest export name and a number of queries. */
export const OPTION_BYTES_MAX: Bytes = 16 * 1024

/** What is offered, as it is when a client asks. */
export interface NbdExport {
  readonly name: string
  readonly sizeBytes: Bytes
  readonly sectorBytes: Bytes
  /** Whether ranges can be zeroed without writing zeros; trims are offered only then. */
  readonly canZero: boolean
}

export interface NbdSession {
  /** Errors carry a message, and reads come in chunks. */
  readonly structured: boolean
  /** BLOCK_STATUS may be asked for, of ALLOCATION_CONTEXT. */
  readonly allocation: boolean
}

export interface NegotiationHost {
  send(reply: Buffer): void
  offered(): NbdExport
  /** Why no further client may begin; null: it may. */
  refusal(): string | null
}

export class Negotiation {
  /** Set when the client has begun the transmission phase. */
  session: NbdSession | null = null
  /** The client asked to end, or must be cut off. */
  ended = false
  private readonly host: NegotiationHost
  private readonly input = Buffer.allocUnsafe(OPTION_HEADER_BYTES + OPTION_BYTES_MAX)
  private filled = 0
  private wanted = CLIENT_FLAGS_BYTES
  private phase: 'flags' | 'header' | 'data' = 'flags'
  private noZeroes = false
  private structured = false
  /** The client has selected ALLOCATION_CONTEXT. */
  private allocation = false

  constructor(host: NegotiationHost) {
    this.host = host
  }

  /** The first words, which are the server's. */
  begin(): void {
    this.host.send(greeting())
  }

  /** Takes bytes of buffer[start, end) until the handshake is over; returns where it stopped. */
  take(buffer: Buffer, start: number, end: number): number {
    let at = start
    while (at < end && this.session === null && !this.ended) {
      const count = Math.min(end - at, this.wanted - this.filled)
      buffer.copy(this.input, this.filled, at, at + count)
      this.filled += count
      at += count
      if (this.filled === this.wanted) this.onWanted()
    }
    return at
  }

  private onWanted(): void {
    if (this.phase === 'flags') this.onFlags()
    else if (this.phase === 'header') this.onHeader()
    if (this.phase === 'data' && this.filled === this.wanted && !this.ended) this.onOption()
  }

  private onFlags(): void {
    const flags = this.input.readUInt32BE(0)
    this.noZeroes = (flags & HANDSHAKE_NO_ZEROES) !== 0
    if ((flags & ~(HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES)) !== 0) this.ended = true
    this.nextOption()
  }

  private nextOption(): void {
    this.phase = 'header'
    this.filled = 0
    this.wanted = OPTION_HEADER_BYTES
  }

  private onHeader(): void {
    const { input } = this
    const length = input.readUInt32BE(OPTION_LENGTH)
    const isOption = input.readUInt32BE(0) === OPTION_MAGIC_HIGH && input.readUInt32BE(4) === OPTION_MAGIC_LOW
    if (!isOption || length > OPTION_BYTES_MAX) {
      this.ended = true
      return
    }
    this.phase = 'data'
    this.wanted = OPTION_HEADER_BYTES + length
  }

  private onOption(): void {
    const option = this.input.readUInt32BE(OPTION_NUMBER)
    const data = this.input.subarray(OPTION_HEADER_BYTES, this.filled)
    switch (option) {
      case OPT_EXPORT_NAME:
        this.onExportName(data)
        break
      case OPT_ABORT:
        this.reply(option, REP_ACK)
        this.ended = true
        break
      case OPT_LIST:
        if (data.length > 0) this.refuse(option, REP_ERR_INVALID, 'LIST takes no data')
        else {
          this.host.send(optionReply(option, REP_SERVER, serverReply(this.host.offered().name)))
          this.reply(option, REP_ACK)
        }
        break
      case OPT_INFO:
      case OPT_GO:
        this.onExportRequest(option, data)
        break
      case OPT_STRUCTURED_REPLY:
        if (data.length > 0) this.refuse(option, REP_ERR_INVALID, 'STRUCTURED_REPLY takes no data')
        else {
          this.structured = true
          this.reply(option, REP_ACK)
        }
        break
      case OPT_LIST_META_CONTEXT:
      case OPT_SET_META_CONTEXT:
        this.onMetaContext(option, data)
        break
      case OPT_STARTTLS:
        this.refuse(option, REP_ERR_POLICY, 'a unix socket needs no TLS')
        break
      default:
        this.refuse(option, REP_ERR_UNSUP, 'this option is not known')
    }
    this.nextOption()
  }

  /** The old way to begin; it knows no error reply. */
  private onExportName(data: Buffer): void {
    const offered = this.host.offered()
    if (!isName(data.toString('utf8'), offered) || this.host.refusal() !== null) {
      this.ended = true
      return
    }
    const answer = exportInfo(offered.sizeBytes, this.flags(offered))
    this.host.send(answer)
    if (!this.noZeroes) this.host.send(Buffer.alloc(EXPORT_NAME_ZEROES_BYTES))
    this.enter()
  }

  private onExportRequest(option: number, data: Buffer): void {
    const asked = parseExportRequest(data)
    if (asked === null) return this.refuse(option, REP_ERR_INVALID, 'the option is malformed')
    const offered = this.host.offered()
    if (!isName(asked.name, offered)) {
      return this.refuse(option, REP_ERR_UNKNOWN, `the only export is ${offered.name}`)
    }
    const refusal = this.host.refusal()
    if (option === OPT_GO && refusal !== null) return this.refuse(option, REP_ERR_POLICY, refusal)
    const type = Buffer.alloc(2)
    type.writeUInt16BE(INFO_EXPORT)
    const size = exportInfo(offered.sizeBytes, this.flags(offered))
    this.host.send(optionReply(option, REP_INFO, Buffer.concat([type, size])))
    if (asked.infos.includes(INFO_NAME)) {
      const name = Buffer.from(`\0\0${offered.name}`)
      name.writeUInt16BE(INFO_NAME)
      this.host.send(optionReply(option, REP_INFO, name))
    }
    const sizes = Buffer.alloc(14)
    sizes.writeUInt16BE(INFO_BLOCK_SIZE)
    sizes.writeUInt32BE(offered.sectorBytes, 2)
    sizes.writeUInt32BE(PREFERRED_BLOCK_BYTES, 6)
    sizes.writeUInt32BE(PAYLOAD_BYTES_MAX, 10)
    this.host.send(optionReply(option, REP_INFO, sizes))
    this.reply(option, REP_ACK)
    if (option === OPT_GO) this.enter()
  }

  private onMetaContext(option: number, data: Buffer): void {
    const selects = option === OPT_SET_META_CONTEXT
    // A selection that fails replaces the one before, too.
    if (selects) this.allocation = false
    if (!this.structured) return this.refuse(option, REP_ERR_INVALID, 'structured replies must be negotiated first')
    const asked = parseMetaRequest(data)
    if (asked === null) return this.refuse(option, REP_ERR_INVALID, 'the option is malformed')
    const offered = this.host.offered()
    if (!isName(asked.name, offered)) {
      return this.refuse(option, REP_ERR_UNKNOWN, `the only export is ${offered.name}`)
    }
    const matches = selects
      ? asked.queries.includes(ALLOCATION_CONTEXT)
      : asked.queries.length === 0 || asked.queries.some((query) => query === 'base:' || query === ALLOCATION_CONTEXT)
    if (matches) {
      if (selects) this.allocation = true
      const context = contextReply(selects ? ALLOCATION_CONTEXT_ID : 0, ALLOCATION_CONTEXT)
      this.host.send(optionReply(option, REP_META_CONTEXT, context))
    }
    this.reply(option, REP_ACK)
  }

  private enter(): void {
    this.session = { structured: this.structured, allocation: this.allocation }
  }

  private flags({ canZero }: NbdExport): number {
    return (
      FLAG_HAS_FLAGS |
      FLAG_SEND_FLUSH |
      FLAG_SEND_FUA |
      FLAG_SEND_WRITE_ZEROES |
      FLAG_SEND_FAST_ZERO |
      FLAG_CAN_MULTI_CONN |
      FLAG_SEND_CACHE |
      (canZero ? FLAG_SEND_TRIM : 0) |
      (this.structured ? FLAG_SEND_DF : 0)
    )
  }

  private reply(option: number, type: number): void {
    this.host.send(optionReply(option, type, Buffer.alloc(0)))
  }

  private refuse(option: number, type: number, message: string): void {
    this.host.send(optionReply(option, type, Buffer.from(message)))
  }
}

/** The empty name stands for the default export. */
function isName(asked: string, { name }: NbdExport): boolean {
  return asked === '' || asked === name
}
