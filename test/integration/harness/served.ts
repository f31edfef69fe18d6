// A volume served by the real command: `bin/forebay serve` in a state directory of the test. Waits for the ready line,
// finds holder and engine, kills them, serves again, and at the end takes everything down, whatever state it is in.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { VolumeStatus } from '../../../csi-driver/observe/status.ts'
import { type Ran, type TestBed, tryCommand, until } from './test-bed.ts'

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '')
export const FOREBAY = path.join(ROOT, 'bin/forebay')
const OUTPUT_CHARACTERS_MAX = 200_000
/** Laying out a cache and replaying a log take seconds; this only ends a test that would hang. */
const READY_LIMIT_MS = 120_000

let count = 0

export interface ServeOptions {
  readonly backing: string
  /** A file `cache-…` in the directory of the test when left out. */
  readonly cache?: string
  /** Further words of the command line. */
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** 128MiB when left out; empty: no flag. */
  readonly cacheSize?: string
}

export interface Exit {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

export class Served {
  readonly volume: string
  readonly stateDirectory: string
  readonly cache: string
  readonly options: ServeOptions
  /** Everything that `serve` has printed. */
  output = ''
  errors = ''
  device = ''
  private child: ChildProcess | null = null
  private exit: Promise<Exit> = Promise.resolve({ status: 0, signal: null })

  private constructor(bed: TestBed, options: ServeOptions) {
    count++
    this.volume = `t${process.pid}-${count}`
    this.stateDirectory = bed.path('state')
    this.cache = options.cache ?? bed.path(`cache-${this.volume}`)
    this.options = options
    bed.later(`volume ${this.volume}`, () => this.takeDown())
  }

  /** A volume that is ready. */
  static async serve(bed: TestBed, options: ServeOptions): Promise<Served> {
    const served = new Served(bed, options)
    await served.start()
    return served
  }

  /** Serves (again). Rejects when it ends before it is ready, with everything it said. */
  async start(...moreFlags: readonly string[]): Promise<void> {
    const ready = await this.tryStart(...moreFlags)
    if (!ready) throw new Error(`serve ended before it was ready:\n${this.errors.slice(-4000)}`)
  }

  /** True when it is ready, false when it ended before. */
  async tryStart(...moreFlags: readonly string[]): Promise<boolean> {
    const { backing, flags = [], env = {}, cacheSize = '128MiB' } = this.options
    const size = cacheSize === '' || existsSync(this.cache) ? [] : ['--cache-size', cacheSize]
    const fixed = ['serve', this.volume, '--backing', backing, '--cache', this.cache]
    const words = [...fixed, ...size, '--state-dir', this.stateDirectory, ...flags, ...moreFlags]
    this.output = ''
    const child = spawn(FOREBAY, words, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
    })
    this.child = child
    let ended = false
    this.exit = new Promise((resolve) => {
      child.on('exit', (status, signal) => {
        ended = true
        resolve({ status, signal })
      })
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.output = (this.output + text).slice(-OUTPUT_CHARACTERS_MAX)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.errors = (this.errors + text).slice(-OUTPUT_CHARACTERS_MAX)
    })
    await until(`volume ${this.volume} is ready`, () => ended || this.output.includes('\n'), READY_LIMIT_MS)
    const found = /^ready volume=(\S+) device=(\S+)$/m.exec(this.output)
    if (found === null) {
      await this.exit
      return false
    }
    this.device = found[2] ?? ''
    return true
  }

  get holderPid(): number {
    return this.child?.pid ?? 0
  }

  get running(): boolean {
    return this.child !== null && this.child.exitCode === null && this.child.signalCode === null
  }

  /** Of the engine as the holder knows it; 0 while there is none. */
  get enginePid(): number {
    try {
      const [holder, , engine] = readFileSync(this.lockFile, 'utf8').trim().split(' ')
      return Number(holder) === this.holderPid ? Number(engine ?? 0) : 0
    } catch {
      return 0
    }
  }

  /** SIGKILL to the engine alone. Returns the pid that died. */
  killEngine(): number {
    const pid = this.enginePid
    if (pid > 0) kill(pid, 'SIGKILL')
    return pid
  }

  /** SIGKILL to holder and engine in one go. */
  async killAll(): Promise<void> {
    const pids = [this.holderPid, this.enginePid]
    for (const pid of pids) if (pid > 0) kill(pid, 'SIGKILL')
    await this.exit
    await until(`engine ${pids[1]} is gone`, () => hasEnded(pids[1] ?? 0))
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) kill(this.holderPid, name)
  }

  exited(): Promise<Exit> {
    return this.exit
  }

  /** A command of `forebay` on this volume. */
  call(name: string, ...words: readonly string[]): Promise<Ran> {
    return tryCommand(FOREBAY, [name, this.volume, ...words, '--state-dir', this.stateDirectory])
  }

  /** A command that must succeed. */
  async must(name: string, ...words: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.call(name, ...words)
    if (status !== 0)
      throw new Error(`${name} ended with ${status}: ${stderr}\nserve said: ${this.errors.slice(-3000)}`)
    return stdout
  }

  /** Of the running volume, or of what is left of it. */
  async status(): Promise<VolumeStatus> {
    const [status] = JSON.parse(await this.must('status', '--output', 'json')) as VolumeStatus[]
    if (status === undefined) throw new Error(`no status of ${this.volume}`)
    return status
  }

  /** `forebay stop`: drained and closed; the holder has gone with status 0. */
  async stop(): Promise<void> {
    await this.must('stop')
    const { status } = await this.exit
    if (status !== 0) throw new Error(`serve ended with ${status}: ${this.errors.slice(-3000)}`)
  }

  private get lockFile(): string {
    return `/run/forebay/locks/volume-${this.volume}.lock`
  }

  private async takeDown(): Promise<void> {
    if (this.running) await this.killAll()
    const runDirectory = `/run/forebay/volumes/${this.volume}`
    const left = existsSync(path.join(runDirectory, 'attach.json'))
    const cleanup = left ? await tryCommand(FOREBAY, ['cleanup', runDirectory]) : null
    rmSync(runDirectory, { recursive: true, force: true })
    rmSync(this.lockFile, { force: true })
    if (cleanup !== null && cleanup.status !== 0) throw new Error(`cleanup: ${cleanup.stderr}`)
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}

/** All its threads have: one that waits for a disk outlives the main thread, and what it has asked for still happens. */
function hasEnded(pid: number): boolean {
  try {
    const isZombie = readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
    return isZombie && readdirSync(`/proc/${pid}/task`).length <= 1
  } catch {
    return true
  }
}
