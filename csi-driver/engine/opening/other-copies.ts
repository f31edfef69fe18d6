// The copies of the log that other stores hold, while a volume is opened or its engine restarts: sealed, gathered from,
// brought to one end, given the new name. Which of them, and in which order, is decided by the tables of protocol/; a
// copy that fails on the way is left out, and the change of the register that ends the opening leaves it out, too.
import { CacheError } from '../../../base/errors.ts'
import type { BatchSeq, Ms, Run } from '../../../base/units.ts'
import { BATCH_FRAME_BYTES_MAX } from '../../batch/batch-format.ts'
import { BatchView } from '../../batch/batch-view.ts'
import type { NetworkAddress } from '../../io/network.ts'
import type { Journal } from '../../journal/journal.ts'
import type { StoredLog } from '../../protocol/stored-log.ts'
import { sameMember, type Member, type RegisterRecord } from '../../register/record.ts'
import { StoreSession } from '../../replica/replicator.ts'
import type { VolumePorts, VolumeSettings } from '../volume-settings.ts'
import { CopiedBatches, type CopyOptions } from './copied-batches.ts'

/** One other member that answered. */
export interface OtherCopy {
  readonly member: Member
  readonly session: StoreSession
}

export interface Sealing {
  /** Rules S2, 8.1: the engine that last served is proven off, so that its leases need not be waited for. */
  readonly predecessorOff: boolean
}

export type Contact = { readonly members: readonly Member[]; readonly run: Run } & (
  | { readonly purpose: 'owner' }
  | { readonly purpose: 'opener'; readonly seal: Sealing }
)

export class OtherCopies {
  private readonly ports: VolumePorts
  private readonly settings: VolumeSettings
  private copies: OtherCopy[] = []
  /** Listed, and not reached or failed since. */
  unreachable: Member[] = []
  /** Of these, who may answer when asked again: nothing but a connection was missing. */
  private missed: Member[] = []
  /** What was said of whom: once. */
  private readonly told = new Set<string>()

  constructor(ports: VolumePorts, settings: VolumeSettings) {
    this.ports = ports
    this.settings = settings
  }

  get reached(): readonly OtherCopy[] {
    return this.copies
  }

  /** Nodes whose store can be looked for. */
  get addressedNodes(): readonly string[] {
    const { replication, node } = this.settings
    if (replication === null) return []
    return [...replication.peers.map((peer) => peer.node), ...(replication.ownStore === null ? [] : [node])]
  }

  /** Everything up to this batch is trimmed by some copy (3.2); 0: nothing. */
  get largestTrim(): BatchSeq {
    return Math.max(0, ...this.copies.map(({ session }) => (session.state.log?.tail.batchSeq ?? 1) - 1))
  }

  get members(): readonly Member[] {
    return this.copies.map(({ member }) => member)
  }

  /**
   * Says HELLO to each of `members` whose address is known, and as an opener asks for its seal (rule S2): its promise that
   * no engine of an older epoch writes, or reads under a lease, any more. Each in its own time: one that is dead holds up
   * nobody's seal. A store in another life than the listed one is left out.
   */
  async contact(record: RegisterRecord, asked: Contact): Promise<void> {
    await Promise.all(asked.members.map((member) => this.contactOne(record, member, asked)))
  }

  get missedNodes(): readonly string[] {
    return this.missed.map(({ node }) => node)
  }

  /** Asks those again that did not answer. */
  async contactMissed(record: RegisterRecord, seal: Sealing): Promise<void> {
    const { missed } = this
    this.missed = []
    this.unreachable = this.unreachable.filter((member) => !missed.includes(member))
    await this.contact(record, { members: missed, purpose: 'opener', run: 0, seal })
  }

  /** Not asked at all: its host is off. */
  skip(member: Member): void {
    this.leaveOut(member, 'its host is off')
  }

  private async contactOne(record: RegisterRecord, member: Member, asked: Contact): Promise<void> {
    try {
      const session = await this.connect(record, member, asked)
      this.copies.push({ member, session })
      if (asked.purpose === 'opener') await this.seal(member, session, asked.seal)
    } catch (error) {
      if (error instanceof CacheError && error.kind === 'fenced') throw error
      this.copies = this.copies.filter((copy) => copy.member !== member)
      this.leaveOut(member, messageOf(error))
      const passes = error instanceof CacheError && (error.kind === 'retry' || error.kind === 'unknown-outcome')
      if (passes) this.missed.push(member)
    }
  }

  private async connect(
    record: RegisterRecord,
    member: Member,
    { purpose, run }: Pick<Contact, 'purpose' | 'run'>,
  ): Promise<StoreSession> {
    const peer = this.peerOf(member)
    const { network, clock, timers, log } = this.ports
    if (peer === undefined || network === null) throw new Error('no --peer names its address')
    const identity = {
      volume: record.volume,
      volumeUuid: record.volumeUuid,
      volumeKey: Buffer.from(record.volumeKey, 'hex'),
      node: this.settings.node,
      epoch: record.epoch,
      run,
    }
    const session = await StoreSession.connect({ network, clock, timers, log }, identity, peer, purpose)
    if (sameMember(session.store, member)) return session
    await session.close()
    throw new Error('another store, or another life of it, answers there')
  }

  private async seal(member: Member, session: StoreSession, { predecessorOff }: Sealing): Promise<void> {
    await session.seal({ predecessorOff }, (remainingMs: Ms) =>
      this.ports.log.event('engine.open.waiting_for_lease', { node: member.node, remainingMs }),
    )
  }

