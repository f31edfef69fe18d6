// One simulated connection: two ends, and a pipe in each direction that behaves as TCP does while it lives. Order and no
// gaps; bytes are cut and joined anywhere; what the writer's kernel has taken still arrives when the writer is dead;
// what stands still in the network waits (it is sent again and again) and is never lost but by the end of the connection.
// Written bytes are taken when they are "sent", perhaps after the call, and delivered bytes are overwritten after the
// call that brought them: whoever breaks the promises of ByteStream about buffers reads rubbish.
import type { Timer } from '../../base/clock.ts'
import { IoError } from '../../base/errors.ts'
import type { Prng } from '../../base/prng.ts'
import type { Bytes } from '../../base/units.ts'
import type { StreamHandlers } from '../../csi-driver/io/network.ts'
import { STREAM_HIGH_WATER_BYTES, STREAM_PENDING_BYTES_MAX } from '../../csi-driver/io/network.ts'
import type { PeerStream } from '../../csi-driver/io/peer-network.ts'
import type { Process, World } from './world.ts'

/** What a connection asks of the network that it runs through. */
export interface Wire {
  readonly world: World
  readonly prng: Prng
  readonly windowBytes: Bytes
  readonly chunkBytesMax: Bytes
  /** Unanswered for longer than this, a sender gives up with ETIMEDOUT. */
  readonly silenceLimitMs: number
  /** Time of one packet of that size. */
  travelMs(bytes: Bytes): number
  /** False while nothing gets from one host to the other. */
  passes(from: string, to: string): boolean
  /** False while nothing on the host runs. */
  runs(host: string): boolean
  /** By chance of the scenario: this packet is the connection's end. */
  breaks(): boolean
}

type Item =
  | { readonly kind: 'open' | 'end' | 'reset' }
  | { readonly kind: 'data'; readonly bytes: Buffer; readonly lengthBytes: Bytes }

const GARBAGE = 0xdb
/** Share of writes that the kernel takes within the call. */
const SYNCHRONOUS_SHARE = 0.7

/** One direction, from the writer's queue to the reader's kernel. */
class Pipe {
  /** Accepted by `write` and still in the writer's process. */
  pendingBytes: Bytes = 0
  /** The writer will add nothing more. */
  ended = false
  private readonly wire: Wire
  private readonly from: End
  private readonly to: End
  private pending: Buffer[] = []
  private flight: Item[] = []
  private unreadBytes: Bytes = 0
  private lastArrivalMs = 0
  private pumping = false
  /** Read at the other end, but the acknowledgement did not come through. */
  private unacknowledgedBytes: Bytes = 0
  private silence: Timer | null = null

  constructor(wire: Wire, from: End, to: End) {
    this.wire = wire
    this.from = from
    this.to = to
  }

  get isQuiet(): boolean {
    return this.flight.length === 0
  }

  push(bytes: Buffer): void {
    this.pending.push(bytes)
    this.pendingBytes += bytes.length
    if (this.wire.prng.chance(SYNCHRONOUS_SHARE)) this.pump()
    else this.pumpLater(this.wire.prng.float() * 0.05)
  }

  /** After everything that is pending. */
  finish(): void {
    this.ended = true
    this.pump()
  }

  /** Nothing of what is still in the writer's process will be sent. */
  dropPending(): void {
    this.pending = []
    this.pendingBytes = 0
  }

  /** The writer's host is gone: of what was under way, a part may still arrive. */
  dropTail(): void {
    this.flight.length = this.wire.prng.below(this.flight.length + 1)
  }

  send(item: Item): void {
    const { wire } = this
    const bytes = item.kind === 'data' ? item.lengthBytes : 0
    this.flight.push(item)
    this.lastArrivalMs = Math.max(this.lastArrivalMs, wire.world.nowMs + wire.travelMs(bytes))
    this.expect(this.lastArrivalMs - wire.world.nowMs)
  }

  /** The network may let packets pass again: everything that waits is sent once more. */
  retry(): void {
    if (this.silence !== null) {
      this.endSilence()
      this.lastArrivalMs = 0
      for (const item of this.flight) this.expect(this.wire.travelMs(item.kind === 'data' ? item.lengthBytes : 0))
    }
    const bytes = this.unacknowledgedBytes
    this.unacknowledgedBytes = 0
    if (bytes > 0) this.wasRead(bytes)
  }

