// The simulated network between nodes: hosts, who listens where, which direction between two hosts is cut, which host
// stands still. One SimNetwork outlives processes; attach() gives one life of a process its PeerNetwork. The host of an
// address is the name of the machine; the node's name is what its certificate would say, normally the same.
// A cut, a dead host and a standing host look the same from outside: silence. Nothing is lost, it comes late, unless the
// connection ends.
import type { Timer } from '../../base/clock.ts'
import { IoError } from '../../base/errors.ts'
import type { Prng } from '../../base/prng.ts'
import type { Bytes } from '../../base/units.ts'
import { printNetworkAddress } from '../../csi-driver/io/network.ts'
import type { Listener, NetworkAddress } from '../../csi-driver/io/network.ts'
import { EXPORTER_BYTES, type PeerNetwork, type PeerStream } from '../../csi-driver/io/peer-network.ts'
import { End, joinEnds, type Wire } from './network-connection.ts'
import type { Process, World } from './world.ts'

export interface NetworkSettings {
  /** Mean time of a packet one way; one in fifty takes ten times as long. */
  readonly latencyMs: number
  readonly megabytesPerSecond: number
  /** What the kernels of both sides hold of one direction. */
  readonly windowBytes: Bytes
  /** Bytes are delivered in pieces of any length up to this. */
  readonly chunkBytesMax: Bytes
  readonly connectLimitMs: number
  readonly silenceLimitMs: number
}

export const NETWORK_DEFAULTS: NetworkSettings = {
  latencyMs: 0.1,
  megabytesPerSecond: 1000,
  windowBytes: 1024 * 1024,
  chunkBytesMax: 256 * 1024,
  connectLimitMs: 10_000,
  silenceLimitMs: 900_000,
}

/** Chances per packet, for a scenario to set; heal() clears them. */
export interface NetworkFaults {
  /** The connection is reset for both. */
  breakChance: number
  /** The packet takes up to `spikeMs` longer. */
  spikeChance: number
  spikeMs: number
}

type Accept = (stream: PeerStream) => void
type Listened = (error: IoError | null, listener: Listener | null) => void
type Connected = (error: IoError | null, stream: PeerStream | null) => void

interface Listening {
  readonly key: string
  readonly host: string
  readonly node: string
  readonly process: Process
  readonly onStream: Accept
}

/** A connection that has had no answer yet. */
interface Attempt {
  readonly from: string
  readonly process: Process
  readonly node: string
  readonly address: NetworkAddress & { kind: 'tcp' }
  readonly wantedNode: string
  readonly done: Connected
  settled: boolean
  limit: Timer | null
}

export class SimNetwork {
  readonly faults: NetworkFaults = { breakChance: 0, spikeChance: 0, spikeMs: 0 }
  readonly settings: NetworkSettings
  private readonly world: World
  private readonly prng: Prng
  private readonly wire: Wire
  private readonly cuts = new Set<string>()
  private readonly down = new Set<string>()
  private readonly paused = new Set<string>()
  private readonly listening = new Map<string, Listening>()
  private ends: End[] = []
  private attempts: Attempt[] = []
  private nextPort = 40_000

  constructor(world: World, settings: Partial<NetworkSettings> = {}) {
    this.world = world
    this.settings = { ...NETWORK_DEFAULTS, ...settings }
    this.prng = world.prng.fork('network')
    this.wire = {
      world,
      prng: this.prng,
      windowBytes: this.settings.windowBytes,
      chunkBytesMax: this.settings.chunkBytesMax,
      silenceLimitMs: this.settings.silenceLimitMs,
      travelMs: (bytes) => this.travelMs(bytes),
      passes: (from, to) => this.passes(from, to),
      runs: (host) => !this.paused.has(host),
      breaks: () => this.faults.breakChance > 0 && this.prng.chance(this.faults.breakChance),
    }
  }

  /** The network as one life of a process on `host` sees it. */
  attach(process: Process, node: string, host = node): PeerNetwork {
    return {
      listen: (address, onStream, done) => {
        process.effect(() => this.listen({ address, node, process, onStream }, done))
      },
      connect: (address, wantedNode, done) => {
        process.effect(() => this.connect({ from: host, process, node, address, wantedNode, done }))
      },
    }
  }

  /** Its kernel closes what it had open. To be called when a process dies. */
  processDied(process: Process): void {
    for (const [key, one] of this.listening) if (one.process === process) this.listening.delete(key)
    for (const end of this.ends) if (end.process === process) end.processDied()
    this.forget()
  }

  /** Power cut: nobody is told, nothing answers. Before its processes are killed, which would close connections. */
  hostDown(host: string): void {
    this.down.add(host)
    for (const [key, one] of this.listening) if (one.host === host) this.listening.delete(key)
    for (const end of this.ends) if (end.host === host) end.vanish()
  }

  hostUp(host: string): void {
    this.down.delete(host)
    this.retry()
  }

  /** Nothing gets from one host to the other any more; the other direction stays as it is. */
  cut(from: string, to: string): void {
    this.cuts.add(`${from}>${to}`)
  }

  cutBoth(a: string, b: string): void {
    this.cut(a, b)
    this.cut(b, a)
  }

  uncut(from: string, to: string): void {
    this.cuts.delete(`${from}>${to}`)
    this.retry()
  }

  /** The host receives nothing until resume(); that its processes do nothing meanwhile is the caller's business. */
  pause(host: string): void {
    this.paused.add(host)
  }

  resume(host: string): void {
    this.paused.delete(host)
    for (const end of this.ends) if (end.host === host) end.drain()
    this.retry()
  }

