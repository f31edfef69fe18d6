// The volume of the demo on one of its hosts, by the commands that users type: serve or takeover, status, stop.
import path from 'node:path'
import type { Ms } from '../../../base/units.ts'
import { controlSocketPath } from '../../observe/state-paths.ts'
import type { VolumeStatus } from '../../observe/status.ts'
import { ControlClient } from '../control-client.ts'
import { productRoot } from '../product.ts'
import { readStatus } from '../volume-call.ts'
import type { DemoHost } from './demo-host.ts'
import type { HostProgram } from './host-program.ts'
import { command, demoError, type Stage } from './stage.ts'

export const FOREBAY = path.join(productRoot(), 'bin', 'forebay')
export const PEER_PORT = 7070
const VOLUME = 'bank'
const REGISTER = 'register'
const CACHE_SIZE = '128MiB'
const STORE_SIZE = '256MiB'
const READY_LIMIT_MS: Ms = 60_000
const STOP_LIMIT_MS: Ms = 60_000

/** Runs `forebay` on a host until it says that it is ready, and shows both. */
async function startReady(stage: Stage, host: DemoHost, words: readonly string[]): Promise<[HostProgram, string]> {
  stage.prompt(host.name, ['forebay', ...words])
  const program = host.start(FOREBAY, ...words)
  stage.watch(`forebay ${words[0] ?? ''} on ${host.name}`, () => program.complaint)
  let ready = ''
  program.onLine((line) => (ready ||= line))
  await stage.until(`forebay ${words[0] ?? ''} on ${host.name} is ready`, READY_LIMIT_MS, () => {
    if (program.status !== null) {
      throw demoError(`forebay ${words[0] ?? ''} on ${host.name} ended with ${program.status}`)
    }
    return ready !== ''
  })
  stage.say(`   ${ready}`)
  return [program, ready]
}

/** `forebay peer`: the host keeps copies for the others. */
export async function startPeer(stage: Stage, host: DemoHost): Promise<void> {
  const { name, address } = host
  const listen = `${address}:${PEER_PORT}`
  const words = ['peer', '--store', `${name}/store`, '--size', STORE_SIZE, '--listen', listen, ...hostWords(name, true)]
  await startReady(stage, host, words)
}

function hostWords(name: string, replicates: boolean): string[] {
  const words = ['--register', REGISTER, '--state-dir', `${name}/state`]
  return replicates ? [...words, '--tls-dir', `${name}/tls`] : words
}

export interface VolumeStart {
  readonly stage: Stage
  readonly host: DemoHost
  readonly backing: string
  /** Hosts that may hold a copy; with none the volume has no replica. */
  readonly peers: readonly DemoHost[]
  /** Given for `takeover`. */
  readonly fenceCommand?: string
}

export class DemoVolume {
  readonly host: DemoHost
  readonly device: string
  private readonly stage: Stage
  private readonly program: HostProgram

  private constructor(stage: Stage, host: DemoHost, program: HostProgram, device: string) {
    this.stage = stage
    this.host = host
    this.program = program
    this.device = device
  }

  static async start({ stage, host, backing, peers, fenceCommand }: VolumeStart): Promise<DemoVolume> {
    const words = fenceCommand === undefined ? ['serve', VOLUME] : ['takeover', VOLUME, '--fence-command', fenceCommand]
    words.push('--backing', backing, '--cache', `${host.name}/cache`, '--cache-size', CACHE_SIZE)
    if (peers.length > 0) words.push('--replicas', '1')
    for (const { name, address } of peers) words.push('--peer', `${name}=${address}:${PEER_PORT}`)
    const own = hostWords(host.name, peers.length > 0)
    const [program, ready] = await startReady(stage, host, [...words, ...own])
    const device = /\bdevice=(\S+)$/.exec(ready)?.[1]
    if (device === undefined) throw demoError(`this is no ready line: ${ready}`)
    return new DemoVolume(stage, host, program, device)
  }

  /** Null while its engine does not answer. */
  async status(): Promise<VolumeStatus | null> {
    if (this.program.status !== null) {
      throw demoError(`the volume on ${this.host.name} ended with ${this.program.status}`)
    }
    const client = await ControlClient.connect(controlSocketPath(this.host.path('state'), VOLUME))
    try {
      return client === null ? null : await readStatus(client)
    } catch {
      return null
    } finally {
      client?.close()
    }
  }

  /** Resolves with the name of the host that holds the replica, once there is one and the volume is in write-back. */
  async untilReplicated(limitMs: Ms): Promise<string> {
    let replicas: readonly string[] = []
    await this.stage.until(`write-back with a replica on ${this.host.name}`, limitMs, async () => {
      replicas = await this.replicas()
      return replicas.length > 0
    })
    return replicas[0] ?? ''
  }

  /** Hosts that hold a copy of every acknowledged write now, without its own; empty unless it is in write-back. */
  async replicas(): Promise<readonly string[]> {
    const status = await this.status()
    if (status?.effectiveWritePolicy !== 'write-back') return []
    return status.inSync.map(({ node }) => node).filter((node) => node !== this.host.name)
  }

  /** The newest line of its log about this event, without the time. */
  logged(event: string): string {
    const line = this.program.complaint.split('\n').findLast((one) => one.includes(event)) ?? ''
    return line.slice(Math.max(0, line.indexOf(event)))
  }

  async mount(): Promise<void> {
    await this.host.command('mount', this.device, this.host.path('mnt'))
  }

  /** `forebay stop`: everything is on the backing afterwards. */
  async stop(): Promise<void> {
    await this.host.command('umount', this.host.path('mnt'))
    const words = ['stop', VOLUME, '--state-dir', `${this.host.name}/state`]
    this.stage.prompt(this.host.name, ['forebay', ...words])
    await this.host.command(FOREBAY, ...words)
    await this.stage.until('the end of the volume', STOP_LIMIT_MS, () => this.program.status !== null)
    if (this.program.status !== 0) throw demoError(`forebay serve ended with ${this.program.status ?? ''}`)
  }
}

/** `forebay pki`: a private CA, and what each host proves its name with. */
export async function issueCertificates(stage: Stage, directory: string, hosts: readonly DemoHost[]): Promise<void> {
  const lines = [['init', '--dir', 'pki']]
  for (const { name } of hosts) lines.push(['issue', name, '--dir', 'pki', '--out', `${name}/tls`])
  for (const words of lines) {
    stage.prompt('', ['forebay', 'pki', ...words])
    const absolute = words.map((word) => (word.includes('/') || word === 'pki' ? path.join(directory, word) : word))
    // oxlint-disable-next-line eslint/no-await-in-loop -- the authority first
    await command(FOREBAY, 'pki', ...absolute)
  }
}
