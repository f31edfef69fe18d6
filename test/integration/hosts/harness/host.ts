// One pretended host: its namespaces, its disk (a directory), its replica store, and the volumes that it serves. It can
// lose its power, be frozen and thawed, and boot again with what its disk held.
import { existsSync, mkdirSync } from 'node:fs'
import type { PeerStatus } from '../../../../csi-driver/peer-process/control-protocol.ts'
import { FOREBAY } from '../../harness/served.ts'
import { MIB, type Ran, until } from '../../harness/test-bed.ts'
import type { Hosts } from './hosts.ts'
import { Namespaces } from './namespaces.ts'
import { PEER_PORT, Program } from './program.ts'
import { ServedHere } from './served-here.ts'

/** Room for the log of a volume twice over, and little more. */
const STORE_SIZE = '128MiB'
/** The mount of a host's memory, for stores and caches with --resource memory. Gone with its power. */
const MEMORY_BYTES = 512 * MIB

export class Host {
  readonly name: string
  readonly hosts: Hosts
  private home: Namespaces | null = null
  private peer: Program | null = null
  private peerFlags: readonly string[] = []

  constructor(hosts: Hosts, name: string) {
    this.hosts = hosts
    this.name = name
    mkdirSync(this.path(), { recursive: true })
  }

  /** On the disk of the host. */
  path(name = ''): string {
    return this.hosts.bed.path(`${this.name}/${name}`)
  }

  /** In its memory. */
  memoryPath(name = ''): string {
    return this.path(`memory/${name}`)
  }

  get address(): string {
    return this.hosts.network.addressOf(this.name)
  }

  get namespaces(): Namespaces {
    if (this.home === null) throw new Error(`host ${this.name} is off`)
    return this.home
  }

  get isOn(): boolean {
    return this.home !== null
  }

  /** The shared storage, as this host has it. */
  get backing(): string {
    return this.hosts.storage.deviceOf(this.name)
  }

  get tlsDir(): string {
    return this.path('tls')
  }

  get stateDir(): string {
    return this.path('state')
  }

  async boot(): Promise<void> {
    const home = await Namespaces.make()
    this.home = home
    mkdirSync(this.memoryPath(), { recursive: true })
    await home.run('mount', '-t', 'tmpfs', '-o', `size=${MEMORY_BYTES}`, 'forebay-test', this.memoryPath())
    await this.hosts.network.connect(this.name, home)
    await this.hosts.storage.restore(this.name)
    await this.hosts.storage.attach(this.name, home)
  }

  /** All processes at once, and not even the end of a connection gets out: what others hear is silence. */
  async powerCut(): Promise<void> {
    const { home } = this
    if (home === null) return
    await this.hosts.network.unplug(this.name)
    await home.kill()
    await this.off()
  }

  /** All processes at once, on a host whose kernel lives on and closes their connections. */
  async killAll(): Promise<void> {
    await this.namespaces.kill()
    await this.peer?.ended
    this.peer = null
  }

  async off(): Promise<void> {
    const { home, peer } = this
    this.home = null
    this.peer = null
    await this.hosts.network.disconnect(this.name)
    if (home !== null) await this.hosts.storage.detach(this.name)
    await home?.end()
    await peer?.ended
  }

  freeze(): void {
    this.namespaces.stop()
  }

  thaw(): void {
    this.namespaces.resume()
  }

  forebay(...words: readonly string[]): Promise<Ran> {
    return this.namespaces.try(FOREBAY, ...words)
  }

  /** Starts `forebay peer`, with the same flags as last time when none are given. */
  async startPeer(...flags: readonly string[]): Promise<Program> {
    if (flags.length > 0) this.peerFlags = flags
    const memory = this.peerFlags.includes('memory')
    const store = memory ? this.memoryPath('store') : this.path('store')
    const words = [
      ...['peer', '--node', this.name, ...(this.peerFlags.includes('--store') ? [] : ['--store', store]), '--listen'],
      ...[`${this.address}:${PEER_PORT}`, '--tls-dir', this.tlsDir, '--state-dir', this.stateDir],
      ...['--register', this.hosts.register],
      ...(this.peerFlags.includes('--size') ? [] : ['--size', STORE_SIZE]),
      ...this.peerFlags,
    ]
    const peer = new Program(this, words)
    this.peer = peer
    await peer.untilReady()
    return peer
  }

  get hasPeer(): boolean {
    return this.peer?.running === true
  }

  get peerProgram(): Program {
    if (this.peer === null) throw new Error(`no peer was started on ${this.name}`)
    return this.peer
  }

  /** SIGKILL to the replica store alone. */
  async killPeer(): Promise<void> {
    await this.peerProgram.kill()
  }

  /** What the replica store says of itself. */
  async peerStatus(): Promise<PeerStatus> {
    const { status, stdout, stderr } = await this.forebay('peers', '--state-dir', this.stateDir, '--output', 'json')
    const [found] = status === 0 ? (JSON.parse(stdout) as PeerStatus[]) : []
    if (found === undefined) throw new Error(`no replica store answers on ${this.name}: ${stderr}`)
    return found
  }

  /** Flags with which others name this host. */
  asPeer(domain?: string): readonly string[] {
    return ['--peer', `${this.name}=${this.address}:${PEER_PORT}${domain === undefined ? '' : `,domain=${domain}`}`]
  }

  serve(...flags: readonly string[]): Promise<ServedHere> {
    return ServedHere.ready(this, 'serve', flags)
  }

  /** The fence is the one of the test: the old host's power is cut, or the host is cut off the storage. */
  takeover(fence: 'off' | 'cut' | 'told', ...flags: readonly string[]): Promise<ServedHere> {
    const how = fence === 'told' ? ['--fenced'] : ['--fence-command', this.hosts.fenceCommand(fence)]
    return ServedHere.ready(this, 'takeover', [...how, ...flags])
  }

  /** Ends by itself, refused perhaps. */
  start(command: 'serve' | 'takeover', ...flags: readonly string[]): ServedHere {
    return new ServedHere(this, command, flags)
  }

  /** A cache that nothing was ever in. */
  get hasCache(): boolean {
    return existsSync(this.path('cache'))
  }

  async untilPeerAnswers(): Promise<void> {
    await until(`the replica store of ${this.name} answers`, async () => {
      const { status, stdout } = await this.forebay('peers', '--state-dir', this.stateDir, '--output', 'json')
      return status === 0 && stdout !== '[]\n'
    })
  }
}
