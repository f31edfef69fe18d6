// One replica store as this process offers it: checks what it was given, opens the store, listens for engines, answers
// its control socket, and takes all that down in order. Until `claim` has succeeded nothing on the host is changed.
import { randomBytes } from 'node:crypto'
import { CacheError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import { printAddress } from '../../base/setting-kinds.ts'
import { errorText } from '../cli/command.ts'
import type { PeerPlan } from '../cli/peer-settings.ts'
import { productVersion } from '../cli/product.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { type FileLock, takeFileLock } from '../io/real/file-lock.ts'
import { systemFiles } from '../io/real/small-files.ts'
import { systemClock, systemTimers } from '../io/real/system-clock.ts'
import { TlsNetwork } from '../io/real/tls-network.ts'
import { printNetworkAddress } from '../io/network.ts'
import { LineServer } from '../observe/control-server.ts'
import { ObserveServer } from '../observe/http.ts'
import { statePeersDirectory } from '../observe/state-paths.ts'
import { Receiver } from '../replica/receiver.ts'
import { ReplicaStore } from '../replica/store/replica-store.ts'
import { parsePeerRequest, type PeerFinding, type PeerRequest, type PeerStatus } from './control-protocol.ts'
import { EnginesOfHost } from './engines-of-host.ts'
import { LeftCacheFiles } from './left-cache-files.ts'
import { PeerMetrics } from './peer-metrics.ts'
import { registerLookup, type RegisterLookup } from './register-lookup.ts'
import { openStoreFile } from './store-file.ts'

/** How often logs that nobody needs any more are looked for, where there is a register to ask. */
const GARBAGE_INTERVAL_MS = 5 * 60_000
/** The first time, after the owners had time to connect. */
const GARBAGE_FIRST_MS = 60_000

interface Opened {
  readonly network: TlsNetwork
  readonly store: ReplicaStore
  readonly receiver: Receiver
  readonly leftCaches: LeftCacheFiles
  readonly listen: string
}

export class PeerProcess {
  private readonly plan: PeerPlan
  private readonly log: EventLog
  private readonly processes = new RealProcesses()
  private readonly version = productVersion()
  private readonly startedMs = systemClock.monotonicMs()
  private readonly ended = Promise.withResolvers<void>()
  private readonly lookup: RegisterLookup | null
  private locks: FileLock[] = []
  private opened: Opened | null = null
  private control: LineServer<PeerRequest> | null = null
  private http: ObserveServer | null = null
  private garbageTimer: NodeJS.Timeout | null = null
  private collecting: Promise<unknown> = Promise.resolve()
  private stopping = false

  constructor(plan: PeerPlan, log: EventLog) {
    this.plan = plan
    this.log = log
    const { registerDirectory } = plan
    this.lookup = registerDirectory === null ? null : registerLookup(registerDirectory, this.processes, log)
  }

  /** Serves until it is told to stop. `onReady` gets the address in use. Throws CacheError where it cannot. */
  async run(onReady: (listen: string) => void): Promise<void> {
    const network = this.openNetwork()
    await this.tryAddress()
    await this.claim()
    const opened = await this.open(network)
    this.opened = opened
    await this.listenForCallers()
    this.collectByItself(GARBAGE_FIRST_MS)
    onReady(opened.listen)
    await this.ended.promise
  }

  /** Idempotent. False: nothing is open yet, and what the start does may be broken off anywhere, as by a crash. */
  stop(): boolean {
    if (this.opened === null) return false
    if (!this.stopping) this.takeDown()
    this.stopping = true
    return true
  }

  status(): PeerStatus {
    const { receiver, network, listen } = this.opened as Opened
    return {
      ...receiver.status(),
      listen,
      path: this.plan.store.path,
      pid: process.pid,
      version: this.version,
      uptimeSeconds: Math.floor((systemClock.monotonicMs() - this.startedMs) / 1000),
      register: this.plan.registerDirectory,
      certificateEnd: new Date(network.files.current().notAfterMs).toISOString(),
      tlsRefused: network.refusals.refused,
    }
  }

  private openNetwork(): TlsNetwork {
    const { settings, node } = this.plan
    const network = new TlsNetwork({ tlsDir: settings.tlsDir, clock: systemClock, log: this.log })
    if (network.node === node) return network
    const message = `the certificate names another node tlsDir=${settings.tlsDir} certificate=${network.node} node=${node}`
    throw new CacheError('invalid', 'CACHE_TLS_NODE', message, {
      remedy: `Say --node ${network.node}, or put the certificate of ${node} there.`,
    })
  }

  /** Listens for a moment, so that an address in use is said before a store is laid out. */
  private async tryAddress(): Promise<void> {
    const { listen, metrics } = this.plan.settings
    for (const [flag, address] of [
      ['--listen', listen],
      ['--metrics', metrics],
    ] as const) {
      if (address === null) continue
      const server = new ObserveServer(address, { metrics: () => '', health: () => ({ ok: false, text: '' }) })
      try {
        // oxlint-disable-next-line eslint/no-await-in-loop -- two addresses
        await server.listen()
        // oxlint-disable-next-line eslint/no-await-in-loop -- two addresses
        await server.close()
      } catch (error) {
        throw cannotListen(flag, printAddress(address), error)
      }
    }
  }

  private async claim(): Promise<void> {
    const { storeLock, nodeLock, store, node } = this.plan
    const claims = [
      [storeLock, `the store is in use path=${store.given}`],
      [nodeLock, `a peer process of the node runs already node=${node} stateDir=${this.plan.stateDirectory}`],
    ] as const
    for (const [file, problem] of claims) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in order
      const lock = await takeFileLock(this.processes, file, true)
      if (lock === 'held' || lock === 'missing') {
        throw new CacheError('invalid', 'CACHE_IN_USE', `${problem} lock=${file}`, {
          remedy: `Find who holds it with: fuser -v ${file}`,
        })
      }
      this.locks.push(lock)
      // oxlint-disable-next-line eslint/no-await-in-loop -- in order
      await lock.note(`${process.pid} replica-store ${process.pid}\n`)
    }
  }

  private async open(network: TlsNetwork): Promise<Opened> {
    const { plan, log } = this
    const { settings, node } = plan
    const file = await openStoreFile(plan, log)
    const { storage, memory } = file
    const store = await ReplicaStore.open({
      ...{ storage, memory, log, clock: systemClock, resource: settings.resource },
      sizeBytes: Math.min(plan.sizeBytes, storage.sizeBytes),
      random: { fill: (buffer: Buffer) => buffer.set(randomBytes(buffer.length)) },
      allowFormat: file.empty || settings.formatStore,
    })
    const engines = new EnginesOfHost({ processes: this.processes, stateDirectory: plan.stateDirectory, log })
    const ports = { network, store, memory, log, engines, clock: systemClock, timers: systemTimers }
    const receiver = new Receiver(ports, { node })
    try {
      const address = await receiver.listen({ kind: 'tcp', ...settings.listen })
      const leftCaches = new LeftCacheFiles({ stateDirectory: plan.stateDirectory, memory })
      await leftCaches.forgetOld()
      return { network, store, receiver, leftCaches, listen: printNetworkAddress(address) }
    } catch (error) {
      throw cannotListen('--listen', printAddress(settings.listen), error)
    }
  }

  private async listenForCallers(): Promise<void> {
    const { plan, log } = this
    await systemFiles.makeDirectory(statePeersDirectory(plan.stateDirectory))
    this.control = new LineServer({
      ...{ path: plan.controlSocket, log, parse: parsePeerRequest },
      answer: (request) => this.answer(request),
    })
    await this.control.listen()
    const { metrics } = plan.settings
    if (metrics === null) return
    const exported = new PeerMetrics(plan.node)
    this.http = new ObserveServer(metrics, {
      metrics: () => exported.render(this.status()),
      health: () => {
        const failed = this.status().volumes.filter(({ failure }) => failure !== null)
        const text = failed.map(({ volume, failure }) => `volume=${volume} ${failure}`).join('; ')
        return { ok: failed.length === 0, text: failed.length === 0 ? 'ok' : text }
      },
    })
    await this.http.listen()
  }

  private answer(request: PeerRequest): unknown {
    const { receiver, leftCaches } = this.opened as Opened
    if (request.method === 'status') return this.status()
    return request.method === 'serve-cache' ? leftCaches.serve(receiver, request) : this.discard(request)
  }

  /** One at a time. */
  private discard({ dryRun, gone }: { dryRun: boolean; gone: readonly string[] }): Promise<readonly PeerFinding[]> {
    const named = new Set(gone)
    // Without a register only the user's word counts, and only for what the user names.
    const lookup = this.lookup ?? (() => Promise.resolve(named.size > 0 ? null : ('unknown' as const)))
    const { receiver } = this.opened as Opened
    const findings = this.collecting.then(() => receiver.collectGarbage({ lookup, named, dryRun }))
    this.collecting = findings.catch(() => {})
    return findings
  }

  private collectByItself(delayMs: number): void {
    if (this.lookup === null || this.stopping) return
    this.garbageTimer = setTimeout(() => {
      void this.discard({ dryRun: false, gone: [] })
        .catch((error: unknown) => this.log.event('peer.garbage_failed', { reason: String(error) }, 'warning'))
        .finally(() => this.collectByItself(GARBAGE_INTERVAL_MS))
    }, delayMs)
    this.garbageTimer.unref()
  }

  private takeDown(): void {
    this.close().then(this.ended.resolve, this.ended.reject)
  }

  /** Engines are told first; what they have sent until then is durable when it was answered. */
  private async close(): Promise<void> {
    const { receiver, store, network } = this.opened as Opened
    this.log.event('peer.stopping', { node: this.plan.node })
    if (this.garbageTimer !== null) clearTimeout(this.garbageTimer)
    await receiver.close()
    await this.collecting
    await store.close()
    network.close()
    await this.control?.close()
    await this.http?.close()
    for (const lock of this.locks) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- two locks
      await lock.release()
    }
  }
}

function cannotListen(flag: string, address: string, cause: unknown): CacheError {
  const reason = cause instanceof CacheError ? cause.message : errorText(cause).trim()
  return new CacheError('invalid', 'CACHE_LISTEN', `cannot listen flag=${flag} address=${address} cause="${reason}"`, {
    remedy: `Give ${flag} an address of this host with a free port.`,
    cause,
  })
}
