// Which host a node's name stands for in a register that several hosts share: `.hosts/NODE` holds the identity of the first
// host that changed the register under that name. The own lock proves that earlier engines of a node are gone (rule 5.3),
// which is true of one host only: two of one name would own a volume at the same time, and neither would fence the other.
import { CacheError } from '../../base/errors.ts'
import type { Processes } from '../io/process.ts'
import { ABSENT, callRegister, DONE, unavailable } from './register-calls.ts'
import type { RegisterPaths } from './register-paths.ts'

export interface NamedHost {
  readonly node: string
  /** 32 hex digits, the same after every boot. */
  readonly hostId: string
}

/** Both calls reject with `invalid` CACHE_NODE_NAME_TAKEN where another host has the name, `retry` without a register. */
export class NodeName {
  readonly #processes: Processes
  readonly #paths: RegisterPaths
  readonly #host: NamedHost
  #own = false

  constructor(processes: Processes, paths: RegisterPaths, host: NamedHost) {
    this.#processes = processes
    this.#paths = paths
    this.#host = host
  }

  /** Before the first read: changes nothing. */
  look(): Promise<void> {
    return this.#ask('host', [this.#host.node])
  }

  /** Before the first change: from now on the name is this host's. */
  take(): Promise<void> {
    return this.#ask('take-name', [this.#host.node, this.#host.hostId])
  }

  async #ask(command: 'host' | 'take-name', words: readonly string[]): Promise<void> {
    if (this.#own) return
    const { directory } = this.#paths
    const result = await callRegister(this.#processes, [command, directory, ...words])
    if (result.exitCode === ABSENT) return
    if (result.exitCode !== DONE) throw unavailable(directory, result)
    this.#own = result.stdout.trim() === this.#host.hostId
    if (!this.#own) throw this.#taken()
  }

  #taken(): CacheError {
    const { node } = this.#host
    const file = this.#paths.hostFile(node)
    return new CacheError('invalid', 'CACHE_NODE_NAME_TAKEN', `another host has this name node=${node} path=${file}`, {
      remedy: `Give this host another --node. If it was reinstalled and the host of before is gone for good, remove ${file}.`,
    })
  }
}
