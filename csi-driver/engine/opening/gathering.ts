// S2 and S3 of PROTOCOL.md: does what protocol/gather-table.ts says next, until the claimant holds the log that it may
// own, or knows that there is nothing to hold: every older engine fenced, the stores sealed, the newest log found.
import { assert } from '../../../base/assert.ts'
import { CacheError, IoError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import {
  type FenceProof,
  type GatherInput,
  type GatherStep,
  gatherStep,
  type MemberView,
  predecessorOff,
} from '../../protocol/gather-table.ts'
import { blockedText, needOffText } from '../../protocol/gather-messages.ts'
import { fenced } from '../../protocol/register-transitions.ts'
import type { StoredLog } from '../../protocol/stored-log.ts'
import { type Member, type RegisterRecord, sameMember, type Unfenced } from '../../register/record.ts'
import { promotePending } from '../../journal/journal.ts'
import type { OpeningParts } from './opening-parts.ts'
import type { OtherCopies, OtherCopy, Sealing } from './other-copies.ts'

/**
 * Before a volume is said to be blocked, a store that does not answer is asked again for so long: its process may be
 * starting, or its host be busy.
 */
export const ASK_AGAIN_MS: Ms = 10_000
const ASK_AGAIN_PAUSE_MS: Ms = 1_000

/** lost: a newer claim was faster. */
export type Gathered = 'own' | 'copied' | 'empty' | 'given-up' | 'lost'

export class Gathering {
  private readonly parts: OpeningParts
  private readonly others: OtherCopies
  private readonly proofs: FenceProof[] = []
  private readonly damaged = new Set<string>()
  private contacted = false
  /** When asking again ends; null: nobody was asked again. */
  private againUntilMs: Ms | null = null
  /** The own log was found damaged before the claim. */
  ownDamaged = false
  /** The user has given up what is dirty: nothing is gathered, whoever holds it. */
  discards = false

  constructor(parts: OpeningParts, others: OtherCopies) {
    this.parts = parts
    this.others = others
  }

  /** Rejects with CacheError `corrupt` where acknowledged writes cannot be had, `invalid` where nothing was fenced. */
  async run(): Promise<Gathered> {
    for (;;) {
      const step = gatherStep(this.input())
      this.parts.ports.log.event('engine.open.gather', { step: step.step, row: step.label })
      // oxlint-disable-next-line eslint/no-await-in-loop -- the steps follow one another
      const end = await this.take(step)
      if (end !== null) return end
    }
  }

  /** Null: ask the table again. */
  private async take(step: GatherStep): Promise<Gathered | null> {
    const { settings } = this.parts
    switch (step.step) {
      case 'get-evidence':
        await this.getEvidence(step.entry)
        return null
      case 'seal':
      case 'wait':
        await this.contact()
        return null
      case 'revoke':
        throw new Error('nothing has to be revoked')
      case 'need-off': {
        const { code, message, remedy } = needOffText(settings.volume, step.entries)
        throw new CacheError('invalid', code, message, { remedy })
      }
      case 'ask-again':
        await this.askAgain()
        return null
      case 'blocked': {
        const { code, message, remedy } = blockedText(step, { volume: settings.volume, ...settings.atStake })
        throw new CacheError('corrupt', code, message, { remedy })
      }
      case 'remove-entry':
        return this.removeEntry(step.entry, step.evidence)
      case 'promote':
        await this.promote(step.member, step.own)
        return null
      case 'take':
        return this.discards ? 'given-up' : this.takeLog(step)
      case 'start-empty':
        return 'empty'
      case 'give-up':
        return 'given-up'
    }
  }

  private get record(): RegisterRecord {
    const { record } = this.parts.client
    if (record === null) throw new Error('the register was read')
    return record
  }

  private input(): GatherInput {
    const { settings } = this.parts
    return {
      record: this.record,
      node: settings.node,
      proofs: this.proofs,
      members: this.record.members.map((member) => this.viewOf(member)),
      // An engine whose volume may be clean and is alone reads from the backing where others share its register, so that
      // the fence stops its reads as well (EngineCore.mayReadCache): there is nothing to revoke (docs/decisions/0007).
      revoked: true,
      lossAccepted: this.discards || settings.acceptDataLoss === settings.volume,
      mayAskAgain: this.mayAskAgain,
    }
  }

  private viewOf(member: Member): MemberView {
    const { own } = this.parts
    if (own.store !== null && sameMember(own.store, member)) {
      const damaged = this.ownDamaged || this.damaged.has(member.storeUuid)
      return { member, own: true, found: own.store, answer: 'granted', log: damaged ? null : own.storedLog, damaged }
    }
    const damaged = this.damaged.has(member.storeUuid)
    const copy = this.others.reached.find((reached) => sameMember(reached.member, member))
    if (copy === undefined) {
      return { member, own: false, found: null, answer: this.contacted ? 'gone' : 'silent', log: undefined, damaged }
    }
    const { log } = copy.session.state
    return { member, own: false, found: copy.session.store, answer: 'granted', log, damaged }
  }

  /** The own lock proves that every earlier engine here is gone with its I/O (5.3); others take the fence. */
  private async getEvidence(entry: Unfenced): Promise<void> {
    const { ports, settings } = this.parts
    if (entry.node === settings.node) {
      this.proofs.push({ ...entry, evidence: 'lock' })
      return
    }
    ports.log.event('engine.open.fencing', { node: entry.node, epoch: entry.epoch })
    const evidence = await ports.fence.fence(settings.volume, entry)
    ports.log.event('engine.open.fenced', { node: entry.node, epoch: entry.epoch, evidence })
    this.proofs.push({ ...entry, evidence })
  }

  /** HELLO and SEAL to every other member; one that does not answer in time is gone. */
  private async contact(): Promise<void> {
    if (this.contacted) throw new Error('every member has answered or is gone')
    // A host that is proven off answers nobody.
    const isOff = ({ node }: Member): boolean =>
      this.proofs.some((proof) => proof.node === node && proof.evidence === 'off')
    const others = this.parts.othersOf(this.record)
    for (const member of others.filter(isOff)) this.others.skip(member)
    const members = others.filter((member) => !isOff(member))
    await this.others.contact(this.record, { members, purpose: 'opener', run: 0, seal: this.sealing })
    this.contacted = true
  }

  private get sealing(): Sealing {
    return { predecessorOff: predecessorOff({ record: this.record, proofs: this.proofs }) }
  }

  private get mayAskAgain(): boolean {
    const { againUntilMs } = this
    const isTime = againUntilMs === null || this.parts.ports.clock.monotonicMs() < againUntilMs
    return isTime && this.others.missedNodes.length > 0
  }

  private async askAgain(): Promise<void> {
    const { clock, timers, log } = this.parts.ports
    if (this.againUntilMs === null) {
      this.againUntilMs = clock.monotonicMs() + ASK_AGAIN_MS
      const nodes = this.others.missedNodes.join(',')
      log.event('engine.open.asking_again', { nodes, limitMs: ASK_AGAIN_MS }, 'warning')
    }
    await new Promise<void>((resolve) => void timers.after(ASK_AGAIN_PAUSE_MS, resolve))
    await this.others.contactMissed(this.record, this.sealing)
  }

  private async removeEntry(entry: Unfenced, evidence: FenceProof['evidence']): Promise<'lost' | null> {
    const result = await this.parts.client.change('fence', (record) => fenced(record, entry, evidence))
    return result === 'applied' ? null : 'lost'
  }

  /** 5.1: the register names what is pending here, so it is in force. */
  private async promote(member: Member, own: boolean): Promise<void> {
    const { own: cache } = this.parts
    if (!own) {
      const copy = this.copyOf(member)
      await copy.session.promote(this.record.logUuid)
      await copy.session.refresh()
      return
    }
    cache.journal = cache.replayed?.journal ?? null
    await cache.change(promotePending(cache.superblockNow))
  }

  private copyOf(member: Member): OtherCopy {
    const copy = this.others.reached.find((reached) => sameMember(reached.member, member))
    if (copy === undefined) throw new Error('a reached member was chosen')
    return copy
  }

  private async takeLog(step: GatherStep & { readonly step: 'take' }): Promise<Gathered | null> {
    const { own, ports } = this.parts
    if (step.missingSeqs > 0) {
      ports.log.event('engine.open.loss_accepted', { records: step.missingSeqs, node: step.member.node }, 'warning')
    }
    if (step.own) {
      own.journal = own.replayed?.journal ?? null
      return 'own'
    }
    const copy = this.copyOf(step.member)
    const { state } = copy.session
    try {
      const of = state.log as StoredLog
      // What stands here is worth keeping until the copy is known to be whole: perhaps it can be read again one day.
      if (this.ownDamaged) await this.others.check(of, copy)
      const replayed = await own.makeLog(this.record, { kind: 'copy', of }, false)
      const { journal } = replayed
      await this.others.fetchInto(journal, copy, {
        writes: 'runs',
        onPlaced: (view, position) => replayed.apply(view, position + view.payloadOffset),
      })
      assert(journal.lastCompleteBatchSeq === of.lastBatchSeq, `the whole log was copied batches=${of.lastBatchSeq}`)
      await own.copyEnds(this.record)
      return 'copied'
    } catch (error) {
      if (error instanceof IoError) throw cacheFailedError(step.member, error)
      if (!(error instanceof CacheError) || error.kind !== 'corrupt') throw error
      ports.log.event('engine.open.copy_damaged', { node: step.member.node, reason: error.message }, 'warning')
      this.damaged.add(step.member.storeUuid)
      return null
    }
  }
}

function cacheFailedError({ node }: Member, cause: IoError): CacheError {
  const message = `the log of another node cannot be copied into the cache reason="${cause.message}"`
  return new CacheError('invalid', 'CACHE_DEVICE_FAILED', message, {
    remedy: `Give another device or file with --cache and start again: the copy on ${node} is intact.`,
    cause,
  })
}
