// A host of the demo: namespaces of processes, mounts, network and host name on this machine. Power is a pipe: when it
// is closed, by the demo or by the death of the demo, the first process of the host ends and the kernel kills every
// other one at once, as `kill -9` does. What is not in a namespace is the machine's: block devices, and the directory
// of the demo, which stands for the disks of the hosts.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { productRoot } from '../product.ts'
import type { Ms } from '../../../base/units.ts'
import { HostProgram } from './host-program.ts'
import type { HostSwitch } from './host-switch.ts'
import { command, type Ran, type Stage, tryCommand, untilSaid } from './stage.ts'

/** $1 is the name, $2 what stands for /run/forebay. `wait` reaps whatever is left to the first process of a host. */
const FIRST_PROCESS = `
set -e
echo "$1" >/proc/sys/kernel/hostname
mkdir -p /run/forebay /dev/forebay
mount --bind "$2" /run/forebay
mount -t tmpfs forebay-demo /dev/forebay
ip link set lo up
echo up
exec 3<&0
cat <&3 >/dev/null &
wait`
/** The kernel ends all processes of a host; those that wait for a device end with that device. */
const POWER_OFF_LIMIT_MS: Ms = 60_000
const NAMESPACES = ['--mount', '--net', '--uts', '--pid', '--fork', '--kill-child', '--mount-proc']
const DIRECTORIES = ['run', 'mnt', 'state'] as const

export interface HostPlace {
  readonly name: string
  readonly address: string
  /** Working directory of all commands; the host has one of its name in it. */
  readonly directory: string
}

export class DemoHost {
  readonly name: string
  readonly address: string
  private readonly directory: string
  private readonly network: HostSwitch
  private power: ChildProcess | null = null

  constructor(stage: Stage, network: HostSwitch, { name, address, directory }: HostPlace) {
    this.name = name
    this.address = address
    this.directory = directory
    this.network = network
    stage.later(name, () => this.powerOff())
  }

  get isOn(): boolean {
    return this.power !== null
  }

  /** While the host has power there is this file; the fence command of the demo looks at it. */
  get powerFile(): string {
    return path.join(this.directory, 'power', this.name)
  }

  /** Of the host's directory. */
  path(name: string): string {
    return path.join(this.directory, this.name, name)
  }

  async powerOn(): Promise<void> {
    for (const name of DIRECTORIES) await mkdir(this.path(name), { recursive: true })
    await mkdir(path.dirname(this.powerFile), { recursive: true })
    await writeFile(this.powerFile, '')
    const words = [...NAMESPACES, 'sh', '-c', FIRST_PROCESS, 'sh', this.name, this.path('run')]
    const power = spawn('unshare', words, { stdio: 'pipe', detached: true })
    this.power = power
    await untilSaid(power, this.name)
    await this.network.plug(this.name, power.pid ?? 0, this.address)
    await this.command('ip', 'address', 'add', `${this.address}/24`, 'dev', 'eth0')
    await this.command('ip', 'link', 'set', 'eth0', 'up')
  }

  /**
   * The network first: no connection is closed in order, as none is when a host dies. What a host takes with it when it
   * dies and this machine keeps is taken away: loop devices without a process behind them. Idempotent.
   */
  async powerOff(): Promise<void> {
    const { power } = this
    if (power === null) return
    const isRunning = power.exitCode === null && power.signalCode === null
    const ended = isRunning ? once(power, 'exit', { signal: AbortSignal.timeout(POWER_OFF_LIMIT_MS) }) : null
    try {
      if (isRunning) await this.network.unplug(this.name)
    } finally {
      power.stdin?.end()
      await ended
      this.power = null
      await rm(this.powerFile, { force: true })
    }
    await this.forgetDevices()
  }

  private async forgetDevices(): Promise<void> {
    const volumes = path.join(this.path('run'), 'volumes')
    if (!existsSync(volumes)) return
    for (const volume of await readdir(volumes)) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one volume
      await command(path.join(productRoot(), 'bin', 'forebay'), 'cleanup', path.join(volumes, volume))
    }
    await rm(this.path('run'), { recursive: true, force: true })
  }

  /** Runs a program on this host to its end. */
  tryCommand(...words: readonly string[]): Promise<Ran> {
    return tryCommand('nsenter', ...this.inside(words))
  }

  /** The same; throws CacheError with what it said when it fails. */
  command(...words: readonly string[]): Promise<string> {
    return command('nsenter', ...this.inside(words))
  }

  start(...words: readonly string[]): HostProgram {
    return new HostProgram(spawn('nsenter', this.inside(words), { stdio: 'pipe', detached: true }))
  }

  private inside(words: readonly string[]): string[] {
    const of = `/proc/${this.power?.pid ?? 0}/ns`
    const spaces = [`--net=${of}/net`, `--uts=${of}/uts`, `--mount=${of}/mnt`, `--pid=${of}/pid_for_children`]
    // The working directory must be found again in the other mount namespace, where more is mounted below it.
    return [...spaces, 'sh', '-c', 'cd "$0" && exec "$@"', this.directory, ...words]
  }
}