  private peerOf({ node }: Member): { readonly node: string; readonly address: NetworkAddress } | undefined {
    const { replication } = this.settings
    if (node !== this.settings.node) return replication?.peers.find((peer) => peer.node === node)
    return replication?.ownStore ? { node, address: replication.ownStore } : undefined
  }

  /**
   * Copies the log of `from` into an own journal that holds its beginning or nothing. Rejects where a batch is bad, and
   * where it cannot be written; nothing is written any more then.
   */
  async fetchInto(journal: Journal, from: OtherCopy, options: CopyOptions): Promise<void> {
    const copied = new CopiedBatches(journal, this.ports.memory, options)
    // The journal itself refuses a batch that does not follow its end (CACHE_LOG_DIFFERS).
    const begin = { batchSeq: journal.lastBatchSeq + 1, previousHash: null }
    const fetched = from.session.fetch(begin, copied)
    // Also where it fails: buffers and journal are free only when nothing is written any more.
    await Promise.allSettled([fetched])
    const error = await copied.settled()
    if (error !== null) throw error
    await fetched
  }

  /** Reads the log of `from` to its end and keeps nothing of it. Rejects where a batch is bad. */
  async check(log: StoredLog, { session }: OtherCopy): Promise<void> {
    const { batchSeq, previousHash } = log.tail
    const room = { buffer: this.ports.memory.allocate(BATCH_FRAME_BYTES_MAX), start: 0 }
    await session.fetch({ batchSeq, previousHash }, { room: () => room, take: () => undefined })
  }

  /**
   * Rule S4, 3.2: every copy gets what it lacks; one that cannot follow is left out. An opener lets nothing go (5.2): what
   * is trimmed is told by the owner.
   */
  async equalise(journal: Journal, trim: 'trim' | 'keep'): Promise<void> {
    await this.each('equalise', (copy) => this.equaliseOne(journal, copy, trim))
  }

  private async equaliseOne(journal: Journal, { member, session }: OtherCopy, trim: 'trim' | 'keep'): Promise<void> {
    const { log } = session.state
    const { tail } = journal.superblock
    if (log === null || log.lastBatchSeq < tail.batchSeq - 1) throw gapError(member)
    const buffer = this.ports.memory.allocate(journal.superblock.geometry.frameBytesMax)
    const view = new BatchView()
    for (let batchSeq = log.lastBatchSeq + 1; batchSeq <= journal.lastBatchSeq; batchSeq += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- batches follow one another
      const length = await readBatch(journal, batchSeq, buffer)
      if (view.parse(buffer, 0, length) !== 'ok') {
        throw new CacheError('corrupt', 'CACHE_LOG_CORRUPT', `the own log is damaged batchSeq=${batchSeq}`)
      }
      const { payloadOffset: headerBytes, payloadBytes } = view
      // oxlint-disable-next-line eslint/no-await-in-loop -- batches follow one another
      await session.append({ buffer, start: 0, headerBytes, payloadBytes })
    }
    if (trim === 'trim' && log.tail.batchSeq < tail.batchSeq) await session.trim(tail.batchSeq - 1)
    await session.refresh()
  }

  /** Rule S4: the new name, durable beside the log that the register names. */
  async prepare(names: { authoritativeLogUuid: string; newLogUuid: string }, journal: Journal): Promise<void> {
    const { lastBatchSeq, lastHash } = journal
    await this.each('prepare', ({ session }) => session.prepare({ ...names, lastBatchSeq, lastHash }))
  }

  /** The register names the log: the pending name becomes its present one. What fails here is mended on reconnect. */
  async promote(logUuid: string): Promise<void> {
    await this.each('promote', async ({ session }) => {
      if (session.state.log?.pending?.logUuid === logUuid || nameOf(session.state.log) !== logUuid) {
        await session.promote(logUuid)
      }
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.copies.map(({ session }) => session.close()))
    this.copies = []
  }

  /** Runs a step on all at once; a copy on which it fails is left out. */
  private async each(step: string, run: (copy: OtherCopy) => Promise<void>): Promise<void> {
    const results = await Promise.allSettled(this.copies.map((copy) => run(copy)))
    const kept: OtherCopy[] = []
    for (const [i, result] of results.entries()) {
      const copy = this.copies[i] as OtherCopy
      if (result.status === 'fulfilled') kept.push(copy)
      else if (result.reason instanceof CacheError && result.reason.kind === 'fenced') throw result.reason
      else this.leaveOut(copy.member, `${step}: ${messageOf(result.reason)}`)
    }
    this.copies = kept
  }

  private leaveOut(member: Member, reason: string): void {
    this.unreachable.push(member)
    const key = `${member.storeUuid} ${reason}`
    if (this.told.has(key)) return
    this.told.add(key)
    this.ports.log.event(
      'engine.open.copy_left_out',
      { node: member.node, storeUuid: member.storeUuid, reason },
      'warning',
    )
  }
}

/** The name of a log that is in force. */
export function nameOf(log: StoredLog | null): string {
  return log?.lineage.at(-1)?.logUuid ?? ''
}

function readBatch(journal: Journal, batchSeq: BatchSeq, buffer: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    journal.readBatch(batchSeq, buffer, (error, length) => (error === null ? resolve(length) : reject(error)))
  })
}

function gapError(member: Member): CacheError {
  return new CacheError('corrupt', 'CACHE_REPLICA_GAP', `the copy ends before the log begins node=${member.node}`)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
