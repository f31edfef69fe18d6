// Proves: whatever happens to peers and network, a batch is never completed before each member that is waited for has
// acknowledged it under the life of its store that was listed; a learner is never offered for the register before it
// holds everything that was completed; a lease is held only while each member heard a heartbeat within its time; no store
// is ever sent bytes that are not what was sealed (the store checks every frame). When all is healed and what has lost
// its content is removed, everything is completed: nothing hangs. The engine's part (removal, addition) is played here.
import { equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { LEASE_MS } from '../../csi-driver/protocol/lease-times.ts'
import type { Member } from '../../csi-driver/register/record.ts'
import type { ReplicatorEvent } from '../../csi-driver/replica/replicator.ts'
import { Owner } from '../unit/csi-driver/replica/replicator/owner-kit.ts'

const NODES = ['a', 'b', 'c'] as const

type Node = (typeof NODES)[number]

type Action =
  | { kind: 'append'; sectors: number }
  | { kind: 'pass'; ms: number }
  | { kind: 'reset' | 'kill' | 'mute' | 'heal' | 'remove' | 'learn' | 'forget' | 'wipe' | 'lose-tail'; node: Node }
  | { kind: 'cut' | 'cut-back'; node: Node }
  | { kind: 'slow'; node: Node; ms: number }
  | { kind: 'trim'; part: number }
  | { kind: 'burst'; count: number }
  | { kind: 'release' | 'resume' }

const node = fc.constantFrom(...NODES)

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      sectors: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 200 })),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.oneof(fc.nat(3), fc.nat(100), fc.nat(3000)) }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constantFrom('reset' as const, 'kill' as const, 'mute' as const, 'cut' as const, 'cut-back' as const),
      node,
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('heal' as const), node }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), node }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('learn' as const), node }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom('forget' as const, 'wipe' as const, 'lose-tail' as const), node }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('slow' as const), node, ms: fc.oneof(fc.nat(30), fc.nat(3000)) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('burst' as const), count: fc.integer({ min: 2, max: 40 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('trim' as const), part: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('release' as const, 'resume' as const) }) },
)

/** The engine as far as the members go, and everything that must hold. */
class History {
  readonly owner: Owner
  members: Member[]
  private trimming = false
  /** Members whose store lost what it held: the strong invariant is broken for them by the fault itself. */
  private readonly spoilt = new Set<string>()

  constructor(seed: string) {
    this.owner = new Owner(NODES, { seed, windowBytes: 16 * 1024 })
    this.members = []
    this.owner.onCompleted = (batchSeq) => this.checkCompleted(batchSeq)
    this.owner.onEvent = (event) => this.hear(event)
  }

  async begin(): Promise<void> {
    await this.owner.begin(['a', 'b'], 5)
    this.members = this.owner.members(['a', 'b']).slice(1)
  }

  async act(action: Action): Promise<void> {
    const { owner } = this
    if (action.kind === 'append' && !owner.isFlying) owner.append(action.sectors)
    else if (action.kind === 'burst') await this.burst(action.count)
    else if (action.kind === 'pass') await owner.run(action.ms)
    else if (action.kind === 'trim') this.trim(action.part)
    else if (action.kind === 'release') void owner.replicator.release()
    else if (action.kind === 'resume') owner.replicator.resumeLeases()
    else if ('node' in action) this.happen(action)
    this.checkLease()
  }

  /** Everything is well again, and the engine has removed what has to be removed. */
  async settle(): Promise<void> {
    const { owner } = this
    for (const name of NODES) this.heal(name)
    owner.replicator.resumeLeases()
    await owner.run(20_000)
    equal(owner.isFlying, false, 'a batch hangs')
    equal(this.trimming, false, 'a trim hangs')
    ok(owner.replicator.leaseValid(), 'leases are held')
    owner.append()
    ok(await owner.until(() => !owner.isFlying, 1000), 'the next batch hangs')
    for (const { node: name } of this.members) {
      equal(owner.replicator.peers().find((peer) => peer.node === name)?.state, 'member')
      equal(owner.store(name).log.lastHash, owner.log.lastHash)
    }
    ok(owner.network.openStreams('owner') <= NODES.length, 'one stream per peer')
    ok(owner.process.timersSet <= 2 + 2 * NODES.length, `timers are bounded: ${owner.process.timersSet}`)
  }

  private happen(action: Extract<Action, { node: Node }>): void {
    const { owner } = this
    const { node: name } = action
    const store = owner.store(name)
    const isMember = this.members.some((member) => member.node === name)
    switch (action.kind) {
      case 'reset':
        return owner.network.reset('owner', name)
      case 'kill':
        return store.kill()
      case 'mute':
        store.mute = true
        return undefined
      case 'cut':
        return owner.network.cut('owner', name)
      case 'cut-back':
        return owner.network.cut(name, 'owner')
      case 'slow':
        store.answerMs = action.ms
        return undefined
      case 'heal':
        return this.heal(name)
      case 'remove':
        return this.remove(name)
      case 'learn':
        if (!isMember) owner.replicator.learn(name)
        return undefined
      case 'forget':
        return owner.replicator.forget(name)
      case 'wipe':
        store.kill()
        return store.wipe()
      case 'lose-tail':
        store.kill()
        if (store.held.length === 0) return undefined
        this.spoilt.add(`${name} ${store.incarnation}`)
        return store.loseTail(1)
    }
  }

