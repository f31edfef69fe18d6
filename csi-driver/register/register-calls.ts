// Calls of register.sh: each in a process of its own with a time limit, so that a mount that hangs stops neither I/O nor
// exit of the engine. A call that was given up is an unknown outcome.
import { CacheError } from '../../base/errors.ts'
import type { Ms } from '../../base/units.ts'
import type { ProcessResult, Processes } from '../io/process.ts'

/** A file system that needs longer for a few small calls counts as hung. */
const CALL_TIMEOUT_MS: Ms = 10_000

/** Exit codes of register.sh. */
export const DONE = 0
export const CONFLICT = 10
export const ABSENT = 11
export const NOTHING_CHANGED = 20

const SCRIPT = decodeURIComponent(new URL('register.sh', import.meta.url).pathname)

export function callRegister(
  processes: Processes,
  parameters: readonly string[],
  stdin?: string,
): Promise<ProcessResult> {
  return processes.run(['/bin/sh', SCRIPT, ...parameters], {
    timeoutMs: CALL_TIMEOUT_MS,
    ...(stdin === undefined ? {} : { stdin }),
  })
}

export function unavailable(directory: string, result: ProcessResult): CacheError {
  const cause = result.exitCode === null ? `no answer within ${CALL_TIMEOUT_MS} ms` : result.stderr.trim()
  return new CacheError(
    'retry',
    'CACHE_REGISTER_UNAVAILABLE',
    `the register can't be used directory=${directory} cause=${cause}`,
    {
      remedy: 'Check that the directory of the registers (--register, --state-dir) is mounted and writable.',
    },
  )
}
