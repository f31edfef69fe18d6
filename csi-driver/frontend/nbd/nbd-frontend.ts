// One volume as one NBD export on a unix socket: accepts clients and lets them go. connection.ts carries their requests.
//
// Bounded: clients (CONNECTIONS_MAX), sockets that are in their handshake besides, the time that a handshake may take,
// and the memory of each connection (request-pool.ts, outbox.ts).
import { assert } from '../../../base/assert.ts'
import type { Timer, Timers } from '../../../base/clock.ts'
import type { IoError } from '../../../base/errors.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import type { RequestSink } from '../../engine/request.ts'
import type { LocalListener, LocalSocket, LocalSockets } from '../../io/local-sockets.ts'
import type { AlignedMemory } from '../../io/storage.ts'
import { newFrontendCounters } from '../frontend-counters.ts'
import type { ConnectionHost } from './connection.ts'
import { NbdConnection } from './connection.ts'
import type { NbdExport } from './negotiation.ts'
import { RequestPool } from './request-pool.ts'

/** Clients at once, those included whose requests the engine still has. */
export const CONNECTIONS_MAX = 16
/** Sockets at once: more clients than can begin are told why, and still more are not listened to. */
export const SOCKETS_MAX = CONNECTIONS_MAX + 8
/** From the connection to the end of the handshake. */
export const HANDSHAKE_MS_MAX: Ms = 10_000

export interface NbdFrontendOptions {
  readonly sockets: LocalSockets
  readonly sink: RequestSink
  readonly memory: AlignedMemory
  readonly timers: Timers
  /** Name of the export; the empty name stands for it as well. */
  readonly exportName: string
  readonly sectorBytes: Bytes
}

export class NbdFrontend implements ConnectionHost {
  readonly sink: RequestSink
  readonly sectorBytes: Bytes
  readonly counters = newFrontendCounters()
  private readonly options: NbdFrontendOptions
  private listener: LocalListener | null = null
  /** In their handshake, with the time limit of each. */
  private readonly greeted = new Map<NbdConnection, Timer>()
  private readonly clients = new Set<NbdConnection>()
  /** Without a socket, and with requests in the engine. */
  private readonly leaving = new Set<NbdConnection>()
  /** Clients whose first request waits, and for which connections. */
  private readonly waiting = new Map<NbdConnection, readonly NbdConnection[]>()
  private readonly poolsFree: RequestPool[] = []
  private readonly turns: NbdConnection[] = []
  private turnsWanted = false
  private stopping = false
  private quiet: (() => void) | null = null

  constructor(options: NbdFrontendOptions) {
    this.options = options
    this.sink = options.sink
    this.sectorBytes = options.sectorBytes
  }

  /** Clients that have chosen the export. */
  get connectionCount(): number {
    return this.clients.size
  }

  /** Makes the socket; `done` runs with the reason where it cannot be made. */
  listen(path: string, done: (error: IoError | null) => void): void {
    this.options.sockets.listen(
      path,
      (socket) => this.accept(socket),
      (error, listener) => {
        this.listener = listener
        done(error)
      },
    )
  }

  /** Accepts nobody any more; who is there stays. */
  stopAccepting(): void {
    this.listener?.close()
    this.listener = null
    for (const connection of this.greeted.keys()) connection.end()
  }

  /** Takes no request in any more, answers what the engine has, then ends all connections; then `done` runs. */
  stop(done: () => void): void {
    assert(this.quiet === null, 'a front end is stopped once')
    this.stopping = true
    this.quiet = done
    this.stopAccepting()
    for (const connection of this.clients) connection.stopTaking()
    this.endIfQuiet()
  }

  /** Ends all connections at once. */
  abort(): void {
    this.stopAccepting()
    for (const connection of this.clients) connection.end()
  }

  offered(): NbdExport {
    const { sink, sectorBytes } = this
    return { name: this.options.exportName, sizeBytes: sink.sizeBytes, sectorBytes, canZero: sink.canZero }
  }

  refusal(): string | null {
    if (this.clients.size + this.leaving.size < CONNECTIONS_MAX) return null
    return `the limit of ${CONNECTIONS_MAX} connections is reached; use fewer, or wait until one has ended`
  }

  begun(connection: NbdConnection): RequestPool {
    this.greeted.get(connection)?.cancel()
    this.greeted.delete(connection)
    this.clients.add(connection)
    return this.poolsFree.pop() ?? new RequestPool(this.options.memory)
  }

  /**
   * A client whose connection broke comes back with another one, and sends again what was not answered. What the engine
   * has of the broken one must be through before, or it would land on newer writes. What we have not read of it must never
   * be taken in: therefore each connection is asked whether its client is gone.
   */
  mayBegin(connection: NbdConnection): boolean {
    let awaited = this.waiting.get(connection)
    if (awaited === undefined) {
      for (const other of this.clients) if (other !== connection && other.socket.isGone()) other.end()
      awaited = [...this.leaving, ...[...this.clients].filter(({ state }) => state === 'closing')]
    }
    awaited = awaited.filter(({ outstanding }) => outstanding > 0)
    if (awaited.length > 0) this.waiting.set(connection, awaited)
    else this.waiting.delete(connection)
    return awaited.length === 0
  }

  wantsTurn(connection: NbdConnection): void {
    this.turns.push(connection)
    if (this.turnsWanted) return
    this.turnsWanted = true
    this.options.sockets.afterInput(() => this.takeTurns())
  }

  ended(connection: NbdConnection): void {
    this.greeted.get(connection)?.cancel()
    this.greeted.delete(connection)
    this.waiting.delete(connection)
    if (this.clients.delete(connection) && connection.outstanding > 0) this.leaving.add(connection)
    this.endIfQuiet()
  }

  settled(connection: NbdConnection, pool: RequestPool | null): void {
    this.leaving.delete(connection)
    if (pool !== null) this.poolsFree.push(pool)
    this.drained()
    this.endIfQuiet()
  }

  drained(): void {
    for (const waiting of this.waiting.keys()) waiting.proceed()
  }

  private accept(socket: LocalSocket): void {
    const connection = new NbdConnection(socket, this)
    if (this.greeted.size + this.clients.size >= SOCKETS_MAX || this.stopping) {
      connection.turnAway()
      return
    }
    const timer = this.options.timers.after(HANDSHAKE_MS_MAX, () => connection.end())
    this.greeted.set(connection, timer)
    connection.start()
  }

  private takeTurns(): void {
    this.turnsWanted = false
    const turns = this.turns.splice(0)
    for (const connection of turns) connection.turn()
    this.endIfQuiet()
  }

  private endIfQuiet(): void {
    if (this.quiet === null || this.leaving.size > 0) return
    for (const connection of this.clients) if (!connection.isQuiet) return
    const done = this.quiet
    this.quiet = null
    for (const connection of this.clients) connection.end()
    this.options.timers.soon(done)
  }
}
