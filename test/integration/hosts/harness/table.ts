// The database of a test and the journal of what it has committed, which lives out here and outlives every host. See
// table-program.ts. The database is on ext4 on the volume, mounted on the host that serves it, and goes with that host.
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { until } from '../../harness/test-bed.ts'
import type { Host } from './host.ts'
import { LostError } from './lost-error.ts'
import { signal } from './namespaces.ts'
import type { ServedHere } from './served-here.ts'
import type { TableReport } from './table-program.ts'

const PROGRAM = fileURLToPath(new URL('table-program.ts', import.meta.url))
const NODE_FLAG = '--disable-warning=ExperimentalWarning'

export class Table {
  /** Number of the last transaction that was reported as committed. */
  committed = 0
  /** Longest time that a transaction took, of all that came to an end. */
  longestMs = 0
  /** Longest time between two commits, across every fault and every move. */
  longestGapMs = 0
  private committedAtMs: number | null = null
  /** What the programs said besides, the last of it. */
  complaint = ''
  private child: ChildProcess | null = null
  private gone: Promise<void> = Promise.resolve()
  private mounted: { readonly host: Host; readonly namespaces: Host['namespaces'] } | null = null

  /** Makes the file system; once. */
  static async make(served: ServedHere): Promise<Table> {
    await served.host.namespaces.run('mkfs.ext4', '-q', served.device)
    return new Table()
  }

  /** Mounts the device there, checks what it holds, and goes on with transactions. */
  async moveTo(served: ServedHere): Promise<void> {
    await this.mount(served)
    await this.check()
    this.start()
  }

  /** Resolves when so many more transactions are committed. */
  async more(transactions: number): Promise<void> {
    const wanted = this.committed + transactions
    const what = (): string => `transaction ${wanted}, committed ${this.committed}: ${this.complaint}`
    await until('transactions', () => this.committed >= wanted || this.child === null).catch(() => {
      throw new Error(`waited in vain for ${what()}`)
    })
    if (this.committed < wanted) throw new Error(`the database has ended before ${what()}`)
  }

  /** Nothing that was reported as committed is missing, and nothing is half there. */
  async check(): Promise<void> {
    const { host } = this.where
    const out = await host.namespaces.run(process.execPath, NODE_FLAG, PROGRAM, 'check', this.file)
    const report = JSON.parse(out) as TableReport
    if (!report.ok) throw new LostError(`the database is damaged: ${report.error ?? ''}`)
    if (report.committed < this.committed) {
      throw new LostError(`committed transactions are missing: ${report.committed + 1} to ${this.committed}`)
    }
  }

  start(): void {
    const { host } = this.where
    const words = host.namespaces.enter(
      process.execPath,
      NODE_FLAG,
      PROGRAM,
      'write',
      this.file,
      `${this.committed + 1}`,
    )
    const child = spawn(words[0] ?? '', words.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.child = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaint = (this.complaint + text).slice(-2000)
    })
    const lines = createInterface({ input: child.stdout })
    lines.on('line', (line) => this.take(JSON.parse(line) as TableReport))
    this.gone = new Promise((resolve) => {
      child.on('close', () => {
        if (this.child === child) this.child = null
        resolve()
      })
    })
  }

  get running(): boolean {
    return this.child !== null
  }

  /** Ends the program; what it had committed until then has been heard. */
  async stop(): Promise<void> {
    const { child } = this
    if (child?.pid !== undefined) signal(child.pid, 'SIGKILL')
    await this.gone
  }

  /** The host has lost its power, or its device is dead: neither program nor mount is of use any more. */
  async lost(): Promise<void> {
    const { host, namespaces } = this.where
    await this.stop()
    // The mount of a host without power went with its namespaces.
    if (host.isOn && host.namespaces === namespaces) await namespaces.run('umount', '-l', this.mountPoint)
    this.mounted = null
  }

  async unmount(): Promise<void> {
    await this.where.namespaces.run('umount', this.mountPoint)
    this.mounted = null
  }

  async mount(served: ServedHere): Promise<void> {
    const { host } = served
    this.mounted = { host, namespaces: host.namespaces }
    mkdirSync(this.mountPoint, { recursive: true })
    await host.namespaces.run('mount', '-o', 'errors=remount-ro', served.device, this.mountPoint)
  }

  private take({ committed, longestMs }: TableReport): void {
    const nowMs = performance.now()
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - (this.committedAtMs ?? nowMs))
    this.committedAtMs = nowMs
    this.committed = Math.max(this.committed, committed)
    this.longestMs = Math.max(this.longestMs, longestMs)
  }

  private get where(): { readonly host: Host; readonly namespaces: Host['namespaces'] } {
    if (this.mounted === null) throw new Error('the database is mounted nowhere')
    return this.mounted
  }

  private get mountPoint(): string {
    return this.where.host.path('mount')
  }

  private get file(): string {
    return `${this.mountPoint}/table.db`
  }
}
