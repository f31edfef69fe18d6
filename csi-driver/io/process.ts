// Port of everything that runs another program: the register's file calls, util-linux tools, fence commands.
// A call never rejects: a program that could not be started ends like in a shell, with exit code 127.
import type { Ms } from '../../base/units.ts'

export interface ProcessOptions {
  /** Written to the child's standard input, which is then closed; without it the child reads end of file. */
  readonly stdin?: string
  /** After it the child is killed and, if it does not die (a hung mount), abandoned. Without it: no limit. */
  readonly timeoutMs?: Ms
  /** Added to the environment of the engine. */
  readonly env?: Readonly<Record<string, string>>
  /** Descriptors that the child gets as 3, 4, … in this order. They stay open here. */
  readonly passFds?: readonly number[]
}

export interface ProcessResult {
  /**
   * null: timed out, killed by a signal, or stopped because it wrote more than the limit. What it did or will still
   * do is then unknown.
   */
  readonly exitCode: number | null
  /** At most OUTPUT_BYTES_MAX each, decoded as UTF-8. */
  readonly stdout: string
  readonly stderr: string
}

/** Output of one stream beyond this ends the child. */
export const OUTPUT_BYTES_MAX = 4 * 1024 * 1024

/** Exit code of a program that could not be started, as shells have it. */
export const EXIT_NOT_STARTED = 127

export interface Processes {
  /** Runs `command[0]` with the other elements as its arguments; no shell in between, working directory `/`. */
  run(command: readonly string[], options?: ProcessOptions): Promise<ProcessResult>
}
