// PostgreSQL as Debian installs it, on a directory of ours: made once, started and stopped, loaded with pgbench. It refuses
// to run as root, so all of it runs as its own user. Only its socket in `directory` leads to it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { runProgram } from './fio.ts'
import type { Scaffold } from './scaffold.ts'

const USER = 'postgres'
const VERSIONS = '/usr/lib/postgresql'
const DATABASE = 'postgres'
const START_LIMIT_MS = 60_000
/** Without a network, and with room for the log on a small disk. */
const SETTINGS = ['-c', 'listen_addresses=', '-c', 'max_wal_size=192MB', '-c', 'logging_collector=off']

export interface PgbenchResult {
  readonly tps: number
  readonly latencyMs: number
}

/** Becomes the program, where runuser would stay its parent and keep signals from it. */
function asUser(program: string, args: readonly string[]): [string, string[]] {
  return ['setpriv', [`--reuid=${USER}`, `--regid=${USER}`, '--init-groups', program, ...args]]
}

/** Throws when pgbench did nothing or saw a failed transaction. */
export function parsePgbench(text: string): PgbenchResult {
  const tps = Number(/^tps = ([\d.]+)/m.exec(text)?.[1] ?? Number.NaN)
  const latencyMs = Number(/^latency average = ([\d.]+) ms/m.exec(text)?.[1] ?? Number.NaN)
  const failed = Number(/^number of failed transactions: (\d+)/m.exec(text)?.[1] ?? 0)
  if (!(tps > 0) || failed > 0) throw new Error(`pgbench failed: ${text.slice(-1000)}`)
  return { tps, latencyMs }
}

export class Postgres {
  private readonly scaffold: Scaffold
  private readonly programs: string
  private readonly socketDirectory: string

  private constructor(scaffold: Scaffold, programs: string, socketDirectory: string) {
    this.scaffold = scaffold
    this.programs = programs
    this.socketDirectory = socketDirectory
  }

  /** `directory` is ours; others may pass through it from now on. Throws where PostgreSQL is not installed. */
  static async make(scaffold: Scaffold, directory: string): Promise<Postgres> {
    const versions = (await readdir(VERSIONS).catch(() => [])).toSorted((a, b) => Number(b) - Number(a))
    const [newest] = versions
    if (newest === undefined) throw new Error(`no PostgreSQL in ${VERSIONS}: make bench installs it`)
    const socketDirectory = path.join(directory, 'socket')
    await chmod(directory, 0o711)
    await mkdir(socketDirectory)
    await runProgram('chown', [USER, socketDirectory], scaffold.signal)
    return new Postgres(scaffold, path.join(VERSIONS, newest, 'bin'), socketDirectory)
  }

  /** A cluster with the tables of pgbench, in `data` below a directory on a mounted file system, and stopped again. */
  async create(mountPoint: string, scale: number): Promise<void> {
    const data = path.join(mountPoint, 'data')
    await mkdir(data)
    await runProgram('chown', [USER, data], this.scaffold.signal)
    await this.run('initdb', ['-D', data, '-A', 'trust', '--locale=C', '-E', 'UTF8', '--no-sync'])
    await this.running(mountPoint, async () => {
      await this.run('pgbench', ['-h', this.socketDirectory, '-i', '-q', '-s', String(scale), DATABASE])
    })
  }

  /** One server at a time. */
  measure(mountPoint: string, { clients, seconds }: { clients: number; seconds: number }): Promise<PgbenchResult> {
    const words = ['-h', this.socketDirectory, '-n', '-c', String(clients), '-T', String(seconds), DATABASE]
    return this.running(mountPoint, async () => parsePgbench(await this.run('pgbench', words)))
  }

  /** Stopped in order afterwards, whatever happens. */
  private running<T>(mountPoint: string, use: () => Promise<T>): Promise<T> {
    return this.scaffold.scope(async (scope) => {
      const words = ['-D', path.join(mountPoint, 'data'), '-k', this.socketDirectory, ...SETTINGS]
      const child = spawn(...asUser(path.join(this.programs, 'postgres'), words), {
        stdio: ['ignore', 'ignore', 'pipe'],
        detached: true,
      })
      let said = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)))
      const ended = once(child, 'close')
      scope.later('PostgreSQL', async () => {
        // A fast shutdown, which does not wait for clients.
        child.kill('SIGINT')
        await ended
      })
      await scope.until('PostgreSQL is ready', START_LIMIT_MS, async () => {
        if (child.exitCode !== null) throw new Error(`PostgreSQL has ended: ${said}`)
        return this.run('pg_isready', ['-q', '-h', this.socketDirectory]).then(
          () => true,
          () => false,
        )
      })
      return use()
    })
  }

  private run(program: string, args: readonly string[]): Promise<string> {
    const [first, words] = asUser(path.join(this.programs, program), args)
    return runProgram(first, words, this.scaffold.signal)
  }
}
