// A volume of the product as a subject, served by the command that users type, with what a measurement needs of it:
// the data set in the read cache, nothing dirty, hits and misses, memory.
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { runDirectory, volumeLockFile } from '../../csi-driver/holder/run-directory.ts'
import type { VolumeStatus } from '../../csi-driver/observe/status.ts'
import { fioArguments, runProgram } from './fio.ts'
import { FOREBAY, ForebayProcess, HERE, type On, residentMiB } from './forebay-process.ts'
import type { Scaffold } from './scaffold.ts'

/** Passes over the whole data set until one of them meets no miss. */
const WARM_PASSES_MAX = 8
const WRITE_BACK_LIMIT_MS = 60_000
/** As databases write. */
const SCATTERED_BYTES = 16 * 1024
const SCATTERED_QUEUE_DEPTH = 16

export interface VolumeOptions {
  /** Becomes a part of the volume's name. */
  readonly name: string
  readonly backing: string
  readonly cache: string
  readonly cacheMiB: number
  readonly resource: 'flash' | 'memory'
  readonly stateDirectory: string
  readonly busyPollMicros?: number
  /** Path of a socket: it is an NBD export there instead of a block device. */
  readonly nbdSocket?: string
  /** More settings: the copies that it has, and so on. */
  readonly flags?: readonly string[]
  /** Another host than this machine, which takes away itself what a killed volume leaves. */
  readonly on?: On
}

export class ForebayVolume {
  readonly volume: string
  /** A path, or the URI of an NBD export. */
  device = ''
  private readonly scaffold: Scaffold
  private readonly options: VolumeOptions
  private process: ForebayProcess | null = null
  private enginePidSeen = 0
  private holderPid = 0

  constructor(scaffold: Scaffold, options: VolumeOptions) {
    this.scaffold = scaffold
    this.options = options
    this.volume = `bench-${process.pid}-${options.name.toLowerCase()}`
  }

  /** Serves the volume; it is stopped with the scaffold. */
  async serve(): Promise<void> {
    await this.start('serve')
  }

  /** The same for a volume that another host owned. */
  async takeOver(fenceCommand: string): Promise<void> {
    await this.start('takeover', ['--fence-command', fenceCommand])
  }

  /** Of the engine that `serve` has started; another one is a failure (see status). */
  get enginePid(): number {
    return this.enginePidSeen
  }

  /** The newest of its event log. */
  get said(): string {
    return this.process?.said ?? ''
  }

  private async start(command: 'serve' | 'takeover', more: readonly string[] = []): Promise<void> {
    const { options, scaffold } = this
    if (options.on === undefined) scaffold.later(`volume ${this.volume}`, () => this.forget())
    this.process = new ForebayProcess(scaffold, [command, this.volume, ...this.flags(), ...more], options.on)
    const { device = '' } = await this.process.ready()
    this.device = device
  }

  /** Learns the processes of the volume; from now on another engine is a failure. */
  async know(): Promise<void> {
    const { enginePid, holderPid } = await this.status()
    this.enginePidSeen = enginePid ?? 0
    this.holderPid = holderPid ?? 0
  }

  private flags(): string[] {
    const { backing, cache, cacheMiB, resource, busyPollMicros = 0, nbdSocket, flags = [] } = this.options
    return [
      ...['--backing', backing, '--cache', cache, '--cache-size', `${cacheMiB}MiB`, '--log-format', 'json'],
      ...['--resource', resource, ...(resource === 'memory' ? ['--allow-volatile'] : [])],
      ...['--busy-poll', String(busyPollMicros), '--output', 'json', ...this.stateWords, ...flags],
      ...(nbdSocket === undefined ? [] : ['--frontend', 'nbd', '--nbd-socket', nbdSocket]),
    ]
  }

  private get stateWords(): string[] {
    return ['--state-dir', this.options.stateDirectory]
  }

  private command(...words: readonly string[]): Promise<string> {
    const { on = HERE } = this.options
    const [program = '', ...args] = on([FOREBAY, ...words, ...this.stateWords])
    return runProgram(program, args, this.scaffold.signal)
  }

