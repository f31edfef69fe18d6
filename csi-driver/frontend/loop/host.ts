// What this folder needs from the host, as ports, and the two helpers that every command needs.
import type { Timers } from '../../../base/clock.ts'
import { CacheError } from '../../../base/errors.ts'
import type { EventLog } from '../../../base/log.ts'
import type { SmallFiles } from '../../io/files.ts'
import type { Processes, ProcessOptions, ProcessResult } from '../../io/process.ts'

export interface LoopHost {
  readonly processes: Processes
  readonly files: SmallFiles
  readonly timers: Timers
  readonly log: EventLog
}

/** Nothing here waits for a disk; what takes longer hangs. */
const COMMAND_TIMEOUT_MS = 30_000

/** Runs a tool of util-linux. Its outcome is the caller's to judge. */
export function tryRun(
  host: LoopHost,
  command: readonly string[],
  options: ProcessOptions = {},
): Promise<ProcessResult> {
  return host.processes.run(command, { timeoutMs: COMMAND_TIMEOUT_MS, ...options })
}

/** First line of what a failed tool said. */
export function complaintOf(result: ProcessResult): string {
  const text = result.stderr.trim().split('\n')[0] ?? ''
  return text === '' ? `exit code ${result.exitCode}` : text
}

/** Runs a tool that must succeed; returns its standard output, trimmed. Throws CacheError `retry` CACHE_HOST_COMMAND. */
export async function run(host: LoopHost, command: readonly string[], options: ProcessOptions = {}): Promise<string> {
  const result = await tryRun(host, command, options)
  if (result.exitCode === 0) return result.stdout.trim()
  throw new CacheError('retry', 'CACHE_HOST_COMMAND', `${command[0]} failed: ${complaintOf(result)}`, {
    remedy: `Run "${command.join(' ')}" by hand to see why; root rights and util-linux are needed.`,
  })
}

export function delay(timers: Timers, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    timers.after(delayMs, resolve)
  })
}
