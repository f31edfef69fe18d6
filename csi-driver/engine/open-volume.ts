// Opens a volume: carries out the step machine of protocol/open-steps.ts (a new holder) or the decision of
// protocol/restart-table.ts (the same holder, next run). Everything is decided before anything is changed; what is
// changed before the volume serves can be repeated from the start (PROTOCOL.md 5.2).
import { CacheError } from '../../base/errors.ts'
import { roundDown } from '../../base/units.ts'
import { BackingStore } from '../backing/backing-store.ts'
import {
  currentLogUuid,
  type Journal,
  LogCorruptError,
  type NewJournal,
  formatJournal,
  probeCache,
  promotePending,
} from '../journal/journal.ts'
import type { CacheSummary, ForebayCache, OpenInput } from '../protocol/open-facts.ts'
import { nextOpenStep, type OpenStep } from '../protocol/open-steps.ts'
import { openDecision, type OpenGo } from '../protocol/open-table.ts'
import { restartDecision } from '../protocol/restart-table.ts'
import { claim, createVolume, fenced, ownLog } from '../protocol/register-transitions.ts'
import type { Member, RegisterRecord } from '../register/record.ts'
import { decodeRecord, encodeRecord } from '../register/record-codec.ts'
import { RegisterClient } from '../register/register-client.ts'
import type { RegisterIntent } from '../register/settlement.ts'
import { newGeometry } from './cache-layout.ts'
import { EdgeHashes } from './edge-hashes.ts'
import { EngineCore } from './engine-core.ts'
import { once } from './generation.ts'
import { RecoveredRequests } from './recovered-requests.ts'
import { replay, type Replayed } from './replay.ts'
import type { VolumePorts, VolumeSettings } from './volume-settings.ts'

/** What an opened volume is built from. */
export interface Opened {
  readonly core: EngineCore
  readonly client: RegisterClient
  readonly edges: EdgeHashes
  readonly recovered: RecoveredRequests
}

export class VolumeOpening {
  private readonly ports: VolumePorts
  private readonly settings: VolumeSettings
  private readonly backing: BackingStore
  private readonly edges: EdgeHashes
  private readonly client: RegisterClient
  private readonly recovered: RecoveredRequests
  /** Set when the superblock may be written: from then on every change of the register leaves its intent there. */
  private journal: Journal | null = null
  private replayed: Replayed | null = null
  private go: OpenGo | null = null
  private input: OpenInput | null = null
  private newLogUuid = ''
  private serving = false

  constructor(ports: VolumePorts, settings: VolumeSettings) {
    this.ports = ports
    this.settings = settings
    const { clock, timers, log, memory, prng, register } = ports
    this.backing = new BackingStore({ device: ports.backing, clock, timers, log, memory })
    this.edges = new EdgeHashes(this.backing, memory)
    this.recovered = new RecoveredRequests(settings.session)
    const hooks = {
      beforeSend: (intent: RegisterIntent) => this.storeIntent(intent),
      afterSettled: (record: RegisterRecord) => this.storeSettled(record),
    }
    this.client = new RegisterClient({ register, hooks, timers, prng, log })
  }

  /** S0 to S6 under a new holder. */
  async open(): Promise<Opened> {
    let step: OpenStep | 'serve' | 'stop' = 'read'
    while (step !== 'serve') {
      if (step === 'stop') throw this.lostError()
      // oxlint-disable-next-line eslint/no-await-in-loop -- the steps follow one another
      const outcome = await this.take(step)
      const unfenced = (this.client.record?.unfenced.length ?? 0) > 0
      step = nextOpenStep({ step, outcome, kind: this.going.kind, unfenced }).next
    }
    return this.serve()
  }

  private get going(): OpenGo {
    if (this.go === null) throw new Error('the opening was decided')
    return this.go
  }

  private get record(): RegisterRecord {
    const { record } = this.client
    if (record === null) throw new Error('the register was read')
    return record
  }

