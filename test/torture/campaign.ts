// A campaign: three hosts, one volume with one copy, a load that knows what it was promised, and one fault after the other
// from a schedule. After each the volume must be whole, and it must find a new copy, before the next one comes: the
// policy survives one loss at a time, and no more is promised.
import type { Host } from '../integration/hosts/harness/host.ts'
import { Hosts } from '../integration/hosts/harness/hosts.ts'
import type { ServedHere } from '../integration/hosts/harness/served-here.ts'
import { MIB, pause } from '../integration/harness/test-bed.ts'
import { type CampaignLoad, RawLoad, TableLoad } from './campaign-load.ts'
import { type Fault, FAULTS, type Round, scheduleOf } from './schedule.ts'

/** Then with fresh hosts, and the other load. */
const ROUNDS_PER_CLUSTER = 25
const VOLUME_BYTES = 96 * MIB

export interface CampaignOptions {
  readonly seed: number
  readonly kills: number
  /** Both: in turn, each on hosts of its own. */
  readonly load: 'table' | 'raw' | 'both'
  readonly say: (line: string) => void
}

export interface CampaignReport {
  readonly seed: number
  /** How often each fault came. */
  readonly rounds: ReadonlyMap<Fault, number>
  readonly kills: number
  /** Raw writes, zeroes and flushes. */
  acknowledgedWrites: number
  /** Of the database. */
  acknowledgedTransactions: number
  longestPauseMs: number
  longestPauseFault: Fault | null
}

/** Rejects at the first thing that is missing; the message says in which round of which seed. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { seed, kills } = options
  const schedule = scheduleOf(seed, kills)
  const rounds = new Map<Fault, number>()
  for (const { fault } of schedule) rounds.set(fault, (rounds.get(fault) ?? 0) + 1)
  const report: CampaignReport = {
    ...{ seed, rounds, kills, acknowledgedWrites: 0, acknowledgedTransactions: 0 },
    ...{ longestPauseMs: 0, longestPauseFault: null },
  }
  for (let first = 0, cluster = 0; first < schedule.length; first += ROUNDS_PER_CLUSTER, cluster++) {
    const kind = options.load === 'both' ? (cluster % 2 === 0 ? 'table' : 'raw') : options.load
    const part = schedule.slice(first, first + ROUNDS_PER_CLUSTER)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one cluster after the other
    await runOnCluster(part, first, kind, options, report)
  }
  return report
}

async function runOnCluster(
  part: readonly Round[],
  first: number,
  kind: 'table' | 'raw',
  { seed, say }: CampaignOptions,
  report: CampaignReport,
): Promise<void> {
  const bed = Hosts.bed()
  let number = first
  try {
    const hosts = await Hosts.make(bed, { volumeBytes: VOLUME_BYTES })
    const cluster = await Cluster.begin(hosts, kind, seed)
    for (const round of part) {
      number++
      const startedMs = performance.now()
      // oxlint-disable-next-line eslint/no-await-in-loop -- one fault after the other
      await cluster.run(round)
      const { acknowledged, longestPauseMs } = cluster.load
      if (longestPauseMs > report.longestPauseMs) {
        report.longestPauseMs = longestPauseMs
        report.longestPauseFault = round.fault
      }
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
      say(`round ${number} ${kind} ${round.fault}: owner=${cluster.owner} acknowledged=${acknowledged} ${seconds} s`)
    }
    await cluster.load.end()
    if (kind === 'table') report.acknowledgedTransactions += cluster.load.acknowledged
    else report.acknowledgedWrites += cluster.load.acknowledged
  } catch (error) {
    const fault = part[number - first - 1]?.fault ?? 'start'
    throw new Error(`seed ${seed} round ${number} (${kind}, ${fault}): ${String(error)}`, { cause: error })
  } finally {
    await bed.tearDown()
  }
}

class Cluster {
  readonly load: CampaignLoad
  private readonly hosts: Hosts
  private served: ServedHere

  private constructor(hosts: Hosts, served: ServedHere, load: CampaignLoad) {
    this.hosts = hosts
    this.served = served
    this.load = load
  }

  static async begin(hosts: Hosts, kind: 'table' | 'raw', seed: number): Promise<Cluster> {
    const served = await hosts.get('a').serve()
    const load = kind === 'table' ? await TableLoad.make(served) : new RawLoad(hosts.bed, seed)
    const cluster = new Cluster(hosts, served, load)
    await cluster.untilCopied()
    return cluster
  }

  get owner(): string {
    return this.served.host.name
  }

  async run(round: Round): Promise<void> {
    const copy = await this.copyHost()
    const spare = this.hosts.others(this.served.host).find((host) => host !== copy) ?? copy
    const { moves } = FAULTS[round.fault]
    await this.load.begin(this.served, moves)
    await pause(round.afterMs)
    await this.strike(round, copy, round.successor === 'copy' ? copy : spare)
    await (moves ? this.load.move(this.served) : this.load.stay())
    await this.restore()
    await this.untilCopied()
  }

  private async strike({ fault, lastsMs, direction }: Round, copy: Host, successor: Host): Promise<void> {
    const { served, hosts } = this
    const owner = served.host
    switch (fault) {
      case 'engine':
        return served.untilNextEngine(served.killEngine())
      case 'copy':
        return copy.killPeer()
      case 'engine-and-copy': {
        const killed = served.killEngine()
        await copy.killPeer()
        return served.untilNextEngine(killed)
      }
      case 'copy-host':
        return copy.powerCut()
      case 'owner-host':
        await owner.powerCut()
        this.served = await successor.takeover('off')
        return
      case 'owner-returns':
        await owner.killAll()
        await owner.startPeer()
        this.served = await owner.serve()
        return
      case 'owner-and-copy':
        await Promise.all([owner.powerCut(), copy.powerCut()])
        await copy.boot()
        await copy.startPeer()
        this.served = await successor.takeover('off')
        return
      case 'owner-frozen':
        return this.freezeOwner(successor)
      case 'copy-frozen':
        copy.freeze()
        await pause(lastsMs)
        copy.thaw()
        return
      case 'wire':
        if (direction !== 'from-copy') await hosts.network.cut(owner.name, copy.name)
        if (direction !== 'to-copy') await hosts.network.cut(copy.name, owner.name)
        await pause(lastsMs)
        return hosts.network.heal()
    }
  }

  /** It comes back late, finds that it has been replaced, and ends by itself. */
  private async freezeOwner(successor: Host): Promise<void> {
    const { served } = this
    served.host.freeze()
    this.served = await successor.takeover('cut')
    served.host.thaw()
    const { status } = await served.ended
    if (status !== 4) throw new Error(`the frozen owner ended with ${status}: ${served.errors.slice(-3000)}`)
  }

  /** Every host is on, connected to the storage, and has a replica store. */
  private async restore(): Promise<void> {
    for (const host of this.hosts.all) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- few hosts
      if (!host.isOn) await host.boot()
      // oxlint-disable-next-line eslint/no-await-in-loop -- few hosts
      await this.hosts.storage.restore(host.name)
      // oxlint-disable-next-line eslint/no-await-in-loop -- few hosts
      if (!host.hasPeer) await host.startPeer()
    }
  }

  private untilCopied(): Promise<void> {
    return this.served.untilStatus('a copy, and write-back', ({ phase, inSync }) => {
      return phase === 'WriteBack' && inSync.length >= 2
    })
  }

  private async copyHost(): Promise<Host> {
    const { inSync } = await this.served.status()
    const name = inSync.find(({ node }) => node !== this.owner)?.node
    if (name === undefined) throw new Error('the volume has no copy')
    return this.hosts.get(name)
  }
}
