// The openssl program as the maker of certificates (docs/decisions/0006): Node reads X.509 but cannot write it. Nothing
// of the host's openssl.cnf is used: each call gets its own configuration, in a directory that only its user can read
// and that is gone afterwards.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CacheError } from '../../../base/errors.ts'
import { EXIT_NOT_STARTED, type Processes } from '../../io/process.ts'

const OPENSSL_TIME_LIMIT_MS = 30_000

/** Runs `work` in a fresh directory of mode 0700, with a way to call openssl there. */
export async function withOpenssl<T>(processes: Processes, work: (openssl: Openssl) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'forebay-pki-'))
  try {
    return await work(new Openssl(processes, directory))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export class Openssl {
  /** For files between calls. */
  readonly directory: string
  private readonly processes: Processes

  constructor(processes: Processes, directory: string) {
    this.processes = processes
    this.directory = directory
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  /** Writes a file that only the user can read, and returns its path. */
  async put(name: string, text: string): Promise<string> {
    await writeFile(this.path(name), text, { mode: 0o600 })
    return this.path(name)
  }

  /** Runs `openssl …`; throws CacheError with what it printed when it fails. */
  async run(words: readonly string[]): Promise<void> {
    const { exitCode, stderr } = await this.processes.run(['openssl', ...words], {
      timeoutMs: OPENSSL_TIME_LIMIT_MS,
      env: { OPENSSL_CONF: '/dev/null' },
    })
    if (exitCode === 0) return
    if (exitCode === EXIT_NOT_STARTED) {
      throw new CacheError('invalid', 'CACHE_PKI_OPENSSL', 'the program openssl is not installed', {
        remedy: 'Install it with: apt-get install openssl',
      })
    }
    const said = stderr.trim().split('\n').slice(-3).join('; ')
    throw new CacheError(
      'retry',
      'CACHE_PKI_OPENSSL',
      `openssl failed exit=${exitCode} command=${words[0]} said=${said}`,
    )
  }
}
