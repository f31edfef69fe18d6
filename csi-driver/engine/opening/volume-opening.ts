// Opens a volume under a new holder: carries out the step machine of protocol/open-steps.ts, S0 to S6. Everything is
// decided before anything is changed; what is changed before the volume serves can be repeated from the start
// (PROTOCOL.md 5.2). A restart under the same holder is in restart.ts, the own cache in own-cache.ts, the copies of
// other nodes in other-copies.ts.
import { CacheError } from '../../../base/errors.ts'
import { currentLogUuid, type Journal } from '../../journal/journal.ts'
import { membersOfNewLog } from '../../protocol/gather-table.ts'
import { type OpenInput, ownLogCounts } from '../../protocol/open-facts.ts'
import { nextOpenStep, type OpenStep } from '../../protocol/open-steps.ts'
import { openDecision, type OpenGo } from '../../protocol/open-table.ts'
import { claim, createVolume, ownLog } from '../../protocol/register-transitions.ts'
import type { RegisterRecord } from '../../register/record.ts'
import type { Replayed } from '../replay.ts'
import { type Gathered, Gathering } from './gathering.ts'
import type { Opened, OpeningParts } from './opening-parts.ts'
import { OtherCopies } from './other-copies.ts'
import { beginPreviousCache } from '../previous-cache/begin-previous.ts'
import { policyMet } from '../replication/copies-wanted.ts'
import { randomHex } from './own-cache.ts'

export class VolumeOpening {
  private readonly parts: OpeningParts
  private readonly others: OtherCopies
  private readonly gathering: Gathering
  private go: OpenGo | null = null
  /** The record that the claim has replaced; null where the volume is new. */
  private base: RegisterRecord | null = null
  private newLogUuid = ''
  private gathered: Gathered = 'empty'

  constructor(parts: OpeningParts) {
    this.parts = parts
    this.others = new OtherCopies(parts.ports, parts.settings)
    this.gathering = new Gathering(parts, this.others)
  }

  /** S0 to S6. Throws CacheError; what was changed until then is what the next attempt begins with. */
  async open(): Promise<Opened> {
    let step: OpenStep | 'serve' | 'stop' = 'read'
    try {
      while (step !== 'serve') {
        if (step === 'stop') throw this.parts.lostError()
        // oxlint-disable-next-line eslint/no-await-in-loop -- the steps follow one another
        const outcome = await this.take(step)
        step = nextOpenStep({ step, outcome, kind: this.going.kind }).next
      }
      return await this.serve()
    } finally {
      await this.others.close()
    }
  }

  private get going(): OpenGo {
    if (this.go === null) throw new Error('the opening was decided')
    return this.go
  }

  private get record(): RegisterRecord {
    const { record } = this.parts.client
    if (record === null) throw new Error('the register was read')
    return record
  }

  private async take(step: OpenStep): Promise<'done' | 'lost'> {
    switch (step) {
      case 'read':
        await this.decide()
        return 'done'
      case 'create':
        return doneIf(await this.parts.client.create(this.newVolume()))
      case 'claim':
        return this.claim()
      case 'gather':
        this.gathered = await this.gathering.run()
        return this.gathered === 'lost' ? 'lost' : 'done'
      case 'new-log':
        await this.makeLog()
        return 'done'
      case 'own-log':
        return this.ownLog()
    }
  }

  /** S0: looks at register, cache and backing; throws the refusal. Changes nothing. */
  private async decide(): Promise<void> {
    const { settings, ports, client, own } = this.parts
    const record = await client.read()
    const input: OpenInput = {
      volume: settings.volume,
      node: settings.node,
      cachePath: settings.cachePath,
      backingPath: settings.backingPath,
      record,
      cache: await own.look(),
      backing: { identity: settings.backingIdentity, edges: 'same' },
      formatCache: settings.formatCache,
      acceptDataLoss: settings.acceptDataLoss === '' ? null : settings.acceptDataLoss,
      backingChanged: settings.backingChanged,
      takeover: settings.takeover,
      storeNodes: this.others.addressedNodes,
      ...(settings.atStake === undefined ? {} : { atStake: settings.atStake }),
    }
    own.replayed = null
    let decision = openDecision(input)
    if (decision.kind === 'open-gather' && ownLogCounts(input)) {
      const difference = await this.readOwnLog(record)
      if (difference >= 0) decision = openDecision({ ...input, backing: { ...input.backing, edges: 'changed' } })
    }
    if (decision.kind === 'refuse' || decision.kind === 'blocked') {
      const kind = decision.kind === 'blocked' ? 'corrupt' : 'invalid'
      throw new CacheError(kind, decision.code, decision.message, { remedy: decision.remedy })
    }
    ports.log.event('engine.open.decided', { kind: decision.kind, rows: decision.labels.join(' ') })
    this.go = decision as OpenGo
    this.gathering.discards = decision.kind === 'open-discard'
    if (decision.kind !== 'open-gather') own.replayed = null
  }

