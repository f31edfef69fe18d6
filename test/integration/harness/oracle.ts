// The oracle program at work: started, told, asked. See oracle-program.ts.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { TestBed } from './test-bed.ts'

const PROGRAM = fileURLToPath(new URL('oracle-program.ts', import.meta.url))
/** Writes in flight need a thread each. */
const THREADS = '16'
/** Only ends a test that would hang. */
const ANSWER_LIMIT_MS = 180_000

export interface OracleReport {
  readonly ok: boolean
  readonly error?: string
  /** Acknowledged. */
  readonly writes: number
  readonly zeroes: number
  readonly flushes: number
  readonly reads: number
  readonly writtenBytes: number
  /** Ended with an error while that was to be expected. */
  readonly uncertain: number
  /** Ended with an error while none was to be expected. */
  readonly errors: number
  /** Of one write or flush that was acknowledged. */
  readonly longestMs: number
  /** Sectors compared by `verify`, all rounds together. */
  readonly checkedSectors: number
  readonly lost: number
  readonly samples: readonly string[]
}

export class Oracle {
  private readonly child: ChildProcess
  private readonly waiting: PromiseWithResolvers<OracleReport>[] = []
  private complaint = ''

  constructor(bed: TestBed, seed: number) {
    this.child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM, String(seed)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', UV_THREADPOOL_SIZE: THREADS },
    })
    const { stdout, stderr } = this.child
    stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.complaint = (this.complaint + text).slice(-4000)
    })
    if (stdout !== null) {
      createInterface({ input: stdout }).on('line', (line) => {
        this.waiting.shift()?.resolve(JSON.parse(line) as OracleReport)
      })
    }
    this.child.stdin?.on('error', () => undefined)
    const gone = new Promise<void>((resolve) => {
      this.child.on('close', () => {
        for (const one of this.waiting.splice(0)) one.reject(new Error(`the oracle has ended: ${this.complaint}`))
        resolve()
      })
    })
    bed.later('oracle', () => {
      this.child.kill('SIGKILL')
      return gone
    })
  }

  open(device: string): Promise<OracleReport> {
    return this.tell(`open ${device}`)
  }

  /** Resolves when the time is over and every request has been answered. */
  load(ms: number, errors: 'none' | 'tolerant' = 'none'): Promise<OracleReport> {
    return this.tell(`load ${ms} ${errors}`)
  }

  /** Ends a load early. */
  stopLoad(): void {
    this.child.stdin?.write('stop-load\n')
  }

  /** Compares every sector of the device with what was promised. */
  verify(): Promise<OracleReport> {
    return this.tell('verify')
  }

  close(): Promise<OracleReport> {
    return this.tell('close')
  }

  private async tell(line: string): Promise<OracleReport> {
    const one = Promise.withResolvers<OracleReport>()
    this.waiting.push(one)
    this.child.stdin?.write(`${line}\n`)
    const timer = setTimeout(() => one.reject(new Error(`the oracle hangs at "${line}"`)), ANSWER_LIMIT_MS)
    try {
      const report = await one.promise
      if (!report.ok) throw new Error(`the oracle could not "${line}": ${report.error}`)
      return report
    } finally {
      clearTimeout(timer)
    }
  }
}