  private async take(step: OpenStep): Promise<'done' | 'lost'> {
    switch (step) {
      case 'read':
        await this.decide()
        return 'done'
      case 'create':
        return doneIf(await this.client.create(this.newVolume()))
      case 'claim': {
        const { node } = this.settings
        const { epochAtLeast } = this.going
        return doneIf(await this.client.claim((record) => claim(record, { node, epochAtLeast })))
      }
      case 'fence':
        return this.fenceOwn()
      case 'gather':
        return 'done'
      case 'new-log':
        await this.makeLog()
        return 'done'
      case 'own-log':
        return this.ownLog()
    }
  }

  /** S0: looks at register, cache and backing; throws the refusal. Changes nothing. */
  private async decide(): Promise<void> {
    const { settings, ports } = this
    const record = await this.client.read()
    const probe = await probeCache(ports.cache, ports.memory)
    const input: OpenInput = {
      volume: settings.volume,
      node: settings.node,
      cachePath: settings.cachePath,
      backingPath: settings.backingPath,
      record,
      cache: summaryOf(probe),
      backing: { identity: settings.backingIdentity, edges: 'same' },
      formatCache: settings.formatCache,
      acceptDataLoss: settings.acceptDataLoss === '' ? null : settings.acceptDataLoss,
      backingChanged: settings.backingChanged,
      ...(settings.atStake === undefined ? {} : { atStake: settings.atStake }),
    }
    let decision = openDecision(input)
    if (decision.kind === 'open-gather' && probe.kind === 'forebay') {
      this.replayed = await this.replayLog(probe.superblock, record)
      const difference = await this.edges.firstDifference(probe.superblock.edgeHashes, this.replayed.tables)
      if (difference >= 0) decision = openDecision({ ...input, backing: { ...input.backing, edges: 'changed' } })
    }
    if (decision.kind === 'refuse' || decision.kind === 'blocked') {
      const kind = decision.kind === 'blocked' ? 'corrupt' : 'invalid'
      throw new CacheError(kind, decision.code, decision.message, { remedy: decision.remedy })
    }
    ports.log.event('engine.open.decided', { kind: decision.kind, rows: decision.labels.join(' ') })
    this.go = decision as OpenGo
    this.input = input
    if (decision.kind !== 'open-gather') this.replayed = null
  }

  private async replayLog(
    superblock: Replayed['journal']['superblock'],
    record: RegisterRecord | null,
  ): Promise<Replayed> {
    const { ports, settings } = this
    try {
      return await replay({
        storage: ports.cache,
        memory: ports.memory,
        superblock,
        ackedSeqKnown: record?.lastSeq ?? 0,
        acceptDataLoss: settings.acceptDataLoss === settings.volume,
        recovered: this.recovered,
      })
    } catch (error) {
      if (!(error instanceof LogCorruptError)) throw error
      throw new CacheError(
        'corrupt',
        'CACHE_BLOCKED',
        `acknowledged writes are damaged in the cache: ${error.message}`,
        {
          remedy: `Replace the failing disk by an intact copy of the cache if there is one. Only --accept-data-loss ${settings.volume} opens the volume with what is intact.`,
          cause: error,
        },
      )
    }
  }

  private newVolume(): RegisterRecord {
    const { settings } = this
    return createVolume({
      volume: settings.volume,
      volumeUuid: this.hex(16),
      registerNonce: this.hex(16),
      volumeKey: this.hex(32),
      node: settings.node,
      backing: settings.backingIdentity,
      epochAtLeast: this.going.epochAtLeast,
    })
  }

  /** S2 for this node: its lock is ours, so its earlier engines are gone with all their I/O (5.3). */
  private async fenceOwn(): Promise<'done' | 'lost'> {
    const entry = this.record.unfenced[0]
    if (entry === undefined) return 'done'
    return doneIf(await this.client.change('fence', (record) => fenced(record, entry, 'lock')))
  }

