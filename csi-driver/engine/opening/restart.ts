// A new engine under the same holder: goes on in the same epoch where protocol/restart-table.ts allows it (PROTOCOL.md
// §3), with the next run number; else it opens the volume anew. The log is the longest of all copies, the trim the
// largest, and all copies are made equal before anything is served.
import { CacheError } from '../../../base/errors.ts'
import { currentLogUuid, type Journal, promotePending } from '../../journal/journal.ts'
import type { ForebayCache } from '../../protocol/open-facts.ts'
import { restartDecision } from '../../protocol/restart-table.ts'
import type { Member, RegisterRecord } from '../../register/record.ts'
import { encodeRecord } from '../../register/record-codec.ts'
import type { RegisterIntent } from '../../register/settlement.ts'
import type { Replayed } from '../replay.ts'
import type { Opened, OpeningParts } from './opening-parts.ts'
import { OtherCopies } from './other-copies.ts'
import { Resuming } from './resuming.ts'
import { VolumeOpening } from './volume-opening.ts'

export class EngineRestart {
  private readonly parts: OpeningParts
  private readonly others: OtherCopies

  constructor(parts: OpeningParts) {
    this.parts = parts
    this.others = new OtherCopies(parts.ports, parts.settings)
  }

  async restart(): Promise<Opened> {
    const { own, client, ports } = this.parts
    const cache = await own.look()
    // What stands at the path may be of another volume by now: the open says so.
    if (cache.kind !== 'forebay' || cache.volume !== this.parts.settings.volume) return this.openAnew()
    const store = own.store as Member
    // A damaged slot may have held a newer intent (rule 1.3); a register that moved on knows more than this cache.
    const settled = own.damagedSlots > 0 || (await this.registerMovedOn(cache)) ? null : cache.settled
    const superblock = { store, settled, intent: cache.intent }
    const { label, decision } = restartDecision({ sameHolder: true, predecessorReaped: true, superblock })
    ports.log.event('engine.restart.decided', { row: label, decision })
    if (decision === 'resume' || decision === 'resume-closing') {
      client.adopt(settled as RegisterRecord)
      return this.resume()
    }
    if (decision === 'moved') throw this.parts.lostError()
    if (decision !== 'settle-first') return this.openAnew()
    // The intent names a change of this epoch: moving the version decides it, then the table is asked again.
    await client.read()
    if ((await client.settle(cache.intent as RegisterIntent)) === 'fenced') throw this.parts.lostError()
    const again = restartDecision({
      sameHolder: true,
      predecessorReaped: true,
      superblock: { store, settled: client.record, intent: null },
    })
    if (again.decision === 'moved') throw this.parts.lostError()
    return again.decision === 'resume' || again.decision === 'resume-closing' ? this.resume() : this.openAnew()
  }

  private openAnew(): Promise<Opened> {
    return new VolumeOpening(this.parts).open()
  }

  /**
   * The register knows more than this cache: of a newer epoch, whose opening did not get as far as the superblock, or
   * of changes after the cache device could not be written any more. Its log may then be void (dirty=false is settled
   * and newer writes are on the backing), so that only an open may decide. An unreachable register counts as no where
   * every intent could be left here; otherwise there is no way on without it, and `retry` is thrown.
   */
  private async registerMovedOn({ settled, intent, registerNonce }: ForebayCache): Promise<boolean> {
    const { ports } = this.parts
    const doubtful = ports.doubts.has('superblock')
    const record = await ports.register.read().catch((error: unknown) => {
      if (doubtful) throw error
      return null
    })
    // No record, or an old one, may be a directory that is not mounted: it says nothing about what the superblock missed.
    if (doubtful && (record === null || record.registerNonce !== registerNonce || record.rv < (settled?.rv ?? 0))) {
      throw new CacheError('retry', 'CACHE_REGISTER_UNAVAILABLE', 'the register shows less than this cache knows', {
        remedy: 'Check that the directory of the registers (--register, --state-dir) is mounted and start again.',
      })
    }
    if (record === null || settled === null || record.epoch < settled.epoch) return false
    const rvKnown = settled.rv + (intent === null ? 0 : 1)
    return record.epoch > settled.epoch || record.rv > rvKnown
  }

  /** Next run of the same epoch (3.2). */
  private async resume(): Promise<Opened> {
    const { own, client, edges, ports } = this.parts
    this.refuseOtherBacking()
    const replayed = await this.parts.readOwnLog(client.record)
    if (replayed === null) return this.openAnew()
    own.journal = replayed.journal
    edges.paused = client.record?.phase !== 'WriteBack'
    const run = replayed.journal.superblock.run + 1
    try {
      if (!(await new Resuming(this.parts, this.others).run(run))) return await this.openAnew()
      const { record } = client
      if (record === null) throw new Error('the register was read')
      await this.ownNextRun(record, run)
      // What was acknowledged from the backing before the crash, and not flushed, is so before the device may be told
      // that flushes are not needed.
      await this.parts.flushForUsers(record)
      await ports.doubts.clear('superblock')
      return this.parts.build(own.replayed as Replayed, record)
    } finally {
      await this.others.close()
    }
  }

  /**
   * A name of a device may be that of another one by now, and the settings may have been edited since the holder was
   * started: what is dirty here would be written over somebody else's data. Looked at again with the next engine.
   */
  private refuseOtherBacking(): void {
    const { client, settings } = this.parts
    const was = client.record?.backing
    const is = settings.backingIdentity
    if (was?.kind === is.kind && was.id === is.id && was.sizeBytes <= is.sizeBytes) return
    const sizes = `servedBytes=${was?.sizeBytes ?? 0} foundBytes=${is.sizeBytes}`
    const message = `the backing is not the one that the volume was served from served=${was?.id ?? ''} found=${is.id} ${sizes}`
    throw new CacheError('retry', 'CACHE_BACKING_OTHER', message, {
      remedy: 'Bring the former one back under its name; until then requests wait. What is dirty is safe in the cache.',
    })
  }

  private async ownNextRun(record: RegisterRecord, run: number): Promise<void> {
    const { own } = this.parts
    const journal = own.journal as Journal
    const pending = journal.superblock.pendingLineage
    const promoted =
      pending !== null && pending.logUuid === record.logUuid
        ? promotePending(journal.superblock)
        : { pendingLineage: null }
    await own.change({ ...promoted, run, intent: '', registerRecord: encodeRecord(record) })
    const { epoch, lineage } = journal.superblock
    journal.setOwnership({ epoch, run: journal.superblock.run, logUuid: currentLogUuid(lineage) })
  }
}

/** Throws CacheError: `corrupt` where acknowledged writes may be lost, `fenced` when somebody else owns the volume. */
export function restartVolume(parts: OpeningParts): Promise<Opened> {
  return new EngineRestart(parts).restart()
}