  /**
   * Replays the own log; returns the first block of the backing that is not what the log was written for, or -1. Where
   * other copies are listed, a damaged own log is no refusal: one of them takes its place.
   */
  private async readOwnLog(record: RegisterRecord | null): Promise<number> {
    const { own, edges } = this.parts
    const replayed = await this.parts.readOwnLog(record)
    if (replayed !== null) return edges.firstDifference(own.superblock.edgeHashes, replayed.tables)
    this.gathering.ownDamaged = true
    return -1
  }

  private newVolume(): RegisterRecord {
    const { settings, ports } = this.parts
    return createVolume({
      volume: settings.volume,
      volumeUuid: randomHex(ports, 16),
      registerNonce: randomHex(ports, 16),
      volumeKey: randomHex(ports, 32),
      node: settings.node,
      backing: settings.backingIdentity,
      epochAtLeast: this.going.epochAtLeast,
    })
  }

  /** S1. */
  private async claim(): Promise<'done' | 'lost'> {
    const { client, settings } = this.parts
    const { epochAtLeast } = this.going
    this.base = this.record
    return doneIf(await client.claim((record) => claim(record, { node: settings.node, epochAtLeast })))
  }

  /** The log that was gathered goes on, on every copy that was reached. */
  private get keeps(): boolean {
    return this.gathered === 'own' || this.gathered === 'copied'
  }

  /** S4: the new name, durable beside the old one on every copy; or an empty log where nothing is to be gathered. */
  private async makeLog(): Promise<void> {
    const { parts, record } = this
    const { own, ports } = parts
    // A predecessor may have acknowledged writes from the backing that nobody has flushed yet; in write-back a flush of
    // the user costs nothing because all of that is durable.
    await parts.flushForUsers(record)
    this.newLogUuid = record.epoch.toString(16).padStart(16, '0') + randomHex(ports, 8)
    if (!this.keeps) {
      await own.makeLog(record, { kind: 'empty', logUuid: this.newLogUuid }, !this.going.formatCache)
      return
    }
    await this.makeEqual()
    await own.namePending(this.newLogUuid)
    const names = { authoritativeLogUuid: record.logUuid, newLogUuid: this.newLogUuid }
    await this.others.prepare(names, own.journal as Journal)
  }

  /** Every copy ends where the own log ends, and begins at the largest trim of all. */
  private async makeEqual(): Promise<void> {
    const { own } = this.parts
    const journal = own.journal as Journal
    const trim = this.others.largestTrim
    if (trim >= journal.superblock.tail.batchSeq) await own.trimTo(this.record, trim)
    await this.others.equalise(own.journal as Journal, 'keep')
  }

  /** S5: the register names the new log, and the volume serves. */
  private async ownLog(): Promise<'done' | 'lost'> {
    const { settings, own, edges, client } = this.parts
    const journal = own.journal as Journal
    const { storeUuid, incarnation } = journal.superblock
    const members = membersOfNewLog(this.keeps ? this.others.members : [], {
      node: settings.node,
      storeUuid,
      incarnation,
    })
    const dirty = !journal.isEmpty
    const writeBack = settings.writePolicy === 'write-back' && policyMet(settings, members)
    const { kind, takeBacking } = this.going
    const lossAccepted =
      kind === 'open-discard' || this.gathered === 'given-up' || settings.acceptDataLoss === settings.volume
    // Of a dirty volume only a drain says that nothing is left anywhere (2.4), also where the own log is empty.
    const drains = dirty || (this.record.dirty && !lossAccepted)
    const phase = writeBack ? 'WriteBack' : drains ? 'DrainWT' : 'WriteThrough'
    edges.paused = phase !== 'WriteBack'
    return doneIf(
      await client.change('own-log', (record) =>
        ownLog(record, {
          logUuid: this.newLogUuid,
          members,
          phase,
          // A log that lost its end goes on from there: more was acknowledged once, but not of what is left.
          lastSeq: lossAccepted ? journal.lastSeq : Math.max(journal.lastSeq, record.lastSeq),
          lossAccepted,
          unreachable: this.others.unreachable,
          ...(takeBacking ? { backing: settings.backingIdentity } : {}),
        }),
      ),
    )
  }

  /** S6. */
  private async serve(): Promise<Opened> {
    const { own, ports, settings } = this.parts
    const replayed = own.replayed as Replayed
    const { journal } = replayed
    const { lineage, epoch, run } = journal.superblock
    journal.setOwnership({ epoch, run, logUuid: currentLogUuid(lineage) })
    if (this.keeps) await this.others.promote(this.newLogUuid)
    await ports.doubts.clear('superblock')
    // The users of an earlier holder are gone, and with them what they were owed.
    if (settings.start === 'first') {
      for (const doubt of ['flush', 'write-back', 'write-through'] as const) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- small files, one after the other
        await ports.doubts.clear(doubt)
      }
    }
    const opened = this.parts.build(replayed, this.record)
    const { base, going, gathering } = this
    // Rule 9: what the user has given up, or put in the place of the backing, no cache knows of.
    if (base !== null && !going.takeBacking && !gathering.discards) beginPreviousCache(opened.core, this.record, base)
    return opened
  }
}

function doneIf(result: 'applied' | 'fenced'): 'done' | 'lost' {
  return result === 'applied' ? 'done' : 'lost'
}