  /** S4: the new log, durable beside the old one: an adopted tail under a new name, or an empty log. */
  private async makeLog(): Promise<void> {
    const { record } = this
    // A predecessor may have acknowledged writes from the backing that nobody has flushed yet; in write-back a flush of
    // the user costs nothing because all of that is durable.
    await this.flushForUsers(record)
    this.newLogUuid = record.epoch.toString(16).padStart(16, '0') + this.hex(8)
    if (this.replayed !== null) {
      const { journal } = this.replayed
      const pendingLineage = { logUuid: this.newLogUuid, firstBatchSeq: journal.lastBatchSeq + 1 }
      await durable((done) => journal.updateSuperblock({ pendingLineage }, done))
      this.journal = journal
      return
    }
    this.replayed = await this.formatLog(record)
    this.journal = this.replayed.journal
  }

  private async formatLog(record: RegisterRecord): Promise<Replayed> {
    const { ports, settings } = this
    const previous = this.input?.cache
    const keep = previous?.kind === 'forebay' && !this.going.formatCache ? previous : null
    const superblock: NewJournal = {
      volumeUuid: record.volumeUuid,
      volumeName: settings.volume,
      storeUuid: keep?.storeUuid ?? this.hex(16),
      incarnation: (keep?.incarnation ?? 0) + 1,
      registerNonce: record.registerNonce,
      geometry: newGeometry(settings.cacheBytes, settings.logBytes, settings.batchLimits),
      sectorBytes: settings.sectorBytes,
      resource: settings.resource,
      backing: settings.backingIdentity,
      logUuid: this.newLogUuid,
      wallMs: ports.clock.wallMs(),
      epoch: record.epoch,
      run: 0,
      registerRecord: encodeRecord(record),
      begin: { batchSeq: 1, seq: record.lastSeq + 1, previousHash: 0n },
    }
    const written = await formatJournal({ storage: ports.cache, memory: ports.memory, superblock })
    return this.replayLog(written, record)
  }

  /** S5: the register names the new log, and the volume serves. */
  private async ownLog(): Promise<'done' | 'lost'> {
    const { settings } = this
    const replayed = this.replayed as Replayed
    const { journal } = replayed
    const { storeUuid, incarnation } = journal.superblock
    const member: Member = { node: settings.node, storeUuid, incarnation }
    const dirty = !journal.isEmpty
    const phase = settings.writePolicy === 'write-back' ? 'WriteBack' : dirty ? 'DrainWT' : 'WriteThrough'
    const { kind, takeBacking } = this.going
    const lossAccepted = kind === 'open-discard' || settings.acceptDataLoss === settings.volume
    this.edges.paused = phase !== 'WriteBack'
    return doneIf(
      await this.client.change('own-log', (record) =>
        ownLog(record, {
          logUuid: this.newLogUuid,
          members: [member],
          phase,
          // A log that lost its end goes on from there: more was acknowledged once, but not of what is left.
          lastSeq: lossAccepted ? journal.lastSeq : Math.max(journal.lastSeq, record.lastSeq),
          lossAccepted,
          unreachable: [],
          ...(takeBacking ? { backing: settings.backingIdentity } : {}),
        }),
      ),
    )
  }

  /** S6. */
  private async serve(): Promise<Opened> {
    const { record } = this
    const replayed = this.replayed as Replayed
    const { journal } = replayed
    const { lineage, epoch, run } = journal.superblock
    journal.setOwnership({ epoch, run, logUuid: currentLogUuid(lineage) })
    await this.ports.doubts.clear('superblock')
    // The users of an earlier holder are gone, and with them what they were owed.
    if (this.settings.start === 'first') await this.ports.doubts.clear('flush')
    return this.build(replayed, record)
  }

