// Keeps the in-sync set what the policy asks for: hears from the replicator how its peers fare, asks
// protocol/membership-table.ts what to do next, and carries it out, one change at a time. A member that does not answer
// is removed in the register before anything is acknowledged without it (2.2); a learner is waited for before the
// register lists it (4.2).
import type { Timer } from '../../../base/clock.ts'
import type { Ms } from '../../../base/units.ts'
import { addMember, removeMember } from '../../protocol/register-transitions.ts'
import { type Member, sameMember } from '../../register/record.ts'
import type { RegisterClient } from '../../register/register-client.ts'
import type { Replicator, ReplicatorEvent } from '../../replica/replicator.ts'
import { policyMet } from './copies-wanted.ts'
import type { EngineCore } from '../engine-core.ts'
import type { PhaseControl } from '../phase-control.ts'
import type { ReplicationSettings } from '../volume-settings.ts'

/** Damping and pauses end without an event: looked at this often. Also when a lease that ran out is back. */
const TICK_MS: Ms = 250

export interface MembershipHost {
  readonly core: EngineCore
  readonly client: RegisterClient
  readonly phases: PhaseControl
  /** Requests that waited for the end of a freeze or for a lease may go on. */
  release(): void
}

export class Membership {
  private readonly host: MembershipHost
  private readonly replicator: Replicator
  private readonly settings: ReplicationSettings
  private timer: Timer | null = null
  private acting = false
  private readonly late = new Set<string>()
  private stopped = false

  constructor(host: MembershipHost, replicator: Replicator, settings: ReplicationSettings) {
    this.host = host
    this.replicator = replicator
    this.settings = settings
    replicator.onChange = (event) => this.onChange(event)
  }

  start(): void {
    this.waitForListed()
    this.replicator.setPeers(this.settings.peers)
    this.replicator.start()
    this.tick()
  }

  stop(): void {
    this.stopped = true
    this.timer?.cancel()
  }

  private onChange(event: ReplicatorEvent): void {
    if (this.stopped) return
    const { kind, ...details } = event
    this.host.core.ports.log.event(`engine.peer_${kind.replaceAll('-', '_')}`, { ...details } as never)
    if (event.kind === 'late' || event.kind === 'lost-content') this.late.add(event.member.storeUuid)
    if (event.kind === 'fenced') this.host.phases.fence(`a newer owner was seen by the store of ${event.node}`)
    else void this.act()
    this.host.release()
  }

  private tick(): void {
    this.timer = this.host.core.ports.timers.after(TICK_MS, () => {
      if (this.stopped) return
      if (this.host.core.mayAnswer) this.host.release()
      void this.act()
      this.tick()
    })
  }

  /** Carries out one decision after the other until there is none. */
  private async act(): Promise<void> {
    if (this.acting) return
    this.acting = true
    try {
      while (!this.stopped && (await this.next())) {
        // One change at a time: each looks at what the one before has made of the set.
      }
    } finally {
      this.acting = false
    }
  }

  /** True: something was changed, ask again. */
  private async next(): Promise<boolean> {
    const { core, client, phases } = this.host
    const { record } = client
    if (record === null || core.frozen > 0) return false
    const others = record.members.filter(({ node }) => node !== core.settings.node)
    const late = others.find((member) => this.late.has(member.storeUuid))
    if (late !== undefined) {
      this.late.delete(late.storeUuid)
      await this.remove(late)
      return true
    }
    const met = policyMet(core.settings, record.members)
    if (!met) {
      if (phases.degraded === null) void phases.degrade('too few copies').catch(() => undefined)
      for (const peer of this.replicator.peers()) {
        if (peer.state === 'joined') {
          await this.add(peer.node)
          return true
        }
        if (peer.state === 'candidate') this.replicator.learn(peer.node)
      }
    } else if (phases.degraded !== null) void phases.restore().catch(() => undefined)
    return false
  }

  private async remove(member: Member): Promise<void> {
    const { core, client, phases } = this.host
    core.frozen += 1
    try {
      await phases.changeRegister('remove-member', (record) =>
        record.members.some((listed) => sameMember(listed, member)) ? removeMember(record, member) : record,
      )
      this.waitForListed()
    } finally {
      core.frozen -= 1
      this.host.release()
    }
  }

  private async add(node: string): Promise<void> {
    const { client, phases } = this.host
    const member = this.replicator.joinedMember(node)
    const { record } = client
    if (member === null || record === null) return
    // Waited for, with its lease, from before the change is sent (1.2).
    this.replicator.waitFor([...record.members, member])
    try {
      await phases.changeRegister('add-member', (current) => addMember(current, member))
    } finally {
      this.waitForListed()
    }
  }

  private waitForListed(): void {
    const { record } = this.host.client
    if (record !== null) this.replicator.waitFor(record.members)
  }
}
