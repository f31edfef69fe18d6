// The volume of a test as one host serves it: `forebay serve` or `forebay takeover` with all it needs to know.
import { existsSync, readFileSync } from 'node:fs'
import type { VolumeStatus } from '../../../../csi-driver/observe/status.ts'
import { type Ran, until } from '../../harness/test-bed.ts'
import type { Host } from './host.ts'
import { signal, stateOf } from './namespaces.ts'
import { Program } from './program.ts'

const CACHE_SIZE = '32MiB'
/** Peers that were lost are watched for a while before they get a copy again; this only ends a test that would hang. */
const STATUS_LIMIT_MS = 90_000

export class ServedHere extends Program {
  constructor(host: Host, command: 'serve' | 'takeover', flags: readonly string[]) {
    super(host, wordsOf(host, command, flags))
  }

  static async ready(host: Host, command: 'serve' | 'takeover', flags: readonly string[]): Promise<ServedHere> {
    const served = new ServedHere(host, command, flags)
    await served.untilReady()
    return served
  }

  /** /dev/loopN */
  get device(): string {
    const found = /^ready volume=\S+ device=(\S+)$/m.exec(this.output)
    if (found === null) throw new Error(`no ready line: ${this.output}${this.errors.slice(-2000)}`)
    return found[1] ?? ''
  }

  /** 0 while there is none. */
  get enginePid(): number {
    const lock = `/proc/${this.host.namespaces.keeperPid}/root/run/forebay/locks/volume-${this.host.hosts.volume}.lock`
    if (!existsSync(lock)) return 0
    const [holder, , engine] = readFileSync(lock, 'utf8').trim().split(' ')
    return Number(holder) === this.pid ? Number(engine ?? 0) : 0
  }

  /** SIGKILL to the engine alone; its holder starts the next one. */
  killEngine(): number {
    const { enginePid } = this
    if (enginePid > 0) signal(enginePid, 'SIGKILL')
    return enginePid
  }

  async untilNextEngine(before: number): Promise<void> {
    await until('the holder has started the next engine', () => this.enginePid > 0 && this.enginePid !== before)
  }

  get engineState(): string {
    return stateOf(this.enginePid)
  }

  call(command: string, ...words: readonly string[]): Promise<Ran> {
    const { host } = this
    return host.forebay(command, host.hosts.volume, ...words, '--state-dir', host.stateDir)
  }

  async must(command: string, ...words: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.call(command, ...words)
    if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}\n${this.errors.slice(-3000)}`)
    return stdout
  }

  async status(): Promise<VolumeStatus> {
    const [found] = JSON.parse(await this.must('status', '--output', 'json')) as VolumeStatus[]
    if (found === undefined) throw new Error('no status')
    return found
  }

  /** In write-back, with copies on exactly these nodes (in any order). */
  async untilCopiesOn(...nodes: readonly string[]): Promise<void> {
    const wanted = [...nodes].toSorted().join(' ')
    await this.untilStatus(`copies on ${wanted}`, ({ inSync, effectiveWritePolicy, phase }) => {
      const found = inSync.map(({ node }) => node).toSorted()
      return found.join(' ') === wanted && effectiveWritePolicy === 'write-back' && phase === 'WriteBack'
    })
  }

  /** Looks until the status is as it should be. While no engine answers there is none. */
  async untilStatus(what: string, holds: (status: VolumeStatus) => boolean): Promise<void> {
    let last = 'none'
    const look = async (): Promise<boolean> => {
      const { status, stdout } = await this.call('status', '--output', 'json')
      const [found] = status === 0 ? (JSON.parse(stdout) as VolumeStatus[]) : []
      if (found === undefined) return false
      last = `${found.phase} ${found.inSync.map(({ node }) => node).join(' ')} ${found.reason ?? ''}`
      return holds(found)
    }
    await until(what, look, STATUS_LIMIT_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}; the status was: ${last}\n${this.errors.slice(-3000)}`)
    })
  }

  /** `forebay stop`: drained, closed, and the host lets go of the volume. */
  async stop(): Promise<void> {
    await this.must('stop')
    const { status } = await this.ended
    if (status !== 0) throw new Error(`${this.words[0]} ended with ${status}: ${this.errors.slice(-3000)}`)
  }
}

function wordsOf(host: Host, command: string, flags: readonly string[]): string[] {
  const { hosts } = host
  const memory = flags.includes('memory')
  const cache = memory ? host.memoryPath('cache') : host.path('cache')
  const others = hosts.others(host).flatMap((other) => other.asPeer())
  const given = (flag: string): boolean => flags.includes(flag)
  return [
    ...[command, hosts.volume, '--backing', host.backing, '--register', hosts.register, '--cache', cache],
    ...(given('--node') ? [] : ['--node', host.name]),
    ...(given('--tls-dir') ? [] : ['--tls-dir', host.tlsDir]),
    ...['--state-dir', host.stateDir],
    ...(existsSync(cache) || given('--cache-size') ? [] : ['--cache-size', CACHE_SIZE]),
    ...(given('--peer') ? [] : others),
    ...(given('--replicas') ? [] : ['--replicas', '1']),
    ...flags,
  ]
}
