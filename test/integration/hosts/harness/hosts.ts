// Several hosts on one machine, as real as namespaces make them: processes, sockets, locks, disks and block devices of
// their own, one network, one storage and one register directory between them. Everything is gone after tearDown() of
// the bed, and shortly after the death of the test: namespaces have no names, and their keepers clean up.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { FOREBAY } from '../../harness/served.ts'
import { command, MIB, obstacleOfHost, TestBed } from '../../harness/test-bed.ts'
import { Host } from './host.ts'
import { Network } from './network.ts'
import { RegisterFaults } from './register-faults.ts'
import { Storage } from './storage.ts'

const FENCE_PROGRAM = fileURLToPath(new URL('fence-program.ts', import.meta.url))
/** Exit statuses of a fence command. */
const EXIT_OFF = 0
const EXIT_CUT = 10
const EXIT_NOT_FENCED = 1
/** As slow as a disk in a network: what is written stays dirty for a moment. */
const LATENCY_MS = 3

export interface HostsOptions {
  readonly names?: readonly string[]
  readonly volumeBytes?: number
  readonly latencyMs?: number
  /** Flags of every `forebay peer`. */
  readonly peerFlags?: readonly string[]
  /** Hosts whose replica store is not started. */
  readonly withoutPeer?: readonly string[]
}

let volumes = 0

/** Why this machine cannot pretend to be several; undefined when it can. */
export function obstacleOfHosts(...programs: readonly string[]): string | undefined {
  return obstacleOfHost('unshare', 'nsenter', 'ip', 'openssl', 'losetup', ...programs)
}

export class Hosts {
  readonly bed: TestBed
  readonly volume: string
  readonly network: Network
  readonly storage: Storage
  /** The directory of the registers, on every host. */
  readonly register: string
  readonly registerFaults: RegisterFaults
  readonly all: readonly Host[]
  /** What the fence has been asked for, in order. */
  readonly fenced: string[] = []
  private readonly fenceSocket: string

  private constructor(bed: TestBed, network: Network, storage: Storage, names: readonly string[]) {
    volumes++
    this.bed = bed
    this.volume = `h${process.pid}-${volumes}`
    this.network = network
    this.storage = storage
    this.register = bed.path('register')
    this.registerFaults = new RegisterFaults(this.register)
    this.fenceSocket = bed.path('fence.sock')
    mkdirSync(this.register)
    this.all = names.map((name) => new Host(this, name))
  }

  /** A bed whose directory tells whose it was, should it be left behind. */
  static bed(): TestBed {
    return new TestBed(`hosts-${process.pid}`)
  }

  /** Hosts a, b, c that run, each with a replica store. */
  static async make(bed: TestBed, options: HostsOptions = {}): Promise<Hosts> {
    const { names = ['a', 'b', 'c'], volumeBytes = 64 * MIB, latencyMs = LATENCY_MS } = options
    removeLeftovers(path.dirname(bed.directory))
    const network = await Network.make(names)
    bed.later('network', () => network.end())
    const storage = await Storage.make(bed, volumeBytes, latencyMs)
    const hosts = new Hosts(bed, network, storage, names)
    bed.later('hosts', () => hosts.end())
    await Promise.all([hosts.listenForFences(), hosts.makeCertificates(), ...hosts.all.map((host) => host.boot())])
    const withPeer = hosts.all.filter(({ name }) => options.withoutPeer?.includes(name) !== true)
    await Promise.all(withPeer.map((host) => host.startPeer(...(options.peerFlags ?? []))))
    return hosts
  }

  get(name: string): Host {
    const found = this.all.find((host) => host.name === name)
    if (found === undefined) throw new Error(`no host ${name}`)
    return found
  }

  others(of: Host): readonly Host[] {
    return this.all.filter((host) => host !== of)
  }

  /** A fence that does what it says: `off` cuts the power of the host, `cut` cuts it off the storage. */
  fenceCommand(kind: 'off' | 'cut'): string {
    return `exec ${process.execPath} --disable-warning=ExperimentalWarning ${FENCE_PROGRAM} ${this.fenceSocket} ${kind} "$NODE"`
  }

  private async makeCertificates(): Promise<void> {
    const authority = this.bed.path('pki')
    await command(FOREBAY, 'pki', 'init', '--dir', authority)
    const issue = ({ name, tlsDir }: Host): Promise<string> =>
      command(FOREBAY, 'pki', 'issue', name, '--dir', authority, '--out', tlsDir)
    await Promise.all(this.all.map(issue))
  }

  /** The fence command runs on the taking host and asks here, as one asks a power switch or a storage array. */
  private async listenForFences(): Promise<void> {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', (data) => {
        this.fence(String(data).trim()).then(
          (status) => socket.end(`${status}\n`),
          (error: unknown) => socket.end(`${EXIT_NOT_FENCED} ${String(error)}\n`),
        )
      })
    })
    await new Promise<void>((resolve) => server.listen(this.fenceSocket, resolve))
    this.bed.later('fence', () => new Promise((resolve) => server.close(resolve)))
  }

  private async fence(asked: string): Promise<number> {
    const [kind, node = ''] = asked.split(' ')
    this.fenced.push(asked)
    if (kind === 'off') await this.get(node).powerCut()
    else await this.storage.cut(node)
    return kind === 'off' ? EXIT_OFF : EXIT_CUT
  }

  private async end(): Promise<void> {
    for (const host of this.all) if (host.isOn) host.thaw()
    await Promise.all(this.all.map((host) => host.off()))
    this.registerFaults.end()
  }
}

/** Directories of runs that were killed, with their process number in the name. */
function removeLeftovers(parent: string): void {
  for (const name of readdirSync(parent)) {
    const pid = /^forebay-hosts-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`))
      rmSync(path.join(parent, name), { recursive: true, force: true })
  }
}
