// The network of the demo: a bridge in a namespace of its own, so that the machine's network is never touched. It ends
// when the demo ends, whatever way, and with it every cable in it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { command, type Stage, untilSaid } from './stage.ts'

/** The read ends when the demo does, which holds the other end. */
const SCRIPT = 'ip link add bridge type bridge && ip link set bridge up && echo up && exec cat >/dev/null'

export class HostSwitch {
  private readonly process: ChildProcess

  private constructor(process: ChildProcess) {
    this.process = process
  }

  static async create(stage: Stage): Promise<HostSwitch> {
    const child = spawn('unshare', ['--net', 'sh', '-c', SCRIPT], { stdio: 'pipe', detached: true })
    const made = new HostSwitch(child)
    stage.later('the network of the hosts', () => made.takeDown())
    await untilSaid(child, 'the network of the hosts')
    return made
  }

  /** A cable between the switch and the network namespace of the process `pid`, where it is called eth0. */
  async plug(name: string, pid: number, address: string): Promise<void> {
    const end = ['eth0', 'address', hardwareAddress(address), 'netns', String(pid)]
    await this.ip('link', 'add', name, 'type', 'veth', 'peer', 'name', ...end)
    await this.ip('link', 'set', name, 'master', 'bridge', 'up')
  }

  /** Pulls the cable: nothing passes any more in either direction, and whoever was connected is not told. */
  async unplug(name: string): Promise<void> {
    await this.ip('link', 'delete', name)
  }

  private async ip(...words: readonly string[]): Promise<void> {
    await command('nsenter', `--net=/proc/${this.process.pid ?? 0}/ns/net`, 'ip', ...words)
  }

  private async takeDown(): Promise<void> {
    const { process } = this
    process.stdin?.end()
    if (process.exitCode === null && process.signalCode === null) await once(process, 'exit')
  }
}

/** The same after each start of a host, as on a real one: the others remember it. */
function hardwareAddress(address: string): string {
  const bytes = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))
  return ['02', '00', ...bytes].join(':')
}
