// Other caches behind NBD, which serve a block device as we do: nbdkit with its cache filter and qemu-nbd with its
// write-back cache. Both acknowledge a write once it is in the page cache; a flush makes it durable on the device.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { runProgram } from './fio.ts'
import type { Scaffold } from './scaffold.ts'

const START_LIMIT_MS = 10_000
const STOP_WAIT_MS = 20_000

export interface NbdServerPlan {
  readonly socket: string
  /** A block device. */
  readonly backing: string
  /** On the disk of the caches. */
  readonly cacheDirectory: string
}

/** The words of a command and what stands in its environment. */
export interface NbdServerCommand {
  readonly command: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
}

/** Its cache is a temporary file without a limit; blocks as small as the load's, so that no write has to read the rest. */
export function nbdkitCommand({ socket, backing, cacheDirectory }: NbdServerPlan): NbdServerCommand {
  const cache = ['cache=writeback', 'cache-on-read=true', 'cache-min-block-size=4K']
  return {
    command: ['nbdkit', '--foreground', '--unix', socket, '--filter=cache', 'file', backing, ...cache],
    environment: { TMPDIR: cacheDirectory },
  }
}

/** Its cache is the page cache of the host. As many clients as come, one after the other. */
export function qemuNbdCommand({ socket, backing }: NbdServerPlan): NbdServerCommand {
  const serving = ['--persistent', '--shared=16', '--socket', socket]
  return { command: ['qemu-nbd', ...serving, '--format=raw', '--cache=writeback', backing] }
}

/** One server; begun again it has an empty cache. */
export class NbdServer {
  readonly uri: string
  private readonly scaffold: Scaffold
  private readonly socket: string
  private readonly words: NbdServerCommand
  private child: ChildProcess | null = null
  private ended: Promise<void> = Promise.resolve()

  constructor(scaffold: Scaffold, socket: string, words: NbdServerCommand) {
    this.scaffold = scaffold
    this.socket = socket
    this.words = words
    this.uri = `nbd+unix:///?socket=${socket}`
    scaffold.later(words.command[0] ?? '', () => this.stop())
  }

  get pid(): number {
    return this.child?.pid ?? 0
  }

  /** Stopped first where it runs. Returns when it can be connected to. */
  async start(): Promise<void> {
    await this.stop()
    await rm(this.socket, { force: true })
    const { command, environment = {} } = this.words
    const [program = '', ...args] = command
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true,
      env: { ...process.env, ...environment },
    })
    this.child = child
    this.ended = new Promise((resolve) => {
      child.on('error', () => resolve())
      child.on('close', () => resolve())
    })
    await this.scaffold.until(`${program} listens`, START_LIMIT_MS, async () => {
      if (child.pid === undefined || child.exitCode !== null) throw new Error(`${program} could not be started`)
      return existsSync(this.socket) && this.answers()
    })
  }

  private answers(): Promise<boolean> {
    return runProgram('nbdinfo', ['--size', this.uri], this.scaffold.signal).then(
      () => true,
      () => false,
    )
  }

  /** What it has not flushed is lost, or written by the kernel. Idempotent. */
  async stop(): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null) return
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WAIT_MS)
    child.kill('SIGTERM')
    await this.ended
    clearTimeout(timer)
  }
}
