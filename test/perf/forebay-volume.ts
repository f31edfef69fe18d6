// A volume of the product as a subject, served by the command that users type, with what a measurement needs of it:
// the data set in the read cache, nothing dirty, hits and misses, memory.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { productRoot } from '../../csi-driver/cli/product.ts'
import { runDirectory, volumeLockFile } from '../../csi-driver/holder/run-directory.ts'
import type { VolumeStatus } from '../../csi-driver/observe/status.ts'
import { fioArguments, runProgram } from './fio.ts'
import type { Scaffold } from './scaffold.ts'
import type { Subject, SubjectName } from './subjects.ts'

const FOREBAY = path.join(productRoot(), 'bin', 'forebay')
const STOP_WAIT_MS = 20_000
/** Passes over the whole data set until one of them meets no miss. */
const WARM_PASSES_MAX = 8

export interface VolumeOptions {
  readonly name: SubjectName
  readonly title: string
  readonly backing: string
  readonly cache: string
  readonly cacheMiB: number
  readonly resource: 'flash' | 'memory'
  readonly busyPollMicros: number
  readonly stateDirectory: string
}

export class ForebayVolume {
  readonly volume: string
  private readonly scaffold: Scaffold
  private readonly options: VolumeOptions
  private child: ChildProcess | null = null
  private ended: Promise<unknown> = Promise.resolve()
  private said = ''
  private device = ''
  private enginePid = 0
  private holderPid = 0

  constructor(scaffold: Scaffold, options: VolumeOptions) {
    this.scaffold = scaffold
    this.options = options
    this.volume = `bench-${process.pid}-${options.name.toLowerCase()}`
  }

  /** Serves the volume; it is stopped with the scaffold. */
  async serve(): Promise<Subject> {
    const { options, scaffold } = this
    const child = spawn(FOREBAY, this.words(), { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.child = child
    this.ended = new Promise((resolve) => child.on('close', resolve))
    scaffold.later(`volume ${this.volume}`, () => this.takeDown())
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.said = (this.said + text).slice(-4000)))
    this.device = await this.ready(child)
    const { enginePid, holderPid } = await this.status()
    this.enginePid = enginePid ?? 0
    this.holderPid = holderPid ?? 0
    const { name, title, busyPollMicros } = options
    return { name, title, target: this.device, serverPid: () => this.enginePid, busyPollMicros }
  }

  private words(): string[] {
    const { backing, cache, cacheMiB, resource, busyPollMicros } = this.options
    return [
      ...['serve', this.volume, '--backing', backing, '--cache', cache, '--cache-size', `${cacheMiB}MiB`],
      ...['--resource', resource, ...(resource === 'memory' ? ['--allow-volatile'] : [])],
      ...['--busy-poll', String(busyPollMicros), '--output', 'json', ...this.stateWords],
    ]
  }

  private get stateWords(): string[] {
    return ['--state-dir', this.options.stateDirectory]
  }

  private ready(child: ChildProcess): Promise<string> {
    return new Promise((resolve, reject) => {
      const interrupt = (): void => reject(new Error('interrupted'))
      this.scaffold.signal.addEventListener('abort', interrupt, { once: true })
      child.once('error', reject)
      child.once('close', () => reject(new Error(`forebay serve ended before it was ready:\n${this.said}`)))
      if (child.stdout === null) return
      createInterface({ input: child.stdout }).on('line', (line) => {
        const event = JSON.parse(line) as { readonly event: string; readonly device: string }
        if (event.event === 'ready') resolve(event.device)
      })
    })
  }

  async status(): Promise<VolumeStatus> {
    const words = ['status', this.volume, '--output', 'json', ...this.stateWords]
    const [status] = JSON.parse(await runProgram(FOREBAY, words)) as readonly VolumeStatus[]
    if (status?.state !== 'serving') throw new Error(`volume ${this.volume} is ${status?.state ?? 'gone'}`)
    if (this.enginePid !== 0 && status.enginePid !== this.enginePid) {
      throw new Error(`the engine of ${this.volume} was started again:\n${this.said}`)
    }
    return status
  }

  /** Returns when nothing is dirty. */
  async drain(): Promise<void> {
    await runProgram(FOREBAY, ['drain', this.volume, ...this.stateWords], this.scaffold.signal)
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
    const job = { target: this.device, direction, queueDepth: 32, engine: 'libaio', dataBytes, seconds: 0 } as const
    const words = fioArguments(job).filter((word) => !/^--(time_based|runtime|norandommap)/.test(word))
    await runProgram('fio', words, this.scaffold.signal)
  }

  /** Resident memory in MiB. */
  async memory(): Promise<{ readonly engineMiB: number; readonly holderMiB: number }> {
    const [engineMiB, holderMiB] = await Promise.all([residentMiB(this.enginePid), residentMiB(this.holderPid)])
    return { engineMiB, holderMiB }
  }

  private async takeDown(): Promise<void> {
    const { child, volume } = this
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const timer = setTimeout(() => this.kill(), STOP_WAIT_MS)
      // Twice: what is dirty is thrown away with the cache.
      child.kill('SIGTERM')
      await new Promise((resolve) => setTimeout(resolve, 100))
      child.kill('SIGTERM')
      await this.ended
      clearTimeout(timer)
    }
    const directory = runDirectory(volume)
    if (existsSync(directory)) {
      await runProgram(FOREBAY, ['cleanup', directory])
      await rm(directory, { recursive: true, force: true })
    }
    await rm(volumeLockFile(volume), { force: true })
  }

  private kill(): void {
    for (const pid of [this.child?.pid ?? 0, this.enginePid]) {
      try {
        if (pid > 0) process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
  }
}

async function residentMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? Number.NaN) / 1024
}
