// A slow disk as an object: starts the process, tells it what to do, takes it down. The disk also goes when the process
// that made it dies, whatever way.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { SlowDiskCounters, SlowDiskKind } from './slow-disk-memory.ts'
import type { SlowDiskOptions } from './slow-disk-server.ts'

export const SLOW_DISK_SERVER = fileURLToPath(new URL('slow-disk-server.ts', import.meta.url))

export interface SlowDiskAnswer extends SlowDiskCounters {
  readonly ok: boolean
  readonly device: string
  readonly fileName: string
  readonly error?: string
}

export type SlowDiskRequest = Omit<SlowDiskOptions, 'latencyMs' | 'socket'> & {
  /** 2 when left out. */
  readonly latencyMs?: number
}

export class SlowDisk {
  readonly device: string
  private readonly fileName: string
  private readonly child: ChildProcess
  private readonly answers: Answers
  private gone = false

  private constructor(child: ChildProcess, answers: Answers, { device, fileName }: SlowDiskAnswer) {
    this.child = child
    this.answers = answers
    this.device = device
    this.fileName = fileName
  }

  /** Throws when there is no FUSE, no loop device or no privilege; what it said is in the message. */
  static async create(request: SlowDiskRequest): Promise<SlowDisk> {
    const options = JSON.stringify({ latencyMs: 2, ...request })
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', SLOW_DISK_SERVER, options], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Out of reach of the terminal's Ctrl-C, which would take the disk from under those who use it.
      detached: true,
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    const answers = new Answers(child)
    const ready = await answers.next()
    return new SlowDisk(child, answers, ready)
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  latency(ms: number): Promise<SlowDiskAnswer> {
    return this.tell(`latency ${ms}`)
  }

  /** These kinds of requests fail from now on, until `heal`. */
  fail(kinds: readonly SlowDiskKind[], code: 'EIO' | 'ENOSPC'): Promise<SlowDiskAnswer> {
    return this.tell(`fail ${kinds.join(',')} ${code}`)
  }

  hang(): Promise<SlowDiskAnswer> {
    return this.tell('hang')
  }

  heal(): Promise<SlowDiskAnswer> {
    return this.tell('heal')
  }

  grow(sizeBytes: number): Promise<SlowDiskAnswer> {
    return this.tell(`grow ${sizeBytes}`)
  }

  status(): Promise<SlowDiskAnswer> {
    return this.tell('status')
  }

  /** Idempotent. Resolves when the device is gone. */
  async destroy(): Promise<void> {
    if (this.gone) return
    this.gone = true
    const ended = new Promise((resolve) => this.child.on('exit', resolve))
    if (this.child.exitCode !== null || this.child.signalCode !== null) {
      this.detachOrphan()
      return
    }
    this.child.stdin?.end()
    await ended
  }

  /** The loop device of a server that was killed, unless it has become somebody else's. */
  private detachOrphan(): void {
    const file = `/sys/block/${this.device.replace('/dev/', '')}/loop/backing_file`
    if (existsSync(file) && readFileSync(file, 'utf8').trim().endsWith(this.fileName)) {
      spawnSync('losetup', ['-d', this.device])
    }
  }

  private async tell(line: string): Promise<SlowDiskAnswer> {
    this.child.stdin?.write(`${line}\n`)
    const answer = await this.answers.next()
    if (!answer.ok) throw new Error(`the slow disk refused "${line}": ${answer.error ?? 'not understood'}`)
    return answer
  }
}

/** The lines that the process prints, each for whoever asked first. */
class Answers {
  private readonly come: SlowDiskAnswer[] = []
  private readonly wanted: PromiseWithResolvers<SlowDiskAnswer>[] = []
  private complaint = ''
  private ended = false

  constructor(child: ChildProcess) {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.complaint = (this.complaint + text).slice(-4000)
    })
    child.stdin?.on('error', () => undefined)
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.take(line))
    const end = (): void => {
      this.ended = true
      for (const one of this.wanted.splice(0)) one.reject(this.over())
    }
    child.on('close', end)
    child.on('error', end)
  }

  next(): Promise<SlowDiskAnswer> {
    const answer = this.come.shift()
    if (answer !== undefined) return Promise.resolve(answer)
    if (this.ended) return Promise.reject(this.over())
    const one = Promise.withResolvers<SlowDiskAnswer>()
    this.wanted.push(one)
    return one.promise
  }

  private take(line: string): void {
    const answer = JSON.parse(line) as SlowDiskAnswer
    const one = this.wanted.shift()
    if (one === undefined) this.come.push(answer)
    else one.resolve(answer)
  }

  private over(): Error {
    return new Error(`the slow disk has ended: ${this.complaint.trim() || 'it said nothing'}`)
  }
}
