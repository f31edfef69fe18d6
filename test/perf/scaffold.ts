// What a measurement sets up on the host and the way back: each thing is registered with how to undo it before the next
// is set up, and everything is undone in reverse order at the end, after a failure and after Ctrl-C alike.
import { mkdtemp, rm, statfs } from 'node:fs/promises'
import path from 'node:path'
import { SILENT_LOG } from '../../base/log.ts'
import { waitingTimers } from '../../csi-driver/cli/loop-host.ts'
import { setUpLoop } from '../../csi-driver/frontend/loop/attach.ts'
import type { LoopHost } from '../../csi-driver/frontend/loop/host.ts'
import { applySettings, restoreSettings } from '../../csi-driver/frontend/loop/loop-device.ts'
import { RealProcesses } from '../../csi-driver/io/real/exec.ts'
import { systemFiles } from '../../csi-driver/io/real/small-files.ts'
import { runProgram } from './fio.ts'

const SECTOR_BYTES = 512
/** f_type of statfs(2), linux/magic.h. */
const TMPFS_MAGIC = 0x0102_1994
const MEMORY_DIRECTORY = '/dev/shm'
const LOOK_MS = 50

export class Scaffold {
  readonly host: LoopHost = {
    processes: new RealProcesses(),
    files: systemFiles,
    timers: waitingTimers,
    log: SILENT_LOG,
  }
  /** Aborted by Ctrl-C: whatever runs ends, and the way back begins. */
  readonly signal: AbortSignal
  private readonly undoings: { readonly what: string; readonly undo: () => Promise<unknown> }[] = []
  private clean = true

  /** Without a signal it takes those of the process. */
  constructor(signal?: AbortSignal) {
    const abort = new AbortController()
    this.signal = signal ?? abort.signal
    if (signal !== undefined) return
    // Again and again: whoever is impatient must not cut the way back short.
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => abort.abort())
  }

  /** Runs one part of a measurement; what it set up is undone at its end, whatever way it ends. */
  async scope<T>(run: (scope: Scaffold) => Promise<T>): Promise<T> {
    const scope = new Scaffold(this.signal)
    try {
      return await run(scope)
    } finally {
      if (!(await scope.takeDown())) this.clean = false
    }
  }

  later(what: string, undo: () => Promise<unknown>): void {
    this.undoings.push({ what, undo })
  }

  checkInterrupt(): void {
    if (this.signal.aborted) throw new Error('interrupted')
  }

  async pause(ms: number): Promise<void> {
    this.checkInterrupt()
    await new Promise((resolve) => setTimeout(resolve, ms))
    this.checkInterrupt()
  }

  /** Throws when `holds` has not come true within the limit, and after Ctrl-C. */
  async until(what: string, limitMs: number, holds: () => Promise<boolean> | boolean): Promise<void> {
    const begunMs = performance.now()
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    while (!(await holds())) {
      if (performance.now() - begunMs > limitMs) throw new Error(`${what}: not within ${limitMs / 1000} s`)
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      await this.pause(LOOK_MS)
    }
  }

  /** Undoes everything. Says what could not be undone and returns false then, and after a scope of which that is true. */
  async takeDown(): Promise<boolean> {
    let { clean } = this
    for (const { what, undo } of this.undoings.splice(0).toReversed()) {
      try {
        // oxlint-disable-next-line eslint/no-await-in-loop -- in reverse order
        await undo()
      } catch (error) {
        clean = false
        process.stderr.write(`bench: could not take down ${what}: ${String(error)}\n`)
      }
    }
    return clean
  }

  /** A directory on a disk; `FOREBAY_BENCH_DIRECTORY` says where, /var/tmp by default. */
  async diskDirectory(): Promise<string> {
    const directory = await this.directoryIn(process.env['FOREBAY_BENCH_DIRECTORY'] ?? '/var/tmp')
    const { type } = await statfs(directory)
    if (type === TMPFS_MAGIC) {
      throw new Error(`${directory} is in memory; name a directory on the disk to measure in FOREBAY_BENCH_DIRECTORY`)
    }
    return directory
  }

  async memoryDirectory(): Promise<string> {
    const directory = await this.directoryIn(MEMORY_DIRECTORY)
    const { type } = await statfs(directory)
    if (type !== TMPFS_MAGIC) throw new Error(`${MEMORY_DIRECTORY} is no tmpfs`)
    return directory
  }

  private async directoryIn(parent: string): Promise<string> {
    const directory = await mkdtemp(path.join(parent, 'forebay-bench-'))
    this.later(directory, () => rm(directory, { recursive: true, force: true }))
    return directory
  }

  /** A file every block of which has been written once, past the page cache where the file system allows that. */
  async writtenFile(file: string, sizeBytes: number): Promise<string> {
    const count = String(sizeBytes / (1024 * 1024))
    await runProgram('dd', ['if=/dev/urandom', `of=${file}`, 'bs=1M', `count=${count}`, 'oflag=direct'], this.signal)
    return file
  }

  /** A loop device on `file` as the product attaches one: direct I/O, the same queue settings, no flushes. */
  async attachLoop(file: string): Promise<string> {
    const device = await setUpLoop(this.host, file, SECTOR_BYTES)
    this.later(device, async () => {
      await restoreSettings(this.host, device)
      await runProgram('losetup', ['--detach', device])
    })
    await applySettings(this.host, device, 'write through')
    return device
  }
}

/**
 * A program that measures, from beginning to end: whatever way `measure` ends, everything is taken down, and the exit status
 * says how it went (130: by Ctrl-C). `say` is told what went wrong.
 */
export async function runMeasurement(
  measure: (scaffold: Scaffold) => Promise<void>,
  say: (text: string) => void,
): Promise<void> {
  const scaffold = new Scaffold()
  try {
    await measure(scaffold)
  } catch (error) {
    process.exitCode = scaffold.signal.aborted ? 130 : 1
    say(error instanceof Error ? error.message : String(error))
  } finally {
    if (!(await scaffold.takeDown())) process.exitCode = 1
  }
}
