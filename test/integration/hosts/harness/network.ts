// The wire between pretended hosts: a bridge in a namespace of its own, one address per host. Directions are cut one by
// one: the sender gets a wrong hardware address for the receiver, so that its packets leave and reach nobody, and neither
// side hears anything about it. No packet filter is needed, and what goes the other way is not touched.
import { Namespaces } from './namespaces.ts'

/** Locally administered, and nobody's. */
const NOBODY = '02:00:00:00:00:fe'
const DEVICE = 'eth0'

export class Network {
  private readonly bridge: Namespaces
  private readonly connected = new Map<string, Namespaces>()
  private readonly names: readonly string[]

  private constructor(bridge: Namespaces, names: readonly string[]) {
    this.bridge = bridge
    this.names = names
  }

  static async make(names: readonly string[]): Promise<Network> {
    const bridge = await Namespaces.make()
    await bridge.run('ip', 'link', 'add', 'bridge', 'type', 'bridge')
    await bridge.run('ip', 'link', 'set', 'bridge', 'up')
    return new Network(bridge, names)
  }

  addressOf(name: string): string {
    return `10.77.0.${this.names.indexOf(name) + 1}`
  }

  private hardwareAddressOf(name: string): string {
    return `02:00:00:00:01:${String(this.names.indexOf(name) + 1).padStart(2, '0')}`
  }

  async connect(name: string, host: Namespaces): Promise<void> {
    const port = portOf(name)
    const [here, there] = [String(this.bridge.keeperPid), String(host.keeperPid)]
    await this.bridge.run('ip', 'link', 'add', port, 'netns', here, 'type', 'veth', 'peer', DEVICE, 'netns', there)
    await this.bridge.run('ip', 'link', 'set', port, 'master', 'bridge', 'up')
    // A host keeps its hardware address when it boots again: others remember it.
    await host.run('ip', 'link', 'set', DEVICE, 'address', this.hardwareAddressOf(name))
    await host.run('ip', 'address', 'add', `${this.addressOf(name)}/24`, 'dev', DEVICE)
    await host.run('ip', 'link', 'set', DEVICE, 'up')
    this.connected.set(name, host)
  }

  /** Pulls the plug of a host: nothing that it sends from now on arrives anywhere, not even the end of a connection. */
  async unplug(name: string): Promise<void> {
    await this.bridge.run('ip', 'link', 'set', portOf(name), 'down')
  }

  async plug(name: string): Promise<void> {
    await this.bridge.run('ip', 'link', 'set', portOf(name), 'up')
  }

  /** The kernel takes its time to tear a namespace down: the wire goes at once. */
  async disconnect(name: string): Promise<void> {
    if (this.connected.delete(name)) await this.bridge.run('ip', 'link', 'delete', portOf(name))
  }

  /** What `from` sends to `to` is lost. */
  async cut(from: string, to: string): Promise<void> {
    await this.neighbour(from, 'replace', this.addressOf(to), 'lladdr', NOBODY, 'dev', DEVICE, 'nud', 'permanent')
  }

  async cutBothWays(one: string, other: string): Promise<void> {
    await this.cut(one, other)
    await this.cut(other, one)
  }

  /** Undoes every cut, and plugs every host in. */
  async heal(): Promise<void> {
    for (const name of this.connected.keys()) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one host after the other
      await this.plug(name)
      // oxlint-disable-next-line eslint/no-await-in-loop -- one host after the other
      await this.neighbour(name, 'flush', 'dev', DEVICE, 'nud', 'permanent')
    }
  }

  async end(): Promise<void> {
    await this.bridge.end()
  }

  private async neighbour(name: string, ...words: readonly string[]): Promise<void> {
    await this.connected.get(name)?.run('ip', 'neighbour', ...words)
  }
}

const portOf = (name: string): string => `port-${name}`