  /** A process that stood still runs again: what came for it meanwhile, it gets now. */
  processResumed(process: Process): void {
    for (const end of this.ends) if (end.process === process) end.drain()
    this.retry()
  }

  /** Resets every connection between two hosts. */
  reset(a: string, b: string): void {
    for (const end of this.ends) {
      const other = end.remoteHost
      if ((end.host === a && other === b) || (end.host === b && other === a)) end.fail('ECONNRESET')
    }
    this.forget()
  }

  /** No cut, no pause, no chance of a fault. Hosts that are down stay down. */
  heal(): void {
    this.cuts.clear()
    const paused = [...this.paused]
    this.faults.breakChance = 0
    this.faults.spikeChance = 0
    for (const host of paused) this.resume(host)
    this.retry()
  }

  /** Ends that a living process has open on `host`. */
  openStreams(host: string): number {
    return this.ends.filter((end) => end.host === host && !end.isOver).length
  }

  private passes(from: string, to: string): boolean {
    return !this.cuts.has(`${from}>${to}`) && !this.down.has(to)
  }

  private travelMs(bytes: Bytes): number {
    const { latencyMs, megabytesPerSecond } = this.settings
    const late = this.prng.chance(0.02) ? 10 : 1
    const spike = this.prng.chance(this.faults.spikeChance) ? this.prng.float() * this.faults.spikeMs : 0
    return latencyMs * (0.5 + this.prng.float()) * late + spike + bytes / (megabytesPerSecond * 1000)
  }

  private listen(
    { address, node, process, onStream }: { address: NetworkAddress; node: string; process: Process; onStream: Accept },
    done: Listened,
  ): void {
    if (address.kind !== 'tcp') throw new Error('nodes are reached by TCP only')
    const bound = { ...address, port: address.port === 0 ? this.nextPort++ : address.port }
    const key = printNetworkAddress(bound)
    this.world.schedule(0, 'net.listen', () => {
      if (!process.alive) return
      if (this.listening.has(key)) {
        const error = new IoError('EADDRINUSE', `listen failed address=${key} errno=EADDRINUSE`)
        process.deliver(() => done(error, null))
        return
      }
      const listening = { key, host: address.host, node, process, onStream }
      this.listening.set(key, listening)
      const listener: Listener = {
        address: bound,
        close: (closed) => {
          process.effect(() => {
            if (this.listening.get(key) === listening) this.listening.delete(key)
          })
          process.timers.soon(closed)
        },
      }
      process.deliver(() => done(null, listener))
    })
  }

  private connect(wanted: Omit<Attempt, 'settled' | 'limit' | 'address'> & { address: NetworkAddress }): void {
    const { address } = wanted
    if (address.kind !== 'tcp') throw new Error('nodes are reached by TCP only')
    const attempt: Attempt = { ...wanted, address, settled: false, limit: null }
    this.attempts.push(attempt)
    this.tryLater(attempt)
    const { connectLimitMs } = this.settings
    attempt.limit = this.world.schedule(connectLimitMs, 'net.connect.limit', () => this.refuse(attempt, 'ETIMEDOUT'))
  }

  /** Three times there and back: TCP's handshake and that of TLS. */
  private tryLater(attempt: Attempt): void {
    const delayMs = this.travelMs(0) + this.travelMs(0) + this.travelMs(0)
    this.world.schedule(delayMs, `net.connect ${attempt.from}>${attempt.address.host}`, () => this.tryNow(attempt))
  }

  private tryNow(attempt: Attempt): void {
    const { from, address } = attempt
    const { host } = address
    if (attempt.settled || !attempt.process.alive) return
    // Silence: retry() comes back to it.
    if (!this.passes(from, host) || !this.passes(host, from) || this.paused.has(host) || this.paused.has(from)) return
    const listening = this.listening.get(printNetworkAddress(address))
    if (listening?.process.paused === true || attempt.process.paused) return
    if (listening === undefined) this.refuse(attempt, 'ECONNREFUSED')
    else if (listening.node !== attempt.wantedNode) this.refuse(attempt, 'EACCES')
    else this.establish(attempt, listening)
  }

  private establish(attempt: Attempt, listening: Listening): void {
    this.settle(attempt)
    const exported = Buffer.alloc(EXPORTER_BYTES)
    for (let i = 0; i < exported.length; i++) exported[i] = this.prng.below(256)
    const client = new End(
      this.wire,
      { ...attempt, host: attempt.from, peerNode: listening.node, remoteHost: listening.host, exported },
      () => {},
    )
    const server = new End(
      this.wire,
      { ...listening, peerNode: attempt.node, remoteHost: attempt.from, exported },
      listening.onStream,
    )
    joinEnds(this.wire, client, server)
    this.forget()
    this.ends.push(client, server)
    attempt.done(null, client)
  }

  private refuse(attempt: Attempt, code: string): void {
    if (attempt.settled) return
    this.settle(attempt)
    const what = `connect failed address=${printNetworkAddress(attempt.address)} errno=${code}`
    attempt.process.deliver(() => attempt.done(new IoError(code, what), null))
  }

  private settle(attempt: Attempt): void {
    attempt.settled = true
    attempt.limit?.cancel()
    this.attempts = this.attempts.filter((one) => one !== attempt)
  }

  private retry(): void {
    for (const end of this.ends) end.out.retry()
    for (const attempt of this.attempts) this.tryLater(attempt)
  }

  /** Connections that are over on both sides; the last packets of others still travel. */
  private forget(): void {
    this.ends = this.ends.filter((end) => !end.isOver || !end.isQuiet)
  }
}
