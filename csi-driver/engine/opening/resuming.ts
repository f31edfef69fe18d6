// RESUME (PROTOCOL.md 3.2): does what protocol/resume-table.ts says next, until every copy of the log is equal to the own
// one: the longest tail adopted, the largest trim taken, whoever cannot follow removed in the register.
import { CacheError } from '../../../base/errors.ts'
import type { Run } from '../../../base/units.ts'
import type { Journal } from '../../journal/journal.ts'
import { degradeMember } from '../../protocol/register-transitions.ts'
import { type ResumeInput, type ResumeMember, type ResumeStep, resumeStep } from '../../protocol/resume-table.ts'
import { type Member, type RegisterRecord, sameMember } from '../../register/record.ts'
import { policyMet } from '../replication/copies-wanted.ts'
import type { OpeningParts } from './opening-parts.ts'
import type { OtherCopies, OtherCopy } from './other-copies.ts'

export class Resuming {
  private readonly parts: OpeningParts
  private readonly others: OtherCopies
  private readonly damaged = new Set<string>()
  private readonly diverging = new Set<string>()
  private ofRun: Run = 0
  private contacted = false

  constructor(parts: OpeningParts, others: OtherCopies) {
    this.parts = parts
    this.others = others
  }

  /** True: the own log is what every listed member holds. False: only an open can say what is left. */
  async run(run: Run): Promise<boolean> {
    this.ofRun = run
    for (;;) {
      const step = resumeStep(this.input())
      this.parts.ports.log.event('engine.restart.resume', { step: step.step, row: step.label })
      if (step.step === 'serve') return true
      if (step.step === 'open') return false
      // oxlint-disable-next-line eslint/no-await-in-loop -- the steps follow one another
      await this.take(step)
    }
  }

  private async take(step: ResumeStep): Promise<void> {
    const { own } = this.parts
    switch (step.step) {
      case 'wait':
        await this.contact()
        return
      case 'promote': {
        const { session } = this.copyOf(step.member)
        await session.promote(this.record.logUuid)
        await session.refresh()
        return
      }
      case 'remove':
        await this.remove(step.member)
        return
      case 'adopt':
        await this.adopt(this.copyOf(step.member))
        return
      case 'trim-own':
        await own.trimTo(this.record, step.before - 1)
        return
      case 'equalise':
        await this.others.equalise(this.journal, 'trim')
        return
      case 'corrupt':
        throw this.differError(step.members)
      case 'serve':
      case 'open':
    }
  }

  private get record(): RegisterRecord {
    const { record } = this.parts.client
    if (record === null) throw new Error('the register was read')
    return record
  }

  private get journal(): Journal {
    const { journal } = this.parts.own
    if (journal === null) throw new Error('the own log was read')
    return journal
  }

  private input(): ResumeInput {
    const { record, journal } = this
    const { storeUuid, incarnation, tail } = journal.superblock
    const { lastBatchSeq, lastHash } = journal
    return {
      record,
      ownStore: { node: this.parts.settings.node, storeUuid, incarnation },
      own: { tail, lastBatchSeq, lastHash, hashAt: (batchSeq) => journal.hashAt(batchSeq) },
      handedOver: false,
      members: this.parts.othersOf(record).map((member) => this.memberOf(member)),
    }
  }

  private memberOf(member: Member): ResumeMember {
    const copy = this.others.reached.find((reached) => sameMember(reached.member, member))
    const damaged = this.damaged.has(member.storeUuid)
    if (copy === undefined) {
      const answer = this.contacted ? 'late' : 'silent'
      return { member, answer, found: null, log: null, damaged, diverges: false }
    }
    const { store, state } = copy.session
    const diverges = this.diverging.has(member.storeUuid)
    return { member, answer: 'welcome', found: store, log: state.log, damaged, diverges }
  }

  private async contact(): Promise<void> {
    const members = this.parts.othersOf(this.record)
    await this.others.contact(this.record, { members, purpose: 'owner', run: this.ofRun })
    this.contacted = true
  }

  private copyOf(member: Member): OtherCopy {
    const copy = this.others.reached.find((reached) => sameMember(reached.member, member))
    if (copy === undefined) throw new Error('a reached member was chosen')
    return copy
  }

  private async adopt(copy: OtherCopy): Promise<void> {
    const { own, ports } = this.parts
    try {
      await this.others.fetchInto(this.journal, copy, { writes: 'one', onPlaced: () => undefined })
    } catch (error) {
      if (!(error instanceof CacheError) || error.kind !== 'corrupt') throw error
      ports.log.event('engine.restart.copy_damaged', { node: copy.member.node, reason: error.message }, 'warning')
      // Another batch under a number of ours is no damage: neither may be overwritten by guess (3.3).
      const marks = error.code === 'CACHE_LOG_DIFFERS' ? this.diverging : this.damaged
      marks.add(copy.member.storeUuid)
    }
    await own.readAgain(this.record)
  }

  private async remove(member: Member): Promise<void> {
    const { client, ports } = this.parts
    ports.log.event('engine.restart.member_removed', { node: member.node, storeUuid: member.storeUuid }, 'warning')
    const result = await client.change('remove-member', (record) =>
      record.members.some((listed) => sameMember(listed, member)) ? this.without(record, member) : record,
    )
    if (result === 'fenced') throw this.parts.lostError()
  }

  /** In write-back only if the policy is still met (4.1). */
  private without(record: RegisterRecord, member: Member): RegisterRecord {
    const left = record.members.filter((listed) => listed !== member)
    const drain = record.phase === 'WriteBack' && !policyMet(this.parts.settings, left)
    if (drain) this.parts.edges.paused = true
    return degradeMember(record, member, { drain })
  }

  private differError(members: readonly Member[]): CacheError {
    const where = members.map(({ node }) => node).join(',')
    return new CacheError(
      'corrupt',
      'CACHE_LOG_DIFFERS',
      `a copy holds another batch under a number of the own log volume=${this.parts.settings.volume} nodes=${where}`,
      { remedy: 'Stop the peer process of one of them and serve again: the volume goes on with the other copies.' },
    )
  }
}
