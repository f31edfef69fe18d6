// A command of the product that stays in the foreground (serve, takeover, peer): started, waited for until it says that
// it is ready, ended with the scaffold. It runs out of reach of the terminal's Ctrl-C.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { productRoot } from '../../csi-driver/cli/product.ts'
import type { Scaffold } from './scaffold.ts'

const USER_HZ = 100

export const FOREBAY = path.join(productRoot(), 'bin', 'forebay')

const STOP_WAIT_MS = 20_000
const SECOND_SIGNAL_MS = 100
const SAID_CHARACTERS_MAX = 64 * 1024

/** Puts in front of a command what it takes to run it on another host. */
export type On = (command: readonly string[]) => readonly string[]

export const HERE: On = (command) => command

export interface ReadyLine {
  readonly device?: string
  readonly listen?: string
}

export class ForebayProcess {
  readonly words: readonly string[]
  readonly ended: Promise<void>
  private readonly child: ChildProcess
  private readonly scaffold: Scaffold
  private readonly line: Promise<ReadyLine>
  private output = ''

  constructor(scaffold: Scaffold, words: readonly string[], on: On = HERE) {
    this.scaffold = scaffold
    this.words = words
    const [program = '', ...args] = on([FOREBAY, ...words])
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.child = child
    this.ended = new Promise((resolve) => child.on('close', () => resolve()))
    this.line = this.readyLine(child)
    // Whoever waits for it hears of it.
    this.line.catch(() => undefined)
    scaffold.later(`forebay ${words[0] ?? ''} ${words[1] ?? ''}`, () => this.stop())
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.output = (this.output + text).slice(-SAID_CHARACTERS_MAX)
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** The newest of its event log. */
  get said(): string {
    return this.output
  }

  /** Throws when it ends before, and after Ctrl-C. */
  async ready(): Promise<ReadyLine> {
    const interrupt = once(this.scaffold.signal, 'abort').then(() => Promise.reject(new Error('interrupted')))
    this.scaffold.checkInterrupt()
    return Promise.race([this.line, interrupt])
  }

  signal(name: NodeJS.Signals): void {
    if (this.isRunning) this.child.kill(name)
  }

  /** Twice told: what is dirty is thrown away with the cache. Idempotent. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.signal('SIGKILL'), STOP_WAIT_MS)
    this.signal('SIGCONT')
    this.signal('SIGTERM')
    const second = setTimeout(() => this.signal('SIGTERM'), SECOND_SIGNAL_MS)
    await this.ended
    clearTimeout(second)
    clearTimeout(timer)
  }

  private readyLine(child: ChildProcess): Promise<ReadyLine> {
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', () =>
        reject(new Error(`forebay ${this.words.slice(0, 2).join(' ')} ended before it was ready:\n${this.said}`)),
      )
      if (child.stdout === null) return
      createInterface({ input: child.stdout }).on('line', (line) => {
        const event = JSON.parse(line) as ReadyLine & { readonly event: string }
        if (event.event === 'ready') resolve(event)
      })
    })
  }
}

export async function residentMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? Number.NaN) / 1024
}

/** utime + stime of a process with all its threads (proc_pid_stat(5)). */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / USER_HZ
}