  /** A new engine under the same holder: goes on in the same epoch where the restart table allows it (§3). */
  async restart(): Promise<Opened> {
    const probe = await probeCache(this.ports.cache, this.ports.memory)
    const cache = summaryOf(probe)
    if (cache.kind !== 'forebay' || probe.kind !== 'forebay') return this.open()
    const store: Member = { node: this.settings.node, storeUuid: cache.storeUuid, incarnation: cache.incarnation }
    // A damaged slot may have held a newer intent (rule 1.3); a register that moved on knows more than this cache.
    const settled = probe.damagedSlots > 0 || (await this.registerMovedOn(cache)) ? null : cache.settled
    const superblock = { store, settled, intent: cache.intent }
    const { label, decision } = restartDecision({ sameHolder: true, predecessorReaped: true, superblock })
    this.ports.log.event('engine.restart.decided', { row: label, decision })
    if (decision === 'resume' || decision === 'resume-closing') {
      this.client.adopt(settled as RegisterRecord)
      return this.resume(probe.superblock)
    }
    if (decision !== 'settle-first') return this.open()
    // The intent names a change of this epoch: moving the version decides it, then the table is asked again.
    await this.client.read()
    if ((await this.client.settle(cache.intent as RegisterIntent)) === 'fenced') throw this.lostError()
    const record = this.record
    const again = restartDecision({
      sameHolder: true,
      predecessorReaped: true,
      superblock: { store, settled: record, intent: null },
    })
    return again.decision === 'resume' || again.decision === 'resume-closing'
      ? this.resume(probe.superblock)
      : this.open()
  }

  /**
   * The register knows more than this cache: of a newer epoch, whose opening did not get as far as the superblock, or
   * of changes after the cache device could not be written any more. Its log may then be void (dirty=false is settled
   * and newer writes are on the backing), so that only an open may decide. An unreachable register counts as no where
   * every intent could be left here; otherwise there is no way on without it, and `retry` is thrown.
   */
  private async registerMovedOn({ settled, intent }: ForebayCache): Promise<boolean> {
    try {
      const record = await this.ports.register.read()
      if (record === null || settled === null || record.epoch < settled.epoch) return false
      const rvKnown = settled.rv + (intent === null ? 0 : 1)
      return record.epoch > settled.epoch || record.rv > rvKnown
    } catch (error) {
      if (this.ports.doubts.has('superblock')) throw error
      return false
    }
  }

  /** Next run of the same epoch (3.2). */
  private async resume(superblock: Replayed['journal']['superblock']): Promise<Opened> {
    const replayed = await this.replayLog(superblock, this.client.record)
    this.replayed = replayed
    this.journal = replayed.journal
    const { journal } = replayed
    const { record } = this
    const pending = journal.superblock.pendingLineage
    const promoted =
      pending !== null && pending.logUuid === record.logUuid
        ? promotePending(journal.superblock)
        : { pendingLineage: null }
    this.edges.paused = record.phase !== 'WriteBack'
    const changes = { ...promoted, run: journal.superblock.run + 1, intent: '', registerRecord: encodeRecord(record) }
    await durable((done) => journal.updateSuperblock(changes, done))
    journal.setOwnership({
      epoch: journal.superblock.epoch,
      run: journal.superblock.run,
      logUuid: currentLogUuid(journal.superblock.lineage),
    })
    // What was acknowledged from the backing before the crash, and not flushed, is so before the device may be told
    // that flushes are not needed.
    await this.flushForUsers(record)
    await this.ports.doubts.clear('superblock')
    return this.build(replayed, record)
  }

  /** A flush that fails may have dropped what the engine before has acknowledged: its users must hear of it. */
  private async flushForUsers({ phase, previousPhase }: RegisterRecord): Promise<void> {
    const error = await once((done) => this.backing.flush(done))
    if (error === null) return
    // In write-back everything acknowledged is in the log.
    if ((phase === 'Opening' ? previousPhase : phase) !== 'WriteBack') await this.ports.doubts.raise('flush')
    throw error
  }

  private build(replayed: Replayed, record: RegisterRecord): Opened {
    this.serving = true
    const { ports, settings } = this
    const { journal, tables } = replayed
    const core = new EngineCore({
      ports,
      settings,
      journal,
      backing: this.backing,
      index: tables.index,
      zeros: tables.zeros,
      readCache: tables.readCache,
      slotsStart: tables.slotsStart,
      phase: record.phase === 'Closing' ? 'WriteThrough' : record.phase,
      epoch: record.epoch,
      run: journal.superblock.run,
      sizeBytes: roundDown(this.backing.sizeBytes, settings.sectorBytes),
      recordBlocksMax: tables.recordBlocksMax,
    })
    core.committedSeq = journal.lastSeq
    core.committedBatchSeq = journal.lastBatchSeq
    core.recordBlocks = replayed.recordBlocks
    core.resendPending = settings.start === 'restart'
    if (core.dirty) {
      const age = replayed.oldestWallMs === null ? 0 : Math.max(0, ports.clock.wallMs() - replayed.oldestWallMs)
      core.oldestDirtyAtMs = Math.max(0, ports.clock.monotonicMs() - age)
    }
    if (core.phase === 'DrainWT' || core.phase === 'WriteThrough') core.reason = 'policy write-through'
    return { core, client: this.client, edges: this.edges, recovered: this.recovered }
  }

