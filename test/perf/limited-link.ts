// Two hosts on this machine with a wire of a given speed between them: two network namespaces, a veth pair, and a token
// bucket (tc-tbf) at either end. Root only. Programs are started on a host by putting `on(host, …)` in front of them.
// Everything goes with the namespaces, which the scaffold deletes however the measurement ends.
import { runProgram } from './fio.ts'
import type { Scaffold } from './scaffold.ts'

type Undoing = Pick<Scaffold, 'later' | 'signal'>

export type HostName = 'owner' | 'peer'

export interface LinkSpeed {
  readonly title: string
  /** As tc takes it. */
  readonly rate: string
  /**
   * What may pass at once. Small, or a batch would be through before the bucket is empty, which no wire does; but a
   * packet of less than that is passed whole, and cutting all of them at 10 Gbit/s is more than a core can do.
   */
  readonly burst: string
}

export const GBIT_1: LinkSpeed = { title: '1 Gbit/s', rate: '1gbit', burst: '16kb' }
export const GBIT_10: LinkSpeed = { title: '10 Gbit/s', rate: '10gbit', burst: '128kb' }

/** Longest that a packet may stand in the bucket; more than any batch takes. */
const QUEUE_MS = 50
const ADDRESSES: Readonly<Record<HostName, string>> = { owner: '10.199.0.1', peer: '10.199.0.2' }
const PREFIX_BITS = 30

export class LimitedLink {
  private readonly namespaces: Readonly<Record<HostName, string>>

  private constructor(namespaces: Readonly<Record<HostName, string>>) {
    this.namespaces = namespaces
  }

  static async open(scaffold: Undoing, speed: LinkSpeed): Promise<LinkedHosts> {
    const name = `fb${process.pid}-${speed.rate}`
    const link = new LimitedLink({ owner: `${name}-owner`, peer: `${name}-peer` })
    for (const host of ['owner', 'peer'] as const) {
      const namespace = link.namespaces[host]
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await runProgram('ip', ['netns', 'add', namespace], scaffold.signal)
      scaffold.later(`network namespace ${namespace}`, () => runProgram('ip', ['netns', 'delete', namespace]))
    }
    await link.connect(scaffold.signal)
    for (const host of ['owner', 'peer'] as const) {
      const shape = ['qdisc', 'add', 'dev', host, 'root', 'tbf', 'rate', speed.rate, 'burst', speed.burst]
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await runProgram('tc', ['-n', link.namespaces[host], ...shape, 'latency', `${QUEUE_MS}ms`], scaffold.signal)
    }
    return link
  }

  addressOf(host: HostName): string {
    return ADDRESSES[host]
  }

  on(host: HostName, command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.namespaces[host], ...command]
  }

  /** A network device in each namespace, called as its host. */
  private async connect(signal: AbortSignal): Promise<void> {
    const { owner, peer } = this.namespaces
    await runProgram('ip', ['-n', owner, 'link', 'add', 'owner', 'type', 'veth', 'peer', 'peer', 'netns', peer], signal)
    for (const host of ['owner', 'peer'] as const) {
      const at = ['-n', this.namespaces[host]]
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await runProgram('ip', [...at, 'address', 'add', `${ADDRESSES[host]}/${PREFIX_BITS}`, 'dev', host], signal)
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await runProgram('ip', [...at, 'link', 'set', host, 'up'], signal)
    }
  }
}

/** Where owner and peer run, and how to start something there. */
export type LinkedHosts = Pick<LimitedLink, 'addressOf' | 'on'>

/** Without root: both on this host, at the speed of its loopback. */
export const LOOPBACK: LinkedHosts = {
  addressOf: () => '127.0.0.1',
  on: (_, command) => [...command],
}
