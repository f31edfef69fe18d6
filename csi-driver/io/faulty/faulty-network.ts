// A network that goes wrong as its FaultPlan says, around any other. A stream keeps its promise of order and of no
// gaps while it lives, as TCP does; so a byte that is lost ends the stream:
//   op=connect  error, hang, delay            op=data (incoming) and op=write (outgoing)
//   error  the stream breaks with that errno  torn   a part arrives, then it breaks (ECONNRESET)
//   hang   nothing arrives any more           lost   breaks without an error on our side, as a peer's close
//   delay  this and all later bytes are late  split  arrives in several pieces (op=data)
//   flip   wrong bits
import type { Timers } from '../../../base/clock.ts'
import { IoError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import type { ByteStream, Listener, Network, NetworkAddress, StreamHandlers } from '../network.ts'
import type { PeerNetwork, PeerStream } from '../peer-network.ts'
import type { FaultPlan } from './fault-plan.ts'
import type { FaultEffect } from './fault-rule.ts'

interface FaultParts {
  readonly plan: FaultPlan
  readonly timers: Timers
}

export interface FaultyNetworkParts extends FaultParts {
  readonly network: Network
}

export interface FaultyPeerNetworkParts extends FaultParts {
  readonly network: PeerNetwork
}

export class FaultyNetwork implements Network {
  private readonly parts: FaultyNetworkParts

  constructor(parts: FaultyNetworkParts) {
    this.parts = parts
  }

  listen(
    address: NetworkAddress,
    onStream: (stream: ByteStream) => void,
    done: (error: IoError | null, listener: Listener | null) => void,
  ): void {
    this.parts.network.listen(address, (stream) => onStream(new FaultyStream(stream, this.parts)), done)
  }

  connect(address: NetworkAddress, done: (error: IoError | null, stream: ByteStream | null) => void): void {
    const connect = (): void => {
      this.parts.network.connect(address, (error, stream) => {
        done(error, stream === null ? null : new FaultyStream(stream, this.parts))
      })
    }
    strikeConnect(this.parts, connect, done)
  }
}

/** The same for streams between nodes. Wrong bits reach the reader, as no TLS would let them: checksums above are tested by them. */
export class FaultyPeerNetwork implements PeerNetwork {
  private readonly parts: FaultyPeerNetworkParts

  constructor(parts: FaultyPeerNetworkParts) {
    this.parts = parts
  }

  listen(
    address: NetworkAddress,
    onStream: (stream: PeerStream) => void,
    done: (error: IoError | null, listener: Listener | null) => void,
  ): void {
    this.parts.network.listen(address, (stream) => onStream(new FaultyPeerStream(stream, this.parts)), done)
  }

  connect(
    address: NetworkAddress,
    node: string,
    done: (error: IoError | null, stream: PeerStream | null) => void,
  ): void {
    const connect = (): void => {
      this.parts.network.connect(address, node, (error, stream) => {
        done(error, stream === null ? null : new FaultyPeerStream(stream, this.parts))
      })
    }
    strikeConnect(this.parts, connect, done)
  }
}

function strikeConnect(
  { plan, timers }: FaultParts,
  connect: () => void,
  done: (error: IoError | null, stream: null) => void,
): void {
  const effect = plan.strike('connect')
  if (effect === null) connect()
  else if (effect.kind === 'delay') timers.after(effect.delayMs, connect)
  else if (effect.kind !== 'hang') {
    const code = effect.kind === 'error' ? effect.code : 'ECONNRESET'
    timers.soon(() => done(new IoError(code, `injected fault op=connect errno=${code}`), null))
  }
}

/** One direction of a stream: keeps the order when something is late, and stays dead once it is. */
class Direction {
  private readonly waiting: (() => void)[] = []
  private late = false
  dead = false

  /** Runs `step` now, or behind what is late. */
  run(step: () => void): void {
    if (this.dead) return
    if (this.late) this.waiting.push(step)
    else step()
  }

  delay(timers: Timers, delayMs: number, step: () => void): void {
    this.late = true
    timers.after(delayMs, () => {
      this.late = false
      if (!this.dead) step()
      // A step may be late again: then the rest goes on waiting behind it.
      while (!this.late && !this.dead) {
        const next = this.waiting.shift()
        if (next === undefined) return
        next()
      }
    })
  }
}

class FaultyStream implements ByteStream {
  private readonly stream: ByteStream
  private readonly plan: FaultPlan
  private readonly timers: Timers
  private readonly incoming = new Direction()
  private readonly outgoing = new Direction()
  private injected: IoError | null = null

  constructor(stream: ByteStream, parts: FaultParts) {
    this.stream = stream
    this.plan = parts.plan
    this.timers = parts.timers
  }

  get remote(): string {
    return this.stream.remote
  }

  get pendingBytes(): Bytes {
    return this.stream.pendingBytes
  }

  start(handlers: StreamHandlers): void {
    this.stream.start({
      data: (bytes) => {
        // Kept beyond the call when late.
        const kept = Buffer.from(bytes)
        this.incoming.run(() => this.deliver(kept, handlers))
      },
      drain: () => handlers.drain?.(),
      end: () => this.incoming.run(() => handlers.end?.()),
      closed: (error) => {
        this.incoming.dead = true
        this.outgoing.dead = true
        handlers.closed(this.injected ?? error)
      },
    })
  }

  write(bytes: Buffer): boolean {
    let accepted = true
    this.outgoing.run(() => {
      const effect = this.plan.strike('write', 0, bytes.length)
      this.apply(effect, this.outgoing, bytes, (some) => {
        accepted = this.stream.write(some)
      })
    })
    return accepted
  }

  push(): void {
    this.stream.push()
  }

  pause(): void {
    this.stream.pause()
  }

  resume(): void {
    this.stream.resume()
  }

  end(): void {
    this.outgoing.run(() => this.stream.end())
  }

  destroy(): void {
    this.stream.destroy()
  }

  private deliver(bytes: Buffer, handlers: StreamHandlers): void {
    const effect = this.plan.strike('data', 0, bytes.length)
    if (effect?.kind !== 'split') {
      this.apply(effect, this.incoming, bytes, (some) => handlers.data(some))
      return
    }
    for (let start = 0; start < bytes.length && !this.incoming.dead; ) {
      const end = start + 1 + this.plan.prng.below(Math.min(64, bytes.length - start))
      handlers.data(bytes.subarray(start, end))
      start = end
    }
  }

  private apply(effect: FaultEffect | null, direction: Direction, bytes: Buffer, pass: (bytes: Buffer) => void): void {
    switch (effect?.kind) {
      case undefined:
      case 'split':
      case 'misdirect':
        pass(bytes)
        return
      case 'error':
        this.break(effect.code)
        return
      case 'lost':
        this.break(null)
        return
      case 'hang':
        direction.dead = true
        return
      case 'delay':
        direction.delay(this.timers, effect.delayMs, () => pass(bytes))
        return
      case 'torn':
        if (bytes.length > 1) pass(bytes.subarray(0, this.plan.prng.below(bytes.length - 1) + 1))
        this.break('ECONNRESET')
        return
      case 'flip': {
        const wrong = Buffer.from(bytes)
        for (let i = 0; i < effect.bits; i++) {
          const at = this.plan.prng.below(wrong.length)
          wrong[at] = (wrong[at] as number) ^ (1 << this.plan.prng.below(8))
        }
        pass(wrong)
      }
    }
  }

  private break(code: string | null): void {
    this.incoming.dead = true
    this.outgoing.dead = true
    if (code !== null) this.injected ??= new IoError(code, `injected fault remote=${this.remote} errno=${code}`)
    this.stream.destroy()
  }
}

class FaultyPeerStream extends FaultyStream implements PeerStream {
  readonly peerNode: string
  private readonly peerStream: PeerStream

  constructor(stream: PeerStream, parts: FaultParts) {
    super(stream, parts)
    this.peerNode = stream.peerNode
    this.peerStream = stream
  }

  exporter(): Buffer {
    return this.peerStream.exporter()
  }
}