  private async storeIntent(intent: RegisterIntent): Promise<void> {
    const { journal } = this
    if (journal === null) return
    if (journal.failed !== null) {
      await this.ports.doubts.raise('superblock')
      return
    }
    await durable((done) => journal.updateSuperblock({ intent: JSON.stringify(intent) }, done))
  }

  private async storeSettled(record: RegisterRecord): Promise<void> {
    const { journal } = this
    if (journal === null || journal.failed !== null) return
    const { superblock } = journal
    const resized = record.backing.sizeBytes !== superblock.backing.sizeBytes
    const becomesOwner = superblock.pendingLineage?.logUuid === record.logUuid
    const firstRun = superblock.epoch !== record.epoch || superblock.run === 0
    const error = await once((done) =>
      journal.updateSuperblock(
        {
          registerRecord: encodeRecord(record),
          intent: '',
          wallMs: this.ports.clock.wallMs(),
          backing: record.backing,
          ...(becomesOwner ? promotePending(superblock) : {}),
          ...(firstRun && record.phase !== 'Opening' ? { epoch: record.epoch, run: 1 } : {}),
          // Hashes of a last MiB that was somewhere else, or of blocks that through-writes may change.
          ...(this.edges.paused || resized ? { edgeHashes: new Uint32Array(superblock.edgeHashes.length) } : {}),
        },
        done,
      ),
    )
    // While the volume serves, whoever asked for the change looks at the journal and goes on without the cache device.
    if (error !== null && !this.serving) throw error
  }

  private lostError(): CacheError {
    return new CacheError('fenced', 'CACHE_FENCED', `another owner was faster volume=${this.settings.volume}`, {
      remedy: 'Look which node serves the volume; nothing was changed here.',
    })
  }

  private hex(bytes: number): string {
    const buffer = Buffer.alloc(bytes)
    this.ports.random.fill(buffer)
    return buffer.toString('hex')
  }
}

/** A superblock write or a flush that must succeed for the opening to go on. */
async function durable(call: Parameters<typeof once>[0]): Promise<void> {
  const error = await once(call)
  if (error !== null) throw error
}

function doneIf(result: 'applied' | 'fenced'): 'done' | 'lost' {
  return result === 'applied' ? 'done' : 'lost'
}

function summaryOf(probe: Awaited<ReturnType<typeof probeCache>>): CacheSummary {
  if (probe.kind !== 'forebay') return { kind: probe.kind }
  const { superblock } = probe
  return {
    kind: 'forebay',
    volume: superblock.volumeName,
    volumeUuid: superblock.volumeUuid,
    registerNonce: superblock.registerNonce,
    storeUuid: superblock.storeUuid,
    incarnation: superblock.incarnation,
    epoch: superblock.epoch,
    logUuids: [...superblock.lineage, ...(superblock.pendingLineage === null ? [] : [superblock.pendingLineage])].map(
      (entry) => entry.logUuid,
    ),
    settled: settledRecord(superblock.registerRecord),
    intent: superblock.intent === '' ? null : (JSON.parse(superblock.intent) as RegisterIntent),
  }
}

/** The record in the superblock; null where there is none. Its checksum is inside the superblock's own. */
function settledRecord(line: string): RegisterRecord | null {
  if (line === '') return null
  const decoded = decodeRecord(line)
  if ('record' in decoded) return decoded.record
  throw new CacheError(
    'corrupt',
    'CACHE_SUPERBLOCK_RECORD',
    `the superblock holds no legal register record: ${decoded.problems.join('; ')}`,
  )
}
