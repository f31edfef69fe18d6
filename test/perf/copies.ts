// What volumes with copies need beside themselves: certificates, the register that all hosts share, and replica stores.
// All of it stands in directories that the scaffold removes.
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { runProgram } from './fio.ts'
import { FOREBAY, ForebayProcess, HERE, type On, residentMiB } from './forebay-process.ts'
import type { Scaffold } from './scaffold.ts'

export interface PeerPlan {
  readonly node: string
  /** Holds the store; for `memory` on tmpfs. */
  readonly directory: string
  readonly resource: 'flash' | 'memory'
  readonly sizeMiB: number
  /** 127.0.0.1 and a free port unless given. */
  readonly listen?: string
  readonly on?: On
}

/** A running `forebay peer`. */
export interface Peer {
  readonly node: string
  readonly process: ForebayProcess
  /** As `--peer` takes it. */
  readonly flag: string
  /** Starts it again after its death, with the same store and address. */
  readonly again: () => Promise<Peer>
}

export class Copies {
  private readonly scaffold: Scaffold
  private readonly directory: string

  private constructor(scaffold: Scaffold, directory: string) {
    this.scaffold = scaffold
    this.directory = directory
  }

  /** `nodes` get certificates. */
  static async make(scaffold: Scaffold, parent: string, nodes: readonly string[]): Promise<Copies> {
    const copies = new Copies(scaffold, path.join(parent, 'copies'))
    const authority = path.join(copies.directory, 'pki')
    await mkdir(copies.register, { recursive: true })
    await runProgram(FOREBAY, ['pki', 'init', '--dir', authority], scaffold.signal)
    for (const node of nodes) {
      const words = ['pki', 'issue', node, '--dir', authority, '--out', copies.tlsDirectory(node)]
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await runProgram(FOREBAY, words, scaffold.signal)
    }
    return copies
  }

  get register(): string {
    return path.join(this.directory, 'register')
  }

  tlsDirectory(node: string): string {
    return path.join(this.directory, `tls-${node}`)
  }

  stateDirectory(node: string): string {
    return path.join(this.directory, `state-${node}`)
  }

  async startPeer(plan: PeerPlan): Promise<Peer> {
    const { node, directory, resource, sizeMiB, listen: wanted = '127.0.0.1:0', on = HERE } = plan
    const words = [
      ...['peer', '--store', path.join(directory, `store-${node}`), '--size', `${sizeMiB}MiB`],
      ...['--resource', resource, '--listen', wanted, '--state-dir', this.stateDirectory(node)],
      ...['--output', 'json', ...this.flagsOf(node)],
    ]
    const process = new ForebayProcess(this.scaffold, words, on)
    const { listen = '' } = await process.ready()
    return { node, process, flag: `${node}=${listen}`, again: () => this.startPeer({ ...plan, listen }) }
  }

  /** Flags of a volume on `node`; with no peers it has no copies, but an owner in the same register. */
  volumeFlags(node: string, peers: readonly Peer[], replicas = 1): string[] {
    if (peers.length === 0) return ['--node', node, '--register', this.register]
    return [...this.flagsOf(node), '--replicas', String(replicas), ...peers.flatMap(({ flag }) => ['--peer', flag])]
  }

  private flagsOf(node: string): string[] {
    return ['--node', node, '--register', this.register, '--tls-dir', this.tlsDirectory(node)]
  }
}

export function peerResidentMiB(peer: Peer): Promise<number> {
  return residentMiB(peer.process.pid)
}
