// Whoever uses the database of the demo: outside of every host, it knows which commits were acknowledged and when, and
// nothing else. What it knows is what must never be lost.
import { fileURLToPath } from 'node:url'
import type { Ms } from '../../../base/units.ts'
import type { DemoHost } from './demo-host.ts'
import type { HostProgram } from './host-program.ts'
import type { LedgerFindings } from './ledger.ts'
import { demoError, type Stage } from './stage.ts'

const DATABASE = fileURLToPath(new URL('database.ts', import.meta.url))
export const DATABASE_WORDS = [process.execPath, '--disable-warning=ExperimentalWarning', DATABASE] as const
/** No disk and no failover of the demo takes so long for one commit. */
const STUCK_MS: Ms = 60_000

export interface CommitRate {
  readonly perSecond: number
  readonly p50Ms: Ms
  readonly p99Ms: Ms
}

export class Client {
  /** Commits 1 to this one were acknowledged. */
  acknowledged = 0
  private readonly stage: Stage

  constructor(stage: Stage) {
    this.stage = stage
  }

  /** Starts to commit on this host; resolves after the first acknowledgement. */
  async begin(host: DemoHost): Promise<Load> {
    const load = new Load(this.stage, this, host)
    await load.untilCommits(1)
    return load
  }

  /** Everything in the database against everything acknowledged. */
  async check(run: (...words: string[]) => Promise<string>, file: string, how = 'writable'): Promise<LedgerFindings> {
    return JSON.parse(await run(...DATABASE_WORDS, 'check', file, String(this.acknowledged), how)) as LedgerFindings
  }
}

/** One run of the application. */
export class Load {
  /** When each commit was acknowledged, and how long it took. */
  private readonly atMs: number[] = []
  private readonly tookMs: number[] = []
  /** Acknowledged commits that were no longer there when the application began. */
  private lost = 0
  private readonly stage: Stage
  private readonly host: DemoHost
  private readonly program: HostProgram

  constructor(stage: Stage, client: Client, host: DemoHost) {
    this.stage = stage
    this.host = host
    this.program = host.start(...DATABASE_WORDS, 'write', host.path('mnt/bank.db'))
    stage.watch(`the database on ${host.name}`, () => this.program.complaint)
    this.program.onLine((line) => {
      const [id = 0, took] = line.split(' ').map(Number)
      if (took === undefined) this.lost = Math.max(0, client.acknowledged - id)
      // What is lost must not be forgotten because other commits get its numbers.
      if (this.lost > 0) return
      client.acknowledged = id
      if (took === undefined) return
      this.atMs.push(performance.now())
      this.tookMs.push(took)
    })
  }

  get commits(): number {
    return this.atMs.length
  }

  get firstAtMs(): Ms {
    return this.atMs[0] ?? Number.POSITIVE_INFINITY
  }

  /** Throws CacheError when commits are lost, the application has ended or nothing is acknowledged any more. */
  check(): void {
    if (this.lost > 0) {
      throw demoError(`LOST: the last ${this.lost} acknowledged commits are not in the database on ${this.host.name}`)
    }
    if (this.program.status !== null) {
      throw demoError(`the database on ${this.host.name} ended by itself`)
    }
    if (performance.now() - (this.atMs.at(-1) ?? performance.now()) > STUCK_MS) {
      throw demoError(`no commit was acknowledged on ${this.host.name} for ${STUCK_MS / 1000} s`)
    }
  }

  async untilCommits(count: number): Promise<void> {
    await this.stage.until(`commit ${count} on ${this.host.name}`, STUCK_MS, () => {
      this.check()
      return this.commits >= count
    })
  }

  /** The last line has come. The application ends when it was told to, or with its host. */
  async over(): Promise<void> {
    await this.program.ended
  }

  async end(): Promise<void> {
    this.program.endInput()
    await this.over()
    if (this.program.status !== 0) throw demoError('the database ended with an error')
  }

  /** Commits acknowledged in this span. */
  countBetween(fromMs: Ms, toMs: Ms): number {
    return this.atMs.filter((at) => at >= fromMs && at < toMs).length
  }

  rate(fromMs: Ms, toMs: Ms): CommitRate {
    const sorted = this.tookMs.filter((_, i) => inside(this.atMs[i], fromMs, toMs)).toSorted((a, b) => a - b)
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return { perSecond: (sorted.length / (toMs - fromMs)) * 1000, p50Ms: at(0.5), p99Ms: at(0.99) }
  }

  /** The longest time without an acknowledgement that ended after `fromMs`. */
  longestPauseMs(fromMs: Ms): Ms {
    let longest = 0
    for (const [i, at] of this.atMs.entries()) {
      if (at > fromMs) longest = Math.max(longest, at - (this.atMs[i - 1] ?? at))
    }
    return longest
  }
}

function inside(at: number | undefined, fromMs: Ms, toMs: Ms): boolean {
  return at !== undefined && at >= fromMs && at < toMs
}
