// The register as files in a directory, for hosts without Kubernetes: a file per version, the next version made by
// link(2), which only one writer can succeed in. No lock between hosts is needed. docs/formats/register.md.
// Every file call is made by register.sh in a process of its own with a time limit: a mount that hangs stops neither I/O nor
// exit of the engine, and a call that was given up is an unknown outcome.
import { assert } from '../../base/assert.ts'
import { CacheError } from '../../base/errors.ts'
import type { Ms } from '../../base/units.ts'
import type { ProcessResult, Processes } from '../io/process.ts'
import { VOLUME_NAME_PATTERN, type RegisterRecord } from './record.ts'
import { decodeRecord, encodeRecord } from './record-codec.ts'
import { generationName, type RegisterPaths } from './register-paths.ts'
import type { CasReply, Register } from './register.ts'

/** A file system that needs longer for a few small calls counts as hung. */
const CALL_TIMEOUT_MS: Ms = 10_000

/** Exit codes of register.sh. */
const DONE = 0
const CONFLICT = 10
const ABSENT = 11
const NOTHING_CHANGED = 20

const SCRIPT = decodeURIComponent(new URL('register.sh', import.meta.url).pathname)

export interface FileRegisterOptions {
  readonly processes: Processes
  readonly paths: RegisterPaths
  readonly volume: string
}

export class FileRegister implements Register {
  readonly #processes: Processes
  readonly #paths: RegisterPaths
  readonly #volume: string

  constructor(options: FileRegisterOptions) {
    assert(VOLUME_NAME_PATTERN.test(options.volume), `a volume name is part of a path volume=${options.volume}`)
    this.#processes = options.processes
    this.#paths = options.paths
    this.#volume = options.volume
  }

  async read(): Promise<RegisterRecord | null> {
    const result = await this.#call(['read', this.#paths.directory, this.#volume])
    if (result.exitCode === ABSENT) return null
    if (result.exitCode !== DONE) throw this.#unavailable(result)
    const lineEnd = result.stdout.indexOf('\n')
    return this.#decode(result.stdout.slice(0, lineEnd), result.stdout.slice(lineEnd + 1))
  }

  async compareAndSwap(expectedRv: number, next: RegisterRecord): Promise<CasReply> {
    assert(next.rv === expectedRv + 1, `the next version follows the expected one rv=${next.rv} expected=${expectedRv}`)
    assert(next.volume === this.#volume, `the record is of another volume volume=${next.volume}`)
    const [expected, generation] = [generationName(expectedRv), generationName(next.rv)]
    const command = ['cas', this.#paths.directory, this.#volume, expected, generation, next.changeId]
    const result = await this.#call(command, `${encodeRecord(next)}\n`)
    if (result.exitCode === DONE) return 'applied'
    if (result.exitCode === CONFLICT) return 'conflict'
    if (result.exitCode === NOTHING_CHANGED) throw this.#unavailable(result)
    return 'unknown'
  }

  #call(parameters: readonly string[], stdin?: string): Promise<ProcessResult> {
    return this.#processes.run(['/bin/sh', SCRIPT, ...parameters], {
      timeoutMs: CALL_TIMEOUT_MS,
      ...(stdin === undefined ? {} : { stdin }),
    })
  }

  #decode(generation: string, content: string): RegisterRecord {
    const decoded = decodeStored(this.#volume, generation, content)
    if ('record' in decoded) return decoded.record
    const path = `${this.#paths.volumeDirectory(this.#volume)}/${this.#volume}.${generation}`
    const problems = `path=${path} problems=${decoded.problems.join('; ')}`
    if (decoded.newerFormat !== undefined) {
      throw new CacheError('corrupt', 'CACHE_REGISTER_NEWER', `the register cannot be read by this build ${problems}`, {
        remedy: 'A newer Forebay on another host wrote it: update Forebay on this host. Nothing is damaged.',
      })
    }
    throw new CacheError('corrupt', 'CACHE_REGISTER_CORRUPT', `the newest register file is damaged ${problems}`, {
      remedy: `Restore ${path} from a copy of this very version; an older version must not take its place.`,
    })
  }

  #unavailable(result: ProcessResult): CacheError {
    return unavailable(this.#paths.directory, result)
  }
}

/** A volume whose register stands in the directory, running or stopped. */
export type ListedVolume =
  | { readonly volume: string; readonly record: RegisterRecord }
  | { readonly volume: string; readonly problems: readonly string[] }

/**
 * Every volume of a register directory, by name; a damaged record is reported in its place. Nothing is synced or
 * changed: what it shows is good for status, not for acting on it. Throws `retry` when the directory can't be read.
 */
export async function listVolumes(processes: Processes, paths: RegisterPaths): Promise<ListedVolume[]> {
  const result = await processes.run(['/bin/sh', SCRIPT, 'list', paths.directory], { timeoutMs: CALL_TIMEOUT_MS })
  if (result.exitCode !== DONE) throw unavailable(paths.directory, result)
  const volumes: ListedVolume[] = []
  for (const line of result.stdout.split('\n')) {
    const [volume = '', generation = '', content = ''] = line.split('\t')
    if (VOLUME_NAME_PATTERN.test(volume)) volumes.push({ volume, ...decodeStored(volume, generation, content) })
  }
  return volumes
}

function decodeStored(volume: string, generation: string, content: string): ReturnType<typeof decodeRecord> {
  const decoded = decodeRecord(content.replace(/\n$/u, ''))
  if ('problems' in decoded) return decoded
  const { record } = decoded
  if (record.volume !== volume) return { problems: [`record is of another volume volume=${record.volume}`] }
  if (generationName(record.rv) !== generation) return { problems: [`record is of another version rv=${record.rv}`] }
  return decoded
}

function unavailable(directory: string, result: ProcessResult): CacheError {
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
