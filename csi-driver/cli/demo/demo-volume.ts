// The volume of the demo, served by the command that users type. Ends with the demo whatever happens: asked first, then
// stopped at once, then killed and cleaned up after.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { CacheError } from '../../../base/errors.ts'
import { RUN_NO_RESEND, runDirectory, volumeLockFile } from '../../holder/run-directory.ts'
import { productRoot } from '../product.ts'
import { type Stage, tryCommand } from './stage.ts'

const READY_CHECK_MS = 20
/** Seconds: a disk that has died cannot be drained to. */
const STOP_LIMIT = '120'
const STOP_WAIT_MS = 20_000

export interface DemoVolumeOptions {
  readonly volume: string
  readonly backing: string
  readonly cache: string
  readonly stateDirectory: string
}

export class DemoVolume {
  device = ''
  private readonly options: DemoVolumeOptions
  private readonly forebay = path.join(productRoot(), 'bin', 'forebay')
  private child: ChildProcess | null = null
  private ended: Promise<void> = Promise.resolve()
  private said = ''

  constructor(stage: Stage, options: DemoVolumeOptions) {
    this.options = options
    stage.later(`volume ${options.volume}`, () => this.takeDown())
  }

  get name(): string {
    return this.options.volume
  }

  /** The words after `forebay`, for showing. */
  get words(): readonly string[] {
    const { volume, backing, cache, stateDirectory } = this.options
    return [
      'serve',
      volume,
      '--backing',
      backing,
      '--cache',
      cache,
      '--cache-size',
      '256MiB',
      '--state-dir',
      stateDirectory,
    ]
  }

  async serve(): Promise<void> {
    const child = spawn(this.forebay, this.words, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.child = child
    let output = ''
    const exit = { over: false }
    this.ended = new Promise((resolve) => {
      child.on('exit', () => {
        exit.over = true
        resolve()
      })
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.said = (this.said + text).slice(-4000)))
    while (!exit.over && !output.includes('\n')) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      await new Promise((resolve) => setTimeout(resolve, READY_CHECK_MS))
    }
    const device = /^ready volume=\S+ device=(\S+)$/m.exec(output)?.[1]
    if (device !== undefined) {
      this.device = device
      return
    }
    throw new CacheError('retry', 'CACHE_DEMO_SERVE', `forebay serve ended before it was ready:\n${this.said}`, {
      remedy: 'What it said stands above.',
    })
  }

  /** False on kernels that cannot send requests again. */
  get survivesKill(): boolean {
    return !existsSync(path.join(runDirectory(this.options.volume), RUN_NO_RESEND))
  }

  get enginePid(): number {
    const [, , engine] = readFileSync(volumeLockFile(this.options.volume), 'utf8').trim().split(' ')
    return Number(engine ?? 0)
  }

  /** `forebay stop`. */
  async stop(): Promise<void> {
    const { status, stderr } = await tryCommand(
      'timeout',
      STOP_LIMIT,
      this.forebay,
      'stop',
      this.options.volume,
      ...this.state,
    )
    await this.ended
    if (status === 0) return
    throw new CacheError('retry', 'CACHE_DEMO_STOP', `forebay stop ended with ${status}: ${stderr}`, {
      remedy: 'What it said stands above.',
    })
  }

  /** `dirtyBytes` of the running volume. */
  async dirtyBytes(): Promise<number> {
    const words = ['status', this.options.volume, '--output', 'json', ...this.state]
    const { status, stdout } = await tryCommand(this.forebay, ...words)
    if (status !== 0) return 0
    const [volume] = JSON.parse(stdout) as readonly { readonly dirtyBytes: number }[]
    return volume?.dirtyBytes ?? 0
  }

  private get state(): readonly string[] {
    return ['--state-dir', this.options.stateDirectory]
  }

  private async takeDown(): Promise<void> {
    const { child } = this
    const { volume } = this.options
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      child.kill('SIGTERM')
      const timer = setTimeout(() => this.kill(), STOP_WAIT_MS)
      await this.ended
      clearTimeout(timer)
    }
    const directory = runDirectory(volume)
    if (existsSync(directory)) await tryCommand(this.forebay, 'cleanup', directory)
    rmSync(directory, { recursive: true, force: true })
    rmSync(volumeLockFile(volume), { force: true })
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
