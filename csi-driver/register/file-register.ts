// The register as files in a directory, for hosts without Kubernetes: a file per version, the next version made by
// link(2), which only one writer can succeed in. No lock between hosts is needed. docs/formats/register.md.
// Every file call is made by register.sh (register-calls.ts).
import { assert } from '../../base/assert.ts'
import { CacheError } from '../../base/errors.ts'
import type { ProcessResult, Processes } from '../io/process.ts'
import { VOLUME_NAME_PATTERN, type RegisterRecord } from './record.ts'
import { decodeRecord, encodeRecord } from './record-codec.ts'
import { type NamedHost, NodeName } from './node-name.ts'
import { ABSENT, callRegister, CONFLICT, DONE, NOTHING_CHANGED, unavailable } from './register-calls.ts'
import { generationName, type RegisterPaths } from './register-paths.ts'
import type { CasReply, Register } from './register.ts'

export interface FileRegisterOptions {
  readonly processes: Processes
  readonly paths: RegisterPaths
  readonly volume: string
  /** Given by who changes something in a directory that other hosts use as well. */
  readonly host?: NamedHost | null
}

export class FileRegister implements Register {
  readonly #processes: Processes
  readonly #paths: RegisterPaths
  readonly #volume: string
  readonly #name: NodeName | null

  constructor(options: FileRegisterOptions) {
    assert(VOLUME_NAME_PATTERN.test(options.volume), `a volume name is part of a path volume=${options.volume}`)
    this.#processes = options.processes
    this.#paths = options.paths
    this.#volume = options.volume
    const { processes, paths, host = null } = options
    this.#name = host === null ? null : new NodeName(processes, paths, host)
  }

  async read(): Promise<RegisterRecord | null> {
    await this.#name?.look()
    const result = await this.#call(['read', this.#paths.directory, this.#volume])
    if (result.exitCode === ABSENT) return null
    if (result.exitCode !== DONE) throw this.#unavailable(result)
    const lineEnd = result.stdout.indexOf('\n')
    return this.#decode(result.stdout.slice(0, lineEnd), result.stdout.slice(lineEnd + 1))
  }

  async compareAndSwap(expectedRv: number, next: RegisterRecord): Promise<CasReply> {
    assert(next.rv === expectedRv + 1, `the next version follows the expected one rv=${next.rv} expected=${expectedRv}`)
    assert(next.volume === this.#volume, `the record is of another volume volume=${next.volume}`)
    await this.#name?.take()
    const [expected, generation] = [generationName(expectedRv), generationName(next.rv)]
    const command = ['cas', this.#paths.directory, this.#volume, expected, generation, next.changeId]
    const result = await this.#call(command, `${encodeRecord(next)}\n`)
    if (result.exitCode === DONE) return 'applied'
    if (result.exitCode === CONFLICT) return 'conflict'
    if (result.exitCode === NOTHING_CHANGED) throw this.#unavailable(result)
    return 'unknown'
  }

  #call(parameters: readonly string[], stdin?: string): Promise<ProcessResult> {
    return callRegister(this.#processes, parameters, stdin)
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
  const result = await callRegister(processes, ['list', paths.directory])
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
