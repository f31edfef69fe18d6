// A pretended host on this machine: a mount namespace, so that locks and names of volumes are its own, in one of the
// network namespaces where it has one. It loses its power by SIGKILL to all its processes at once.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { FOREBAY, HERE, type On } from './forebay-process.ts'
import type { Scaffold } from './scaffold.ts'

const KEEPER = fileURLToPath(new URL('host-keeper.sh', import.meta.url))

export class Host {
  private readonly keeper: ChildProcess

  private constructor(keeper: ChildProcess) {
    this.keeper = keeper
  }

  /** `on` leads into a network namespace; without it the host has the network of this machine. */
  static async start(scaffold: Scaffold, on: On = HERE): Promise<Host> {
    const [program = '', ...args] = on(['unshare', '--mount', 'sh', KEEPER, FOREBAY])
    const keeper = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
    const ended = once(keeper, 'close')
    keeper.stdin.on('error', () => undefined)
    scaffold.later('a host', async () => {
      keeper.stdin.end()
      await ended
    })
    const failed = ended.then(() => Promise.reject(new Error('a host could not be made')))
    await Promise.race([once(keeper.stdout, 'data'), failed])
    return new Host(keeper)
  }

  /** Starts a command here. It keeps the process that is started: nsenter becomes the program. */
  get on(): On {
    const of = `/proc/${this.keeper.pid ?? 0}/ns`
    return (command) => ['nsenter', `--mount=${of}/mnt`, `--net=${of}/net`, ...command]
  }

  /** Everything that runs here is killed at once. The kernel lives on, and closes its connections. */
  kill(): void {
    const own = mountNamespaceOf(this.keeper.pid ?? 0)
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    for (const pid of pids.map(Number)) {
      if (pid !== this.keeper.pid && mountNamespaceOf(pid) === own) killProcess(pid)
    }
  }
}

function mountNamespaceOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`)
  } catch {
    return ''
  }
}

function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
