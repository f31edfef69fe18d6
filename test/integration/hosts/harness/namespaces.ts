// The namespaces of a pretended host, each with its keeper (keeper.sh), and what runs in them: programs are started
// there, found by their mount namespace, killed or stopped all together. Nothing here has a name in the system, so that
// nothing of it can be left behind: the namespaces end with their last process.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readlinkSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { FOREBAY } from '../../harness/served.ts'
import { pause, type Ran, tryCommand } from '../../harness/test-bed.ts'

const KEEPER = fileURLToPath(new URL('keeper.sh', import.meta.url))
/** Rounds of looking for processes that were started while others were killed or stopped. */
const ROUNDS_MAX = 50

export class Namespaces {
  private readonly keeper: ChildProcess
  private readonly ended: Promise<void>
  /** Of the mount namespace, as /proc shows it. */
  private readonly mountNamespace: string

  private constructor(keeper: ChildProcess, ended: Promise<void>) {
    this.keeper = keeper
    this.ended = ended
    this.mountNamespace = mountNamespaceOf(this.keeperPid)
  }

  static async make(): Promise<Namespaces> {
    mkdirSync('/run/forebay', { recursive: true })
    mkdirSync('/dev/forebay', { recursive: true })
    // A session of its own: what ends the test by a signal to its group must leave the keeper to clean up.
    const keeper = spawn('unshare', ['--mount', '--net', 'sh', KEEPER, FOREBAY], {
      stdio: ['pipe', 'pipe', 'inherit'],
      detached: true,
    })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    keeper.stdout.once('data', () => resolve())
    keeper.stdin.on('error', () => undefined)
    const ended = new Promise<void>((end) => {
      keeper.on('close', () => {
        reject(new Error('the keeper of a host ended before it was ready'))
        end()
      })
    })
    await promise
    return new Namespaces(keeper, ended)
  }

  get keeperPid(): number {
    return this.keeper.pid ?? 0
  }

  /** Words that start `command` in here. The process keeps its number: nsenter becomes the program. */
  enter(...command: readonly string[]): string[] {
    return ['nsenter', `--mount=/proc/${this.keeperPid}/ns/mnt`, `--net=/proc/${this.keeperPid}/ns/net`, ...command]
  }

  /** Never throws for an exit status. */
  try(...command: readonly string[]): Promise<Ran> {
    const [program = '', ...words] = this.enter(...command)
    return tryCommand(program, words)
  }

  /** Must succeed; what it printed. */
  async run(...command: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.try(...command)
    if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status} on a host: ${stderr.trim()}`)
    return stdout
  }

  /** Everything that runs in here, without the keeper and its own child. */
  processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => pid !== this.keeperPid && this.isOurs(pid))
  }

  /** SIGKILL to all in one go, until none is left. */
  async kill(): Promise<void> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const pids = this.processes()
      if (pids.length === 0) return
      for (const pid of pids) signal(pid, 'SIGKILL')
      // oxlint-disable-next-line eslint/no-await-in-loop -- looks again
      await pause(10)
    }
    throw new Error(`processes survive SIGKILL: ${this.describe().join('; ')}`)
  }

  /** SIGSTOP to all, until none is found running. */
  stop(): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const running = this.processes().filter((pid) => stateOf(pid) !== 'T')
      if (running.length === 0) return
      for (const pid of running) signal(pid, 'SIGSTOP')
    }
    // One that waits in the kernel stops as soon as it returns from there, before it does anything else.
  }

  resume(): void {
    for (const pid of this.processes()) signal(pid, 'SIGCONT')
  }

  /** Kills all and gives the namespaces up, with everything that was mounted or connected in them. */
  async end(): Promise<void> {
    this.keeper.stdin?.end()
    await this.ended
  }

  describe(): string[] {
    return this.processes().map((pid) => `${pid} ${stateOf(pid)} ${commandLineOf(pid)}`)
  }

  private isOurs(pid: number): boolean {
    return mountNamespaceOf(pid) === this.mountNamespace && parentOf(pid) !== this.keeperPid && !isGone(pid)
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}

/** Threads that wait for a disk outlive the main thread of a killed process; what they have asked for still happens. */
function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

function mountNamespaceOf(pid: number): string {
  for (const thread of threadsOf(pid)) {
    try {
      return readlinkSync(`/proc/${pid}/task/${thread}/ns/mnt`)
    } catch {
      // It has ended.
    }
  }
  return ''
}

/** State, parent and more: what stands behind the command in /proc/PID/stat. */
function statOf(pid: number): readonly string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

export const stateOf = (pid: number): string => statOf(pid)[0] ?? 'X'
const parentOf = (pid: number): number => Number(statOf(pid)[1] ?? 0)
const isGone = (pid: number): boolean => ['Z', 'X'].includes(stateOf(pid)) && threadsOf(pid).length <= 1

export function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}
