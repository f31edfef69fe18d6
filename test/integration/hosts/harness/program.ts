// A `forebay` that runs on a pretended host and stays in the foreground: started as a user starts it, what it says kept.
//
// FOREBAY_KEEP_LOGS=DIRECTORY: what each one says is also written there, one file per program.
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { FOREBAY } from '../../harness/served.ts'
import { until } from '../../harness/test-bed.ts'
import type { Host } from './host.ts'
import { signal } from './namespaces.ts'

export const PEER_PORT = 7070
const OUTPUT_CHARACTERS_MAX = 400_000
/** Only ends a test that would hang. */
const READY_LIMIT_MS = 120_000
const KEEP_LOGS = process.env['FOREBAY_KEEP_LOGS']
let started = 0

export interface Exit {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
}

export class Program {
  readonly host: Host
  readonly words: readonly string[]
  readonly ended: Promise<Exit>
  output = ''
  errors = ''
  exit: Exit | null = null
  private readonly child: ChildProcess

  constructor(host: Host, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.host = host
    this.words = words
    const [program = '', ...entered] = host.namespaces.enter(FOREBAY, ...words)
    const child = spawn(program, entered, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
    })
    this.child = child
    started++
    const keep = keeper(`${process.pid}-${started}-${host.name}-${words[0]}.log`)
    keep(`${words.join(' ')}\n`)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      keep(text)
      this.output = (this.output + text).slice(-OUTPUT_CHARACTERS_MAX)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      keep(text)
      this.errors = (this.errors + text).slice(-OUTPUT_CHARACTERS_MAX)
    })
    this.ended = new Promise((resolve) => {
      child.on('exit', (status, name) => {
        this.exit = { status, signal: name }
        resolve(this.exit)
      })
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get running(): boolean {
    return this.exit === null
  }

  /** True: it is ready. False: it has ended before. */
  async comesUp(): Promise<boolean> {
    const what = `${this.words[0]} on ${this.host.name} is ready`
    await until(what, () => this.exit !== null || this.output.includes('\n'), READY_LIMIT_MS)
    return this.output.includes('\n')
  }

  async untilReady(): Promise<void> {
    if (await this.comesUp()) return
    throw new Error(`${this.words[0]} on ${this.host.name} ended before it was ready:\n${this.errors.slice(-4000)}`)
  }

  /** Until its event log says so. */
  async untilSaid(pattern: RegExp): Promise<RegExpExecArray> {
    let found: RegExpExecArray | null = null
    await until(`${this.words[0]} on ${this.host.name} says ${pattern}`, () => {
      found = pattern.exec(this.errors)
      return found !== null
    })
    return found as unknown as RegExpExecArray
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) signal(this.pid, name)
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.ended
  }
}

function keeper(name: string): (text: string) => void {
  if (KEEP_LOGS === undefined) return () => undefined
  mkdirSync(KEEP_LOGS, { recursive: true })
  return (text) => appendFileSync(path.join(KEEP_LOGS, name), text)
}
