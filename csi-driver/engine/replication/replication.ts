// The copies of an open volume on other nodes: joins the replicator to the own log and to the membership. Null where a
// volume has no peers.
import { AdaptivePayloads, type PeerStatus, Replicator } from '../../replica/replicator.ts'
import type { EngineCore } from '../engine-core.ts'
import { HandOver, type HandOverHost } from './hand-over.ts'
import { JournalSource } from './journal-source.ts'
import { Membership, type MembershipHost } from './membership.ts'

export class Replication {
  private readonly core: EngineCore
  private readonly replicator: Replicator
  private readonly membership: Membership

  private constructor(core: EngineCore, replicator: Replicator, membership: Membership) {
    this.core = core
    this.replicator = replicator
    this.membership = membership
  }

  /** Begins to connect, and makes every batch from now on wait for the listed members. */
  static begin(host: MembershipHost): Replication | null {
    const { core, client } = host
    const { ports, settings, journal } = core
    const { record } = client
    if (settings.replication === null || ports.network === null || record === null) return null
    const { clock, timers, prng, log, memory, network } = ports
    const payloads = settings.replication.compression === 'auto' ? { payloads: new AdaptivePayloads(clock) } : {}
    const replicator = new Replicator(
      { network, clock, timers, prng, log, source: new JournalSource(journal, memory), ...payloads },
      {
        volume: record.volume,
        volumeUuid: record.volumeUuid,
        volumeKey: Buffer.from(record.volumeKey, 'hex'),
        node: settings.node,
        epoch: core.epoch,
        run: core.run,
        logBytes: journal.superblock.geometry.logBytes,
      },
    )
    const membership = new Membership(host, replicator, settings.replication)
    core.copies.peers = replicator
    membership.start()
    // Another copy may hold what an earlier owner has trimmed here: through-writes wait until it has let go (2.3).
    core.copies.trim(journal.superblock.tail.batchSeq - 1, () => host.release())
    return new Replication(core, replicator, membership)
  }

  peers(): readonly PeerStatus[] {
    return this.replicator.peers()
  }

  /** Gives the volume to another node; see hand-over.ts. */
  handOver(host: HandOverHost): HandOver {
    return new HandOver(host, this.replicator)
  }

  /** Nothing is waited for any more; what is on its way is never answered. */
  async stop(): Promise<void> {
    this.core.previous?.stop()
    this.membership.stop()
    await this.replicator.stop()
  }
}
