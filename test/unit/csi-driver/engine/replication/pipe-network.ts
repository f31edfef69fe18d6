// Streams between nodes in memory, for tests of the engine with real receivers: bytes arrive in order, a moment later. A
// node that is cut off neither sends nor receives, and its streams stay open; one that is down loses them.
import { IoError } from '../../../../../base/errors.ts'
import type { Timers } from '../../../../../base/clock.ts'
import type { Listener, NetworkAddress, StreamHandlers } from '../../../../../csi-driver/io/network.ts'
import { printNetworkAddress } from '../../../../../csi-driver/io/network.ts'
import type { PeerNetwork, PeerStream } from '../../../../../csi-driver/io/peer-network.ts'

class PipeEnd implements PeerStream {
  readonly remote: string
  readonly peerNode: string
  pendingBytes = 0
  other: PipeEnd | null = null
  private readonly net: PipeNetwork
  private readonly node: string
  private readonly secret: Buffer
  private handlers: StreamHandlers | null = null
  private inbox: Buffer[] = []
  private paused = false
  closed = false

  private readonly process: string

  constructor(net: PipeNetwork, { node, process }: Owner, peerNode: string, secret: Buffer) {
    this.net = net
    this.node = node
    this.process = process
    this.peerNode = peerNode
    this.remote = peerNode
    this.secret = secret
  }

  exporter(): Buffer {
    return Buffer.from(this.secret)
  }

  start(handlers: StreamHandlers): void {
    this.handlers = handlers
    this.net.later(() => this.deliver())
  }

  write(bytes: Buffer): boolean {
    const copy = Buffer.from(bytes)
    this.net.later(() => this.other?.receive(copy))
    return true
  }

  receive(bytes: Buffer): void {
    if (this.closed) return
    this.inbox.push(bytes)
    this.deliver()
  }

  deliver(): void {
    while (!this.closed && !this.paused && this.handlers !== null && this.inbox.length > 0) {
      if (this.net.isCut(this.node, this.peerNode)) return
      this.handlers.data(this.inbox.shift() as Buffer)
    }
  }

  push(): void {}

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.net.later(() => this.deliver())
  }

  end(): void {
    this.net.later(() => this.destroy())
  }

  destroy(): void {
    this.net.later(() => {
      this.close()
      if (!this.net.isCut(this.node, this.peerNode)) this.other?.close()
    })
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.net.ends.delete(this)
    this.handlers?.closed(null)
  }

  belongsTo(process: string): boolean {
    return this.process === process
  }
}

interface Owner {
  readonly node: string
  readonly process: string
}

interface Listening extends Owner {
  readonly onStream: (stream: PeerStream) => void
}

export class PipeNetwork {
  readonly ends = new Set<PipeEnd>()
  private readonly timers: Timers
  private readonly listening = new Map<string, Listening>()
  private readonly cut = new Set<string>()
  private readonly dead = new Set<string>()
  private secrets = 0

  constructor(timers: Timers) {
    this.timers = timers
  }

  later(run: () => void): void {
    this.timers.soon(run)
  }

  isCut(a: string, b: string): boolean {
    return this.cut.has(a) || this.cut.has(b)
  }

  cutOff(node: string): void {
    this.cut.add(node)
  }

  heal(node: string): void {
    this.cut.delete(node)
    for (const end of this.ends) this.later(() => end.deliver())
  }

  /** The process is gone: its streams are closed on both sides. */
  down(process: string): void {
    this.dead.add(process)
    for (const [key, one] of this.listening) if (one.process === process) this.listening.delete(key)
    for (const end of [...this.ends]) {
      if (!end.belongsTo(process)) continue
      const { other } = end
      end.closed = true
      this.ends.delete(end)
      if (other !== null) this.later(() => other.close())
    }
  }

  attach(node: string, process: string): PeerNetwork {
    const owner = { node, process }
    return {
      listen: (address, onStream, done) => {
        const key = printNetworkAddress(address)
        this.listening.set(key, { node, process, onStream })
        const listener: Listener = {
          address,
          close: (closed) => {
            this.listening.delete(key)
            closed()
          },
        }
        this.later(() => done(null, listener))
      },
      connect: (address: NetworkAddress, wanted, done) => {
        const found = this.listening.get(printNetworkAddress(address))
        this.later(() => {
          if (this.dead.has(process)) return
          if (found === undefined || found.node !== wanted || this.isCut(node, wanted)) {
            done(new IoError('ECONNREFUSED', 'nobody listens'), null)
            return
          }
          const secret = Buffer.alloc(32, (this.secrets += 1))
          const near = new PipeEnd(this, owner, wanted, secret)
          const far = new PipeEnd(this, found, node, secret)
          near.other = far
          far.other = near
          this.ends.add(near).add(far)
          found.onStream(far)
          done(null, near)
        })
      },
    }
  }
}
