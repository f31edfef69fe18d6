// The simulated cluster: hosts, the network between them, the backing that all of them reach, the register, the holders
// that serve or have served the volume, and everything that the checkers look at. Faults are injected through it, since
// it keeps the budget: as long as a run is within it, some listed copy stays whole whatever open changes of the register
// become of.
import { CacheError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import { SECTOR_BYTES } from '../../../base/units.ts'
import type { VolumePorts, VolumeSettings } from '../../../csi-driver/engine/volume-settings.ts'
import type { Fence, FenceProof } from '../../../csi-driver/fencing/fence.ts'
import type { RegisterRecord, Unfenced } from '../../../csi-driver/register/record.ts'
import { segmentsForLog } from '../../../csi-driver/replica/store/store-geometry.ts'
import { fillSectors, INITIAL_ID } from '../content.ts'
import { frameBytesMaxFor } from '../../../csi-driver/batch/batch-format.ts'
import { SimNetwork } from '../network.ts'
import { Oracle } from '../oracle.ts'
import { SimulatedRegister } from '../register.ts'
import { Report } from '../report.ts'
import type { RememberedDoubts } from '../remembered-doubts.ts'
import type { World } from '../world.ts'
import type { ClusterChecker } from './checkers/cluster-checker.ts'
import { Holder, type OpenClusterVolume } from './holder.ts'
import { Host, type Life } from './host.ts'
import { CacheOnDisk } from './cache-on-disk.ts'
import type { LogOnDisk } from './log-on-disk.ts'
import { PeerNode } from './peer-node.ts'
import { StoreOnDisk } from './store-on-disk.ts'
import type { ClusterScenario } from './scenario.ts'
import { SharedBacking } from './shared-backing.ts'

/** A fence command takes that long at most. */
const FENCE_MS_MAX = 300

export class Cluster {
  readonly world: World
  readonly scenario: ClusterScenario
  readonly network: SimNetwork
  readonly backing: SharedBacking
  readonly register: SimulatedRegister
  readonly hosts: readonly Host[]
  /** What each disk holds of the log: for each host its cache, then its store. */
  readonly copies: readonly LogOnDisk[]
  readonly peers: ReadonlyMap<Host, PeerNode>
  readonly report: Report
  readonly oracle: Oracle
  readonly checkers: ClusterChecker[] = []
  readonly holders: Holder[] = []
  readonly counts: Record<string, number> = {}
  readonly openVolume: OpenClusterVolume
  lastOperation = 0
  /** The newest version of the register. */
  record: RegisterRecord | null = null
  /** Copies whose content was taken away, as `storeUuid incarnation`, and when. */
  readonly destroyed = new Map<string, number>()
  /** No host may be switched off by a fence any more. */
  sparing = false
  /** The last opening was refused because old owners were not proven off. */
  needsOff = false
  /** How busy users are: they think that many times as long. */
  slowness = 1

  constructor(world: World, scenario: ClusterScenario, openVolume: OpenClusterVolume) {
    this.world = world
    this.scenario = scenario
    this.openVolume = openVolume
    this.network = new SimNetwork(world, scenario.network)
    this.backing = new SharedBacking(world, scenario.backing)
    this.register = new SimulatedRegister(world)
    this.report = new Report(world.trace, () => world.nowMs)
    this.oracle = new Oracle(scenario.workload.sectors)
    const { network, backing } = this
    this.hosts = scenario.hosts.map((settings) => new Host(world, settings, { network, backing }))
    const { segmentBytes } = scenario
    this.peers = new Map(
      this.hosts.map((host) => {
        const endOlder = (epoch: number): Promise<void> => this.endOlder(host, epoch)
        return [host, new PeerNode({ world, network, host, segmentBytes, endOlder })]
      }),
    )
    this.copies = this.hosts.flatMap((host) => this.copiesOf(host))
    fillSectors(backing.disk.visible, 0, INITIAL_ID, 0, scenario.backing.sizeBytes / SECTOR_BYTES)
    if (backing.disk.durable !== backing.disk.visible) backing.disk.durable.set(backing.disk.visible)
    this.register.watchers.push({ onRegister: (record) => this.onRegister(record) })
  }

  /** Checkers see everything from now on. */
  watch(checkers: readonly ClusterChecker[]): void {
    this.checkers.push(...checkers)
    for (const disk of this.disks) disk.watchers.push(...checkers)
    this.register.watchers.push(...checkers)
  }

  get disks() {
    return [this.backing.disk, ...this.hosts.flatMap(({ cache, store }) => [cache, store])]
  }

  /** Listed members whose content no fault has taken. */
  get intactCopies(): number {
    return (this.record?.members ?? []).filter((member) => !this.destroyed.has(memberKey(member))).length
  }

  count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }

  peerOf(host: Host): PeerNode {
    return this.peers.get(host) as PeerNode
  }

  /** The newest holder that has not ended. */
  get present(): Holder | null {
    return this.holders.findLast(({ state }) => state !== 'ended') ?? null
  }

  holderOn(host: Host): Holder | null {
    return this.holders.findLast((holder) => holder.host === host && holder.state !== 'ended') ?? null
  }

  /** Somebody runs `serve` or `takeover` on a host; what was there of an earlier holder is killed first. */
  startHolder(host: Host, acceptsLoss = false): Holder {
    this.holderOn(host)?.end('another holder takes its place')
    const holder = new Holder(this, host, { number: this.holders.length + 1, acceptsLoss })
    this.holders.push(holder)
    this.world.trace.note(this.world.nowMs, `holder ${holder.number} begins on ${host.name}`)
    holder.serve().catch((error: unknown) => {
      this.report.add('crash', 'no exception', error instanceof Error ? (error.stack ?? error.message) : String(error))
    })
    return holder
  }

  /** A power cut of one host. */
  crashHost(host: Host): void {
    if (!host.isUp) return
    const holder = this.holderOn(host)
    const alone = !this.holders.some((one) => one !== holder && one.state !== 'ended')
    if (host.settings.resource === 'memory') this.destroy(host, ['cache', 'store'])
    host.powerCut()
    holder?.end('its host has lost power')
    this.count('host-crashes')
    // The device may have been on the same supply; where another engine uses it, its loss would not go unnoticed.
    if (!alone || !this.world.prng.fork(`supply.${this.world.events}`).chance(0.4)) return
    this.backing.disk.powerCut()
    this.oracle.powerCut(this.world.tick())
    this.count('backing-power-cuts')
  }

  bootHost(host: Host): void {
    if (host.isUp) return
    host.boot()
    this.peerOf(host).start()
  }

  /** The peer's store is empty from now on; its process is gone meanwhile. */
  loseStore(host: Host): void {
    this.destroy(host, ['store'])
    const peer = this.peerOf(host)
    peer.crash()
    host.wipe(host.store)
    this.count('stores-lost')
  }

  /** The cache device of a host fails every operation from now on. */
  failCache(host: Host): void {
    this.destroy(host, ['cache'])
    host.cache.faults.code = 'EIO'
    host.cache.faults.allReadsFail = true
    host.cache.faults.allWritesFail = true
    this.count('caches-failed')
  }

  /** It works again: an empty one in its place, or the old one with what it held when it failed. */
  mendCache(host: Host): void {
    if (!host.cache.faults.allReadsFail) return
    this.holderOn(host)?.end('its cache device is replaced')
    host.cache.faults.heal()
    if (this.world.prng.fork(`mended.${this.world.events}`).chance(0.5)) host.wipe(host.cache)
    // Where the register still lists it, it has to hold what it ever held.
    else for (const key of this.membersOn(host, ['cache'])) this.destroyed.delete(key)
  }

  /** Whether what these disks hold may go: within the budget a whole copy stays, whatever open changes come to. */
  mayDestroy(host: Host, which: readonly ('cache' | 'store')[]): boolean {
    if (this.scenario.budget === 'beyond') return true
    const gone = new Set(this.membersOn(host, which))
    const rv = this.record?.rv ?? 0
    const possible = [...this.register.proposals].filter((proposal) => proposal.rv === rv + 1)
    return [...(this.record === null ? [] : [this.record]), ...possible].every(
      ({ members, dirty }) =>
        (!dirty && possible.length === 0) ||
        members.length === 0 ||
        members.some((member) => !gone.has(memberKey(member)) && !this.destroyed.has(memberKey(member))),
    )
  }

  /** Whether the other hosts have room and domains for as many copies as are wanted, seen from an owner on `host`. */
  canMeetPolicy(host: Host): boolean {
    const { wanted, engine, segmentBytes } = this.scenario
    const needed = segmentsForLog(engine.logBytes, segmentBytes)
    const able = this.hosts.filter((one) => one !== host && one.settings.storeSegments >= needed)
    const same = able.filter((one) => one.settings.domain === host.settings.domain).length
    return same >= wanted.same && able.length - same >= wanted.other
  }

  /** An I/O error of that host needs no other reason. */
  failedSince(host: Host, ms: Ms): boolean {
    if (this.scenario.budget === 'beyond' || this.backing.cutSince(host.name, ms)) return true
    // Another copy, or the backing, takes the place of a cache that fails.
    return this.backing.disk.faults.lastErrorMs >= ms
  }

  settingsFor(
    holder: Holder,
    opening: { start: 'first' | 'restart'; session: bigint; acceptsLoss: boolean },
  ): VolumeSettings {
    const { engine, wanted } = this.scenario
    const { host } = holder
    return {
      ...engine,
      node: host.name,
      resource: host.settings.resource,
      session: opening.session,
      start: opening.start,
      formatCache: false,
      acceptDataLoss: opening.acceptsLoss ? engine.volume : '',
      backingChanged: 'none',
      takeover: this.record !== null,
      replication: {
        peers: this.hosts
          .filter((one) => one !== host)
          .map(({ name, address, settings }) => ({ node: name, address, domain: settings.domain })),
        ownStore: host.address,
        domain: host.settings.domain,
        wanted,
        compression: this.scenario.compression,
      },
    }
  }

  enginePorts(holder: Holder, life: Life, doubts: RememberedDoubts): VolumePorts {
    const { host } = holder
    const { process, memory, prng, random, log } = life
    const cache = host.cache.attach(process)
    return {
      clock: process.clock,
      timers: process.timers,
      memory,
      random,
      prng,
      log,
      cache,
      cacheFill: cache,
      backing: this.backing.attach(process, host.name),
      register: this.register.attach(process, host.name),
      writeCache: { setWriteCache: (mode) => this.setWriteCache(holder, life, mode) },
      doubts,
      network: this.network.attach(process, host.name),
      fence: this.fenceOf(life),
    }
  }

  release(): void {
    for (const holder of this.holders) {
      holder.end('the run is over')
      holder.frontEnd.dispose()
    }
    for (const host of this.hosts) host.release()
  }

  private onRegister(record: RegisterRecord): void {
    this.record = record
    const { rv, epoch, owner, phase, dirty, members, unfenced } = record
    const names = members.map(({ node, storeUuid, incarnation }) => `${node}/${storeUuid.slice(0, 4)}.${incarnation}`)
    const open = unfenced.map((entry) => `${entry.node}/${entry.epoch}`)
    this.world.trace.note(
      this.world.nowMs,
      `REGISTER rv=${rv} epoch=${epoch} owner=${owner} ${phase}${dirty ? ' dirty' : ''} log=${record.logUuid.slice(12, 20)} members=${names.join(',')} unfenced=${open.join(',')}`,
    )
  }

  private destroy(host: Host, which: readonly ('cache' | 'store')[]): void {
    for (const key of this.membersOn(host, which)) this.destroyed.set(key, this.world.tick())
  }

  /** The members that stand on these disks, as the register names members. */
  private membersOn(host: Host, which: readonly ('cache' | 'store')[]): string[] {
    const disks = which.map((one) => host[one])
    return this.copies.flatMap(({ disk, head }) => (disks.includes(disk) && head !== null ? [memberKey(head)] : []))
  }

  private copiesOf(host: Host): LogOnDisk[] {
    const { sectors } = this.scenario.workload
    const { batchLimits } = this.scenario.engine
    const cache = new CacheOnDisk(host.cache, sectors, host.settings.readCacheStart)
    const store = new StoreOnDisk(host.store, sectors, frameBytesMaxFor(batchLimits.payloadBytesMax))
    host.cache.watchers.push(cache)
    host.store.watchers.push(store)
    return [cache, store]
  }

  private async endOlder(host: Host, epoch: number): Promise<void> {
    for (const holder of this.holders) {
      if (holder.host !== host) continue
      // One that opens for the first time has the lock, which proves that nobody older is there.
      if (holder.state === 'opening') continue
      if (holder.state !== 'ended' && holder.life?.process.paused === true) throw new Error('an engine does not answer')
      await holder.endForNewer(epoch)
    }
  }

  private fenceOf({ process }: Life): Fence {
    return {
      fence: (_volume, entry) =>
        new Promise((resolve, reject) => {
          process.effect(() => {
            const { world } = this
            const delayMs = world.prng.fork(`fence.${world.events}`).float() * FENCE_MS_MAX
            world.schedule(delayMs, 'fence', () => {
              const proof = this.fence(entry)
              process.deliver(() => (proof === null ? reject(notFenced(entry)) : resolve(proof)))
            })
          })
        }),
    }
  }

  /** What the fence command of the scenario does; null: it fails. */
  private fence(entry: Unfenced): FenceProof | null {
    const host = this.hosts.find(({ name }) => name === entry.node)
    if (host === undefined) return null
    const prng = this.world.prng.fork(`fence-of.${this.world.events}`)
    if (prng.chance(0.05)) return null
    this.count('fenced-hosts')
    this.backing.cut(host.name)
    const drawn = this.scenario.fence === 'either' ? prng.pick(['cut', 'off'] as const) : this.scenario.fence
    // Where only that helps, whoever runs the command sees to it.
    const kind = this.needsOff ? 'off' : this.sparing ? 'cut' : drawn
    if (!host.isUp) return 'off'
    const losesCopies = host.settings.resource === 'memory'
    if (kind === 'cut' || (losesCopies && !this.mayDestroy(host, ['cache', 'store']))) return 'cut'
    this.crashHost(host)
    this.world.schedule(2000 + prng.below(10_000), `${host.name}.boots`, () => this.bootHost(host))
    return 'off'
  }

  private setWriteCache(holder: Holder, { process, prng }: Life, mode: 'write-back' | 'write-through'): Promise<void> {
    return new Promise((resolve) => {
      process.effect(() => {
        this.world.schedule(prng.float() * 3, 'device.mode', () => {
          holder.frontEnd.mode = mode
          // From now on nobody flushes: what is acknowledged must be durable without it.
          if (mode === 'write-through') this.oracle.madeFirm(this.world.tick())
          this.world.schedule(prng.float() * 3, 'device.mode.reply', () => process.deliver(() => resolve()))
        })
      })
    })
  }
}

export function memberKey({ storeUuid, incarnation }: { storeUuid: string; incarnation: number }): string {
  return `${storeUuid} ${incarnation}`
}

function notFenced({ node, epoch }: Unfenced): CacheError {
  return new CacheError('invalid', 'CACHE_NOT_FENCED', `the fence did not answer node=${node} epoch=${epoch}`)
}