  /** One batch after the other, as fast as they are acknowledged. */
  private async burst(count: number): Promise<void> {
    const { owner } = this
    for (let i = 0; i < count; i++) {
      if (!(await owner.until(() => !owner.isFlying, 100))) return
      owner.append()
    }
  }

  private heal(name: Node): void {
    const { network } = this.owner
    const store = this.owner.store(name)
    store.mute = false
    store.answerMs = 0.1
    network.uncut('owner', name)
    network.uncut(name, 'owner')
    if (!store.isAlive) store.start()
  }

  private trim(part: number): void {
    const { log, completed, replicator } = this.owner
    const last = Math.min(completed.at(-1) ?? 5, log.lastBatchSeq)
    const batchSeq = log.begin.batchSeq + Math.floor(((last - log.begin.batchSeq) * part) / 100)
    if (this.trimming || batchSeq > last || batchSeq < log.begin.batchSeq) return
    log.trimTo(batchSeq)
    this.trimming = true
    replicator.trim(batchSeq, () => {
      this.trimming = false
      for (const { node: name, incarnation } of this.members) {
        const store = this.owner.store(name)
        if (store.incarnation === incarnation) ok(store.log.tail.batchSeq > batchSeq, `${name} has not trimmed`)
      }
      this.checkLearners(batchSeq)
    })
  }

  /** Rule 2.3: no learner holds a record of this log that is trimmed. */
  private checkLearners(batchSeq: number): void {
    for (const { node: name, state } of this.owner.replicator.peers()) {
      if (state !== 'catching-up' && state !== 'joined') continue
      const [oldest] = this.owner.store(name).held
      ok(oldest === undefined || oldest.batchSeq > batchSeq, `${name}, a learner, has not trimmed`)
    }
  }

  private remove(name: string): void {
    this.members = this.members.filter((member) => member.node !== name)
    this.owner.replicator.waitFor(this.members)
  }

  private hear(event: ReplicatorEvent): void {
    if (event.kind === 'lost-content') this.remove(event.node)
    if (event.kind !== 'joined') return
    const { replicator } = this.owner
    const member = replicator.joinedMember(event.node)
    if (member === null) return
    this.checkLearned(member)
    this.members = [...this.members, member]
    replicator.waitFor(this.members)
  }

  /** Rule 2.1, at the very moment of the acknowledgement. */
  private checkCompleted(batchSeq: number): void {
    for (const { node: name, incarnation } of this.members) {
      const store = this.owner.store(name)
      ok((store.storedByLife.get(incarnation) ?? 0) >= batchSeq, `${name} has never stored batch ${batchSeq}`)
      if (store.incarnation !== incarnation || this.spoilt.has(`${name} ${incarnation}`)) continue
      ok(store.log.lastBatchSeq >= batchSeq, `${name} does not hold batch ${batchSeq}`)
    }
  }

  /** Rules 1.2, 2.8, 4.2: what is offered for the register holds the whole un-trimmed log. */
  private checkLearned({ node: name, incarnation }: Member): void {
    const { owner } = this
    const store = owner.store(name)
    equal(store.incarnation, incarnation)
    const own = owner.hashes()
    const last = owner.completed.at(-1) ?? 5
    equal(store.log.tail.batchSeq, owner.log.begin.batchSeq)
    for (let batchSeq = owner.log.begin.batchSeq; batchSeq <= last; batchSeq++) {
      equal(store.held.find((batch) => batch.batchSeq === batchSeq)?.headerHash, own.get(batchSeq), `batch ${batchSeq}`)
    }
  }

  /** Rule 8.1: what we believe is never more than what the store allows. */
  private checkLease(): void {
    const { owner } = this
    const { replicator, world } = owner
    if (!replicator.leaseValid()) return
    for (const { node: name, incarnation } of this.members) {
      const beatMs = owner.store(name).beatByLife.get(incarnation) ?? -Infinity
      ok(world.nowMs - beatMs < LEASE_MS, `${name} heard its last heartbeat ${world.nowMs - beatMs} ms ago`)
    }
  }
}

async function play(seed: number, actions: readonly Action[]): Promise<void> {
  const history = new History(`history ${seed}`)
  await history.begin()
  for (const one of actions) await history.act(one)
  await history.settle()
  await history.owner.replicator.stop()
}

const RUNS = Number(process.env['FOREBAY_PROPERTY_RUNS'] ?? 40)

test('no history completes too early or hangs', async () => {
  await fc.assert(fc.asyncProperty(fc.nat(), fc.array(action, { minLength: 5, maxLength: 60 }), play), {
    numRuns: RUNS,
  })
})