  /** The reader has taken bytes out of its kernel. */
  wasRead(bytes: Bytes): void {
    if (!this.wire.passes(this.to.host, this.from.host)) {
      this.unacknowledgedBytes += bytes
      return
    }
    this.unreadBytes -= bytes
    if (this.pendingBytes > 0 || this.ended) this.pumpLater(this.wire.travelMs(0))
  }

  endSilence(): void {
    this.silence?.cancel()
    this.silence = null
  }

  private expect(delayMs: number): void {
    this.wire.world.schedule(delayMs, `net.arrive ${this.from.host}>${this.to.host}`, () => this.arrive())
  }

  private pumpLater(delayMs: number): void {
    if (this.pumping) return
    this.pumping = true
    this.wire.world.schedule(delayMs, `net.send ${this.from.host}>${this.to.host}`, () => {
      this.pumping = false
      this.pump()
    })
  }

  /** Hands as much as the window has room for to the kernel. */
  private pump(): void {
    const { wire, from } = this
    let room = wire.windowBytes - this.unreadBytes
    while (this.pendingBytes > 0 && room > 0) {
      const length = Math.min(this.pendingBytes, room, 1 + wire.prng.below(wire.chunkBytesMax))
      this.unreadBytes += length
      room -= length
      this.send({ kind: 'data', bytes: this.take(length), lengthBytes: length })
    }
    if (this.pendingBytes > 0) return
    from.sent()
    if (this.ended && !from.finSent) {
      from.finSent = true
      this.send({ kind: 'end' })
      from.settle()
    }
  }

  private take(length: Bytes): Buffer {
    const chunk = Buffer.alloc(length)
    for (let filled = 0; filled < length; ) {
      const head = this.pending[0] as Buffer
      const taken = head.copy(chunk, filled, 0, length - filled)
      filled += taken
      if (taken === head.length) this.pending.shift()
      else this.pending[0] = head.subarray(taken)
    }
    this.pendingBytes -= length
    return chunk
  }

  private arrive(): void {
    const { wire, from, to } = this
    if (this.flight.length === 0) return
    if (!wire.passes(from.host, to.host)) {
      this.stall()
      return
    }
    const item = this.flight.shift() as Item
    if (wire.breaks()) {
      to.fail('ECONNRESET')
      from.fail('ECONNRESET')
      return
    }
    // Nobody is there any more: the other kernel says so, behind what it has sent before.
    if (!to.arrived(item) && item.kind !== 'reset') to.out.send({ kind: 'reset' })
  }

  private stall(): void {
    if (this.silence !== null || this.from.isOver) return
    this.silence = this.wire.world.schedule(this.wire.silenceLimitMs, 'net.silence', () => {
      // The kernel gives up what it has sent again and again.
      this.flight = []
      this.from.fail('ETIMEDOUT')
    })
  }
}

/** One end: what its kernel has received, and the stream that its process sees. */
export class End implements PeerStream {
  readonly host: string
  readonly process: Process
  readonly peerNode: string
  readonly remoteHost: string
  readonly remote: string
  /** Set by joinEnds, before anybody sees the end. */
  out!: Pipe
  in!: Pipe
  finSent = false
  private readonly wire: Wire
  private readonly exported: Buffer
  private readonly onOpen: (stream: PeerStream) => void
  private handlers: StreamHandlers | null = null
  private received: Item[] = []
  private finReceived = false
  private paused = false
  private full = false
  private draining = false
  /** Nothing reaches the process any more; `closed` is under way or has run. */
  private over = false

  constructor(
    wire: Wire,
    at: { host: string; process: Process; peerNode: string; remoteHost: string; exported: Buffer },
    onOpen: (stream: PeerStream) => void,
  ) {
    this.wire = wire
    this.host = at.host
    this.process = at.process
    this.peerNode = at.peerNode
    this.remoteHost = at.remoteHost
    this.remote = `${at.remoteHost} node=${at.peerNode}`
    this.exported = at.exported
    this.onOpen = onOpen
  }

  get pendingBytes(): Bytes {
    return this.out.pendingBytes
  }

  get isOver(): boolean {
    return this.over
  }

  /** Nothing of it is under way any more. */
  get isQuiet(): boolean {
    return this.out.isQuiet && this.in.isQuiet
  }