  async status(): Promise<VolumeStatus> {
    const text = await this.command('status', this.volume, '--output', 'json')
    const [status] = JSON.parse(text) as readonly VolumeStatus[]
    if (status?.state !== 'serving') throw new Error(`volume ${this.volume} is ${status?.state ?? 'gone'}`)
    if (this.enginePid !== 0 && status.enginePid !== this.enginePid) {
      throw new Error(`the engine of ${this.volume} was started again:\n${this.said}`)
    }
    return status
  }

  /** Returns when nothing is dirty. */
  async drain(): Promise<void> {
    await this.command('drain', this.volume)
  }

  /** Writes every block of the data set once and makes it clean. */
  async fill(dataBytes: number): Promise<void> {
    await this.pass('write', dataBytes)
    await this.drain()
  }

  /** Reads the data set in random order, for a scan would bypass the cache, until a whole pass hits. */
  async warm(dataBytes: number): Promise<void> {
    let { readMisses } = await this.status()
    for (let pass = 0; pass < WARM_PASSES_MAX; pass++) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one pass after the other
      await this.pass('read', dataBytes)
      // oxlint-disable-next-line eslint/no-await-in-loop -- one pass after the other
      const now = (await this.status()).readMisses
      if (now === readMisses) return
      readMisses = now
    }
    throw new Error(`volume ${this.volume}: reads still miss after ${WARM_PASSES_MAX} passes over the data set`)
  }

  /** Every block once. */
  private async pass(direction: 'read' | 'write', dataBytes: number): Promise<void> {
    const engine = this.options.nbdSocket === undefined ? 'libaio' : 'nbd'
    const job = { target: this.device, direction, queueDepth: 32, engine, dataBytes, seconds: 0 } as const
    const words = fioArguments(job).filter((word) => !/^--(time_based|runtime|norandommap)/.test(word))
    await runProgram('fio', words, this.scaffold.signal)
  }

  /** Writes so much in random order, nothing twice. */
  async scatter(writtenMiB: number, volumeBytes: number): Promise<void> {
    const words = [
      ...['--name=fill', `--filename=${this.device}`, '--rw=randwrite', `--bs=${SCATTERED_BYTES}`, '--direct=1'],
      ...[`--size=${volumeBytes}`, `--io_size=${writtenMiB}M`, '--refill_buffers', '--ioengine=libaio'],
    ]
    await runProgram('fio', [...words, `--iodepth=${SCATTERED_QUEUE_DEPTH}`], this.scaffold.signal)
  }

  /** Resident memory in MiB. */
  async memory(): Promise<{ readonly engineMiB: number; readonly holderMiB: number }> {
    const [engineMiB, holderMiB] = await Promise.all([residentMiB(this.enginePid), residentMiB(this.holderPid)])
    return { engineMiB, holderMiB }
  }

  /** In write-back, and with `copies` copies on other hosts. */
  async untilWriteBack(copies: number): Promise<void> {
    await this.scaffold.until(`${this.volume} in write-back with ${copies} copies`, WRITE_BACK_LIMIT_MS, async () => {
      const { effectiveWritePolicy, inSync } = await this.status()
      return effectiveWritePolicy === 'write-back' && inSync.length === copies + 1
    })
  }

  /** Of the process that serves it. */
  get ended(): Promise<void> {
    return this.process?.ended ?? Promise.resolve()
  }

  /** Ends in order, with nothing dirty. */
  async drainAndStop(): Promise<void> {
    await this.command('stop', this.volume)
    await this.ended
  }

  /** Idempotent; what is dirty stays in the cache. */
  async stop(): Promise<void> {
    await this.process?.stop()
  }

  /** As a user stops it: drained, with everything on the backing. */
  async stopClean(): Promise<void> {
    this.process?.signal('SIGTERM')
    await this.ended
  }

  /** What it leaves on this machine. */
  private async forget(): Promise<void> {
    const directory = runDirectory(this.volume)
    if (existsSync(directory)) {
      await runProgram(FOREBAY, ['cleanup', directory])
      await rm(directory, { recursive: true, force: true })
    }
    await rm(volumeLockFile(this.volume), { force: true })
  }
}
