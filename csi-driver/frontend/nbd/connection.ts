// One client: bytes of its socket become requests of the engine and back.
//
//   handshake ──▶ open ──▶ closing ──▶ over
//
// open: requests are taken in as they come, as long as its pool has requests and it reads its answers; otherwise what was
// read stays in `backlog` and the socket is paused. closing: nothing more is taken in; it ends when everything is
// answered. over: the socket is gone; requests that the engine still has end without an answer.
//
// Invariants:
// - Every request is inside the volume and a multiple of its sector size before the engine sees it.
// - Nothing of a client is believed: what is malformed is refused, what cannot be told apart from noise ends the
//   connection. Neither reaches the engine.
// - Stalled requests: the first request goes to the engine only when those of connections that ended before are through
//   (`mayBegin`), and what waited here is taken in only while its client is there. A client that came back, or went on with
//   another connection, must not see an old write of its own land on a new one.
import { assert } from '../../../base/assert.ts'
import type { IoError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import type { RequestKind, RequestResult, RequestSink } from '../../engine/request.ts'
import { REQUEST_FLUSH, REQUEST_OK, REQUEST_READ, REQUEST_WRITE, REQUEST_ZERO } from '../../engine/request.ts'
import type { LocalSocket, LocalSocketEvents } from '../../io/local-sockets.ts'
import {
  CMD_DISC,
  CMD_FLAG_FUA,
  CMD_FLAG_NO_HOLE,
  CMD_FLUSH,
  CMD_READ,
  CMD_TRIM,
  CMD_WRITE,
  CMD_WRITE_ZEROES,
  PAYLOAD_BYTES_MAX,
  REQUEST_HEADER_BYTES,
} from './abi.ts'
import type { FrontendCounters } from '../frontend-counters.ts'
import { Negotiation, type NbdExport } from './negotiation.ts'
import { Outbox } from './outbox.ts'
import { RequestHeader } from './request-header.ts'
import type { LongWrite, NbdRequest, RequestOwner, RequestPool } from './request-pool.ts'
import { PIECE_BYTES_MAX } from './request-pool.ts'

/** The front end, as a connection sees it. */
export interface ConnectionHost {
  readonly sink: RequestSink
  readonly sectorBytes: Bytes
  readonly counters: FrontendCounters
  offered(): NbdExport
  /** Why no further client may begin; null: it may. */
  refusal(): string | null
  /** The handshake is over; gives the requests for this connection. */
  begun(connection: NbdConnection): RequestPool
  /** Whether the first request may be submitted. If not, `proceed` is called when it may. */
  mayBegin(connection: NbdConnection): boolean
  /** `turn` is to be called once, when what has come in has been delivered. */
  wantsTurn(connection: NbdConnection): void
  /** A connection that takes nothing in any more has nothing in the engine. */
  drained(): void
  /** The socket is gone. */
  ended(connection: NbdConnection): void
  /** The socket is gone and the engine has nothing of it any more: `pool` may be given to another. */
  settled(connection: NbdConnection, pool: RequestPool | null): void
}

export class NbdConnection implements LocalSocketEvents, RequestOwner {
  readonly socket: LocalSocket
  /** Submitted to the engine and not completed. */
  outstanding = 0
  state: 'handshake' | 'open' | 'closing' | 'over' = 'handshake'
  private readonly host: ConnectionHost
  private readonly outbox: Outbox
  /** Null when the handshake is over. */
  private negotiation: Negotiation | null
  private readonly header = new RequestHeader()
  private pool: RequestPool | null = null
  private begun = false
  /** The client cannot be told in any other way than by the end of the connection. */
  private broken = false
  private paused = false
  private stopped = false
  private inTurn = false
  private turnWanted = false
  /** Bytes that were read and could not be taken in. */
  private backlog: Buffer | null = null
  /** A header that came in two parts. */
  private readonly head = Buffer.allocUnsafe(REQUEST_HEADER_BYTES)
  private headFilled = 0
  /** Of the WRITE whose header was read: payload bytes that are not submitted, and where they go. */
  private payloadLeft = 0
  private payloadOffset = 0
  private payloadError = 0
  private longWrite: LongWrite | null = null
  /** A piece of payload that came in several parts. */
  private piece: Buffer | null = null
  private pieceFilled = 0
  /** Long reads whose next piece is to be submitted. */
  private continuing: NbdRequest[] = []

  constructor(socket: LocalSocket, host: ConnectionHost) {
    this.socket = socket
    this.host = host
    this.outbox = new Outbox(socket, {
      onReplied: (request) => this.onReplied(request),
      onBroken: (request) => {
        this.giveBack(request)
        this.broken = true
        this.wantTurn()
      },
    })
    this.negotiation = new Negotiation({
      // A client that reads nothing of what it is told is none.
      send: (reply) => {
        if (!this.outbox.addBytes(reply)) this.broken = true
      },
      offered: () => host.offered(),
      refusal: () => host.refusal(),
    })
  }

  /** Greets the client. */
  start(): void {
    this.socket.start(this)
    this.negotiation?.begin()
    this.outbox.flush()
  }

  /** Does not even greet. */
  turnAway(): void {
    this.socket.start(this)
    this.socket.destroy()
  }

  onBytes(buffer: Buffer, length: Bytes): void {
    this.inTurn = true
    if (this.backlog === null) this.takeIn(buffer, 0, length)
    else this.backlog = Buffer.concat([this.backlog, buffer.subarray(0, length)])
    this.endTurn()
  }

  /** What was put off: pieces of long reads, requests that waited for room, answers that came meanwhile. */
  turn(): void {
    this.turnWanted = false
    if (this.isOver) return
    this.inTurn = true
    const { continuing } = this
    this.continuing = []
    for (const request of continuing) this.submit(request, REQUEST_READ)
    this.takeBacklog()
    if (this.backlog === null && this.paused) {
      this.paused = false
      this.socket.resume()
    }
    this.endTurn()
  }

  onWritten(): void {
    if (this.state === 'over') return
    this.outbox.onWritten()
    this.wantTurn()
  }

  onEnd(): void {
    this.close()
  }

  onClosed(_error: IoError | null): void {
    this.end()
  }

  /** Takes nothing more in; ends when everything is answered. */
  close(): void {
    if (this.state === 'over' || this.state === 'closing') return
    this.state = 'closing'
    this.backlog = null
    this.wantTurn()
  }

  /** Takes no further request in, and stays. */
  stopTaking(): void {
    this.stopped = true
  }

  /** The connection may go on: see `ConnectionHost.mayBegin`. */
  proceed(): void {
    this.wantTurn()
  }

  private get isOver(): boolean {
    return this.state === 'over'
  }

  /** Nothing is under way, nor waits to be written. */
  get isQuiet(): boolean {
    return (this.pool?.inUse ?? 0) === 0 && this.outbox.isEmpty
  }

  /** Ends at once. */
  end(): void {
    if (this.state === 'over') return
    this.state = 'over'
    this.backlog = null
    this.socket.destroy()
    for (const request of [...this.outbox.abandon(), ...this.continuing]) this.giveBack(request)
    this.continuing = []
    this.host.ended(this)
    if (this.outstanding === 0) this.settle()
  }

  /** Called by the request itself, once. */
  finish(request: NbdRequest, result: RequestResult): void {
    this.outstanding--
    this.host.counters.inFlight--
    if (result !== REQUEST_OK) this.host.counters.failed++
    if (this.state === 'over') {
      this.giveBack(request)
      if (this.outstanding === 0) this.settle()
      return
    }
    if (this.state === 'closing' && this.outstanding === 0) this.host.drained()
    request.error = result
    if (result !== REQUEST_OK) request.restBytes = 0
    if (request.longWrite === null) this.outbox.add(request)
    else this.finishPiece(request, request.longWrite)
    if (!this.inTurn) this.wantTurn()
  }

  private settle(): void {
    const { pool } = this
    this.pool = null
    if (pool !== null) pool.owner = null
    this.host.settled(this, pool)
  }

  private finishPiece(request: NbdRequest, long: LongWrite): void {
    long.piecesOpen--
    if (long.error === 0) long.error = request.error
    request.error = long.error
    if (long.isWhole && long.piecesOpen === 0) this.outbox.add(request)
    else this.giveBack(request)
  }

  private onReplied(request: NbdRequest): void {
    if (request.restBytes === 0 || request.error !== 0) {
      this.giveBack(request)
      return
    }
    request.offset += request.length
    request.length = Math.min(request.restBytes, PIECE_BYTES_MAX)
    request.restBytes -= request.length
    request.continued = true
    this.continuing.push(request)
    this.wantTurn()
  }

  private giveBack(request: NbdRequest): void {
    this.poolOf().giveBack(request)
    if (this.backlog !== null) this.wantTurn()
  }

  private wantTurn(): void {
    if (this.turnWanted || this.state === 'over') return
    this.turnWanted = true
    this.host.wantsTurn(this)
  }

  private endTurn(): void {
    this.host.sink.kick()
    this.inTurn = false
    if (this.isOver) return
    this.outbox.release()
    this.outbox.flush()
    if (this.broken || (this.state === 'closing' && this.isQuiet)) this.end()
  }

  private takeIn(buffer: Buffer, start: number, end: number): void {
    let at = start
    const { negotiation } = this
    if (negotiation !== null) {
      at = negotiation.take(buffer, at, end)
      const { session, ended } = negotiation
      if (ended || this.broken) return this.close()
      if (session === null) return
      this.negotiation = null
      this.state = 'open'
      this.outbox.structured = session.structured
      this.header.session = session
      this.pool = this.host.begun(this)
      this.pool.owner = this
    }
    while (at < end && this.state === 'open') {
      const taken = this.payloadLeft > 0 ? this.takePayload(buffer, at, end) : this.takeHeader(buffer, at, end)
      if (taken === 0) return this.pause(buffer, at, end)
      at += taken
    }
  }

  /** What a client has left behind is not taken in: it may have sent it again on another connection that it has. */
  private takeBacklog(): void {
    const { backlog } = this
    if (backlog === null) return
    if (this.socket.isGone()) return this.end()
    this.backlog = null
    this.takeIn(backlog, 0, backlog.length)
  }

  private pause(buffer: Buffer, at: number, end: number): void {
    this.backlog = Buffer.from(buffer.subarray(at, end))
    if (this.paused) return
    this.paused = true
    this.host.counters.pauses++
    this.socket.pause()
  }

  /** Bytes taken of a header; 0: not now. */
  private takeHeader(buffer: Buffer, at: number, end: number): number {
    if (this.stopped || this.outbox.isBlocked) return 0
    if (!this.begun) {
      if (!this.host.mayBegin(this)) return 0
      this.begun = true
    }
    if (this.headFilled === 0 && end - at >= REQUEST_HEADER_BYTES) {
      return this.takeRequest(buffer, at) ? REQUEST_HEADER_BYTES : 0
    }
    const count = Math.min(REQUEST_HEADER_BYTES - this.headFilled, end - at)
    buffer.copy(this.head, this.headFilled, at, at + count)
    if (this.headFilled + count < REQUEST_HEADER_BYTES) {
      this.headFilled += count
      return count
    }
    if (!this.takeRequest(this.head, 0)) return 0
    this.headFilled = 0
    return count
  }

  /** False: there is no room for it now, and nothing has happened. */
  private takeRequest(buffer: Buffer, at: number): boolean {
    const { header } = this
    const pool = this.poolOf()
    if (!pool.mayTake) return false
    if (!header.read(buffer, at)) {
      this.end()
      return true
    }
    if (header.command === CMD_DISC) {
      this.close()
      return true
    }
    const { sink, counters, sectorBytes } = this.host
    const error = header.check(sink, sectorBytes)
    if (header.command === CMD_WRITE && header.length > 0) {
      this.beginWrite(error)
      return true
    }
    const isRead = header.command === CMD_READ && error === 0 && header.length > 0
    const pieceBytes = Math.min(header.length, PIECE_BYTES_MAX)
    const request = isRead ? pool.takeRead(pieceBytes) : pool.takePlain()
    if (request === null) return false
    this.name(request)
    request.offset = header.offset
    request.length = header.length
    request.error = error
    if (isRead) {
      request.length = pieceBytes
      request.restBytes = header.length - pieceBytes
      counters.reads++
      counters.readBytes += header.length
      this.submit(request, REQUEST_READ)
    } else if (error !== 0) this.refuse(request)
    else this.begin(request)
    return true
  }

  /** A request without data in either direction that is right. */
  private begin(request: NbdRequest): void {
    const { counters, sink } = this.host
    const { command, flags } = this.header
    if (command === CMD_FLUSH) {
      counters.flushes++
      this.submit(request, REQUEST_FLUSH)
    } else if (request.length > 0 && (command === CMD_WRITE_ZEROES || (command === CMD_TRIM && sink.canZero))) {
      counters.zeroes++
      request.mayUnmap = command === CMD_TRIM || (flags & CMD_FLAG_NO_HOLE) === 0
      request.forceUnitAccess = (flags & CMD_FLAG_FUA) !== 0
      this.submit(request, REQUEST_ZERO)
    } else this.outbox.add(request)
  }

  private refuse(request: NbdRequest): void {
    this.host.counters.failed++
    this.outbox.add(request)
  }

  private beginWrite(error: number): void {
    const { header } = this
    const { counters } = this.host
    if (header.length > PAYLOAD_BYTES_MAX) {
      // Nobody waits for so much payload only to throw it away.
      const request = this.poolOf().takePlain()
      this.name(request)
      request.error = error
      this.refuse(request)
      this.close()
      return
    }
    this.payloadLeft = header.length
    this.payloadOffset = header.offset
    this.payloadError = error
    this.longWrite = header.length > PIECE_BYTES_MAX && error === 0 ? { piecesOpen: 0, isWhole: false, error: 0 } : null
    if (error !== 0) return
    counters.writes++
    counters.writtenBytes += header.length
  }

  /** Bytes taken of the payload; 0: not now. */
  private takePayload(buffer: Buffer, at: number, end: number): number {
    const pieceBytes = Math.min(this.payloadLeft, PIECE_BYTES_MAX)
    const count = Math.min(pieceBytes - this.pieceFilled, end - at)
    const isComplete = this.pieceFilled + count === pieceBytes
    if (isComplete && !this.poolOf().mayTakeWrite(pieceBytes)) return 0
    if (this.payloadError !== 0) {
      this.pieceFilled += count
      if (isComplete) this.skipPiece(pieceBytes)
      return count
    }
    if (this.pieceFilled === 0 && isComplete) {
      this.submitPiece(buffer, at, pieceBytes)
      return count
    }
    this.piece ??= Buffer.allocUnsafeSlow(PIECE_BYTES_MAX)
    buffer.copy(this.piece, this.pieceFilled, at, at + count)
    this.pieceFilled += count
    if (isComplete) this.submitPiece(this.piece, 0, pieceBytes)
    return count
  }

  private submitPiece(data: Buffer, dataStart: number, length: Bytes): void {
    const request = this.poolOf().takeWrite(length)
    this.name(request)
    request.offset = this.payloadOffset
    request.length = length
    request.data = data
    request.dataStart = dataStart
    request.forceUnitAccess = (this.header.flags & CMD_FLAG_FUA) !== 0
    request.longWrite = this.longWrite
    this.payloadOffset += length
    this.payloadLeft -= length
    this.pieceFilled = 0
    if (this.longWrite !== null) {
      this.longWrite.piecesOpen++
      this.longWrite.isWhole = this.payloadLeft === 0
    }
    this.submit(request, REQUEST_WRITE)
  }

  private skipPiece(length: Bytes): void {
    this.payloadLeft -= length
    this.pieceFilled = 0
    if (this.payloadLeft > 0) return
    const request = this.poolOf().takePlain()
    this.name(request)
    request.error = this.payloadError
    this.refuse(request)
  }

  private name(request: NbdRequest): void {
    request.command = this.header.command
    request.cookieHigh = this.header.cookieHigh
    request.cookieLow = this.header.cookieLow
    request.forceUnitAccess = false
  }

  private submit(request: NbdRequest, kind: RequestKind): void {
    request.kind = kind
    request.outstanding = true
    this.outstanding++
    this.host.counters.inFlight++
    this.host.sink.submit(request)
  }

  private poolOf(): RequestPool {
    assert(this.pool !== null, 'a connection that is open has requests')
    return this.pool
  }
}