  exporter(): Buffer {
    return Buffer.from(this.exported)
  }

  start(handlers: StreamHandlers): void {
    if (this.handlers !== null) throw new Error(`stream started twice remote=${this.remote}`)
    this.handlers = handlers
    this.drainLater()
  }

  write(bytes: Buffer): boolean {
    if (this.over || this.out.ended) return false
    if (this.pendingBytes + bytes.length > STREAM_PENDING_BYTES_MAX) {
      this.process.effect(() => {
        this.hangUp()
        this.fail('ENOBUFS')
      })
      return false
    }
    this.process.effect(() => this.out.push(bytes))
    this.full ||= this.pendingBytes > STREAM_HIGH_WATER_BYTES
    return !this.full
  }

  push(): void {}

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.drainLater()
  }

  end(): void {
    if (this.over || this.out.ended) return
    this.process.effect(() => this.out.finish())
  }

  destroy(): void {
    if (this.over) return
    this.process.effect(() => {
      this.hangUp()
      this.close(null)
    })
  }

  /** The process is dead: its kernel closes the connection. */
  processDied(): void {
    if (this.over) return
    this.over = true
    this.hangUp()
  }

  /** The host is dead: nobody is told. */
  vanish(): void {
    this.over = true
    this.finSent = true
    this.out.dropPending()
    this.out.dropTail()
  }

  /** Everything that was pending is with the kernel. */
  sent(): void {
    if (!this.full) return
    this.full = false
    this.wire.world.schedule(0, 'net.drain', () => {
      this.process.deliver(() => {
        if (!this.over) this.handlers?.drain?.()
      })
    })
  }

  /** Takes one packet from the network. False: nobody is here any more. */
  arrived(item: Item): boolean {
    if (this.over) return false
    if (item.kind === 'reset') {
      this.fail('ECONNRESET')
      return true
    }
    this.received.push(item)
    this.drain()
    return true
  }

  fail(code: string): void {
    if (!this.over) this.close(new IoError(code, `simulated connection failed remote=${this.remote} errno=${code}`))
  }

  /** Both sides have said that nothing more comes. */
  settle(): void {
    if (this.finSent && this.finReceived && !this.over) this.close(null)
  }

  /** Hands the process what has arrived, as far as it wants it. */
  drain(): void {
    while (this.canDeliver()) {
      const item = this.received.shift() as Item
      if (item.kind === 'open') this.onOpen(this)
      else if (item.kind === 'data') this.deliver(item)
      else {
        this.finReceived = true
        this.handlers?.end?.()
        this.settle()
      }
    }
  }

  private canDeliver(): boolean {
    const [head] = this.received
    if (head === undefined || this.over || !this.isRunning) return false
    return head.kind === 'open' || (this.handlers !== null && !this.paused)
  }

  private get isRunning(): boolean {
    return this.process.alive && !this.process.paused && this.wire.runs(this.host)
  }

  private deliver(item: Item & { kind: 'data' }): void {
    const { bytes } = item
    this.handlers?.data(bytes)
    bytes.fill(GARBAGE)
    this.in.wasRead(item.lengthBytes)
  }

  private drainLater(): void {
    if (this.draining) return
    this.draining = true
    this.process.timers.soon(() => {
      this.draining = false
      this.drain()
    })
  }

  /** As close(2) does: a FIN behind what the kernel has, or a reset. */
  private hangUp(): void {
    this.out.dropPending()
    if (this.finSent) return
    this.finSent = true
    this.out.send({ kind: this.received.length > 0 || this.wire.prng.chance(0.3) ? 'reset' : 'end' })
  }

  private close(error: IoError | null): void {
    this.over = true
    this.finSent = true
    this.out.dropPending()
    this.out.endSilence()
    this.received = []
    this.wire.world.schedule(0, `net.closed ${this.host}`, () => {
      this.process.deliver(() => this.handlers?.closed(error))
    })
  }
}

/** Joins two ends; the accepting one learns of it with the first packet. */
export function joinEnds(wire: Wire, client: End, server: End): void {
  client.out = new Pipe(wire, client, server)
  server.out = new Pipe(wire, server, client)
  client.in = server.out
  server.in = client.out
  client.out.send({ kind: 'open' })
}
