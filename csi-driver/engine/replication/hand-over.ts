// Gives an open volume to another node that holds an equal copy of its log (PROTOCOL.md §6), as
// protocol/hand-over-table.ts orders it: nothing unanswered, no backing I/O, leases given back, backing closed, then the
// register. The front end has been taken down before. Once the change is sent this engine never serves again.
import { CacheError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import { handOverDecision, type HandOverFacts, handOverText } from '../../protocol/hand-over-table.ts'
import { fenced, handOver } from '../../protocol/register-transitions.ts'
import type { RegisterRecord } from '../../register/record.ts'
import type { Replicator } from '../../replica/replicator.ts'
import type { Destager } from '../destager.ts'
import { once } from '../generation.ts'
import type { MembershipHost } from './membership.ts'

/** How long the preconditions are waited for; the volume is not served meanwhile. */
const READY_LIMIT_MS: Ms = 30_000
const ASK_AGAIN_MS: Ms = 50
/** Backing I/O that has not ended by then hangs: what comes late would come after the new owner's first write. */
const BACKING_LIMIT_MS: Ms = 10_000

export interface HandOverHost extends MembershipHost {
  readonly destager: Destager
  /** Resolves when no write is on its way; writes are held meanwhile. */
  writesQuiet(): Promise<void>
  holdWrites(): () => void
  /** I/O of this engine that has not ended, backing and cache alike. */
  isBusy(): boolean
}

export class HandOver {
  private readonly host: HandOverHost
  private readonly replicator: Replicator

  constructor(host: HandOverHost, replicator: Replicator) {
    this.host = host
    this.replicator = replicator
  }

  /** Whether the volume can be handed over as it stands, perhaps after a short wait. Changes nothing. */
  mayGo(to: string): boolean {
    return !handOverDecision({ ...this.facts(to), backingIo: 'ended' }).then.startsWith('refuse')
  }

  /** Resolves when the volume is `to`'s. Rejects where it is still ours, or where that is not known. */
  async run(to: string): Promise<void> {
    const { core, destager } = this.host
    for (const { node, state } of this.replicator.peers()) {
      if (state === 'joined' || state === 'learning' || state === 'catching-up') this.replicator.forget(node)
    }
    this.host.holdWrites()
    await this.host.writesQuiet()
    const stopped = destager.stop().then(() => true)
    if (!(await Promise.race([stopped, this.pause(BACKING_LIMIT_MS).then(() => false)]))) {
      throw this.error('refuse-backing', to)
    }
    await this.ready(to)
    core.frozen += 1
    await this.replicator.release()
    const error = await once((done) => core.backing.close(done))
    if (error !== null) throw error
    await this.changeOwner(to)
  }

  private async ready(to: string): Promise<void> {
    const { clock } = this.host.core.ports
    const endMs = clock.monotonicMs() + READY_LIMIT_MS
    for (;;) {
      const { label, then } = handOverDecision(this.facts(to))
      if (then === 'hand-over') return
      if (then.startsWith('refuse') || clock.monotonicMs() > endMs) throw this.error(then, to)
      this.host.core.ports.log.event('engine.hand_over.waits', { row: label })
      // oxlint-disable-next-line eslint/no-await-in-loop -- asked again soon
      await this.pause(ASK_AGAIN_MS)
    }
  }

  private facts(to: string): HandOverFacts {
    const { core, client } = this.host
    const joined = this.replicator.peers().some(({ state }) => state === 'joined')
    return {
      phase: core.phase,
      change: client.unsettled === null ? 'none' : 'open',
      newOwner: this.newOwner(to),
      newNodeIo: client.record?.unfenced.some(({ node }) => node === to) ? 'maybe' : 'none',
      joined: joined ? 'some' : 'none',
      drain: 'over',
      writes: 'answered',
      backingIo: this.host.isBusy() ? 'in-flight' : 'ended',
    }
  }

  private newOwner(to: string): HandOverFacts['newOwner'] {
    const { client } = this.host
    if (!client.record?.members.some(({ node }) => node === to)) return 'not-listed'
    const peer = this.replicator.peers().find(({ node }) => node === to)
    if (peer === undefined || peer.state === 'offline') return 'unreachable'
    return peer.state === 'member' && peer.lagBatches === 0 ? 'equal' : 'behind'
  }

  /** The old entry goes at once: the backing was closed before, which is all the evidence that is needed. */
  private async changeOwner(to: string): Promise<void> {
    const { core, client, phases } = this.host
    const { node } = core.settings
    const lastSeq = core.committedSeq
    await phases.changeRegister('hand-over', (record) => handOver(record, { to, lastSeq }))
    core.ports.log.event('engine.handed_over', { to, epoch: (client.record?.epoch ?? 0) - 1 })
    const entry = { node, epoch: core.epoch }
    const isListed = (record: RegisterRecord): boolean =>
      record.unfenced.some((listed) => listed.node === entry.node && listed.epoch === entry.epoch)
    try {
      await client.change('leave', (record) => (isListed(record) ? fenced(record, entry, 'closed') : record))
    } catch (error) {
      // Whoever opens next finds the entry, and fences it: nothing is wrong, only slower.
      const reason = error instanceof Error ? error.message : String(error)
      core.ports.log.event('engine.hand_over.entry_left', { reason }, 'warning')
    }
  }

  private pause(ms: Ms): Promise<void> {
    return new Promise((resolve) => {
      this.host.core.ports.timers.after(ms, resolve)
    })
  }

  private error(answer: Parameters<typeof handOverText>[0] | 'hand-over', to: string): CacheError {
    const { message, remedy } = handOverText(answer === 'hand-over' ? 'wait-writes' : answer, {
      volume: this.host.core.settings.volume,
      to,
    })
    return new CacheError('invalid', 'CACHE_CANNOT_HAND_OVER', message, { remedy })
  }
}
