// Proves that every combination of facts has exactly one row; case by case, the order of degrade, learn, add and drop; and
// with any sequence of peers that come, go, come late, lose their store and refuse: that only joined copies with a lease are
// added, that a member that answers always stays, that the members settle as soon as the peers do, that the settled ones are
// the wanted ones, and that a peer is relied on again only as often as the damping allows.
import fc from 'fast-check'
import { assert } from '../../../../base/assert.ts'
import {
  type Damping,
  lostAgain,
  NEVER_LOST,
  STABLE_FIRST_MS,
  stableAtMs,
} from '../../../../csi-driver/protocol/damping.ts'
import { combinationsOf, decide, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  ACTION_ROWS,
  type ActionFacts,
  ADD_ROWS,
  type AddFacts,
  LEARN_ORDER_ROWS,
  type LearnOrderFacts,
  REMOVE_ROWS,
  type RemoveFacts,
} from '../../../../csi-driver/protocol/membership-rows.ts'
import {
  type CandidateView,
  LEARNERS_MAX,
  membershipDecision,
  type MembershipInput,
} from '../../../../csi-driver/protocol/membership-table.ts'
import { choosePlaces, isComplete, tooFewPeersText } from '../../../../csi-driver/protocol/placement.ts'
import { addMember, removeMember } from '../../../../csi-driver/protocol/register-transitions.ts'
import { type Member, MEMBERS_MAX } from '../../../../csi-driver/register/record.ts'
import { aRecord, MEMBER, NODE } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const FLAGS = [true, false]
const ACTIONS: FactDomain<ActionFacts> = {
  change: ['none', 'open'],
  phase: ['write-back', 'through', 'other'],
  lost: ['none', 'removable', 'stuck'],
  add: FLAGS,
  policy: ['met', 'unmet'],
  wish: ['write-back', 'write-through'],
  surplus: FLAGS,
  idleLearner: FLAGS,
  learn: FLAGS,
}
const REMOVES: FactDomain<RemoveFacts> = { health: ['answers', 'late', 'lost'], left: ['answering', 'nobody'] }
const LEARNS: FactDomain<LearnOrderFacts> = {
  change: ['none', 'open'],
  listed: FLAGS,
  status: ['unreachable', 'connected', 'learning', 'joined', 'refused'],
  stable: FLAGS,
}
const ADDS: FactDomain<AddFacts> = {
  joined: FLAGS,
  lease: ['held', 'none'],
  trim: ['equal', 'behind'],
  phase: ['logging', 'write-through'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect([undecided(ACTION_ROWS, ACTIONS), idleOrDouble(ACTION_ROWS, ACTIONS)]).toEqual([[], []])
  expect([undecided(REMOVE_ROWS, REMOVES), idleOrDouble(REMOVE_ROWS, REMOVES)]).toEqual([[], []])
  expect([undecided(LEARN_ORDER_ROWS, LEARNS), idleOrDouble(LEARN_ORDER_ROWS, LEARNS)]).toEqual([[], []])
  expect([undecided(ADD_ROWS, ADDS), idleOrDouble(ADD_ROWS, ADDS)]).toEqual([[], []])
})

test('while a change is open nothing is begun, and no store is told to discard its logs', () => {
  for (const facts of combinationsOf({ ...ACTIONS, change: ['open'] }))
    expect(decide(ACTION_ROWS, facts).then).toBe('none')
  for (const facts of combinationsOf(LEARNS)) {
    if (decide(LEARN_ORDER_ROWS, facts).then === 'may-learn')
      expect([facts.change, facts.listed]).toEqual(['none', false])
  }
})

const storeOf = (node: string) => ({ storeUuid: Buffer.from(node.padEnd(16, '-')).toString('hex'), incarnation: 1 })
const memberOf = (node: string): Member => ({ node, ...storeOf(node) })

function candidate(node: string, changes: Partial<CandidateView> = {}): CandidateView {
  return {
    node,
    domain: 'default',
    status: 'connected',
    sinceMs: 0,
    store: storeOf(node),
    lease: 'held',
    trim: 'equal',
    ...changes,
  }
}

function input(changes: Partial<MembershipInput> = {}, listed: readonly string[] = ['b']): MembershipInput {
  const members = [MEMBER, ...listed.map(memberOf)]
  return {
    nowMs: 100_000,
    node: NODE,
    domain: 'default',
    wish: { same: 0, other: 0, any: 1, policy: 'write-back' },
    record: aRecord({ members }),
    changeOpen: false,
    ownStore: MEMBER,
    members: members.map((member) => ({ member, health: 'answers' as const })),
    candidates: [candidate('b'), candidate('c')],
    damping: new Map(),
    ...changes,
  }
}

function health(of: Readonly<Record<string, RemoveFacts['health']>>, base = input()): MembershipInput['members'] {
  return base.members.map(({ member }) => ({ member, health: of[member.node] ?? 'answers' }))
}

const THROUGH = aRecord({ members: [MEMBER], phase: 'WriteThrough', dirty: false })
const ALONE = { record: THROUGH, members: [{ member: MEMBER, health: 'answers' as const }] }

describe('cases', () => {
  test('all is well', () => {
    expect(membershipDecision(input())).toMatchObject({ then: { action: 'none' }, policyMet: true, askAgainAtMs: null })
  })

  test('a late member is removed, into DrainWT where the policy is missed without it', () => {
    expect(membershipDecision(input({ members: health({ b: 'late' }) })).then).toEqual({
      action: 'remove',
      member: memberOf('b'),
      why: 'late',
      degrade: true,
    })
    const two = input({}, ['b', 'c'])
    expect(membershipDecision({ ...two, members: health({ b: 'late' }, two) }).then).toMatchObject({ degrade: false })
  })

  test('a lost cache device: the own copy goes, the volume drains from the others', () => {
    const lost = input({ members: health({ [NODE]: 'lost' }) })
    expect(membershipDecision(lost).then).toMatchObject({
      action: 'remove',
      member: MEMBER,
      why: 'lost',
      degrade: true,
    })
    const record = removeMember(lost.record, MEMBER)
    const gone = input({ record, members: [{ member: memberOf('b'), health: 'answers' }] })
    expect(membershipDecision(gone)).toMatchObject({ then: { action: 'degrade' }, policyMet: false })
  })

  test('another store of the own node goes as soon as the own copy is there', () => {
    const beside = { ...memberOf('b'), node: NODE }
    const record = aRecord({ members: [MEMBER, beside], phase: 'DrainWT' })
    const members = record.members.map((member) => ({ member, health: 'answers' as const }))
    expect(membershipDecision(input({ record, members })).then).toEqual({ action: 'drop-surplus', member: beside })
    const alone = { record: { ...record, members: [beside] }, members: members.slice(1) }
    expect(membershipDecision(input({ ...alone, candidates: [] })).then).toEqual({ action: 'none' })
  })

  test('after a hand-over the own copy is added as soon as it holds everything, before anything else', () => {
    const record = aRecord({ members: [memberOf('b')], phase: 'DrainWT' })
    const taken = input({ record, members: [{ member: memberOf('b'), health: 'answers' }] })
    expect(membershipDecision({ ...taken, candidates: [candidate('b')] }).then).toEqual({ action: 'none' })
    expect(membershipDecision({ ...taken, ownJoined: true }).then).toEqual({ action: 'add', member: MEMBER })
  })

  test('where nobody that answers would be left, nobody is removed', () => {
    const dead = input({ members: health({ [NODE]: 'lost', b: 'late' }) })
    expect(membershipDecision(dead)).toMatchObject({ label: 'wait-for-last', then: { action: 'none' } })
  })

  test('a peer learns, joins, is added, and write-back returns', () => {
    const learning = [candidate('b', { status: 'learning' })]
    const joined = [candidate('b', { status: 'joined' })]
    expect(membershipDecision(input(ALONE)).then).toEqual({ action: 'learn', node: 'b' })
    expect(membershipDecision(input({ ...ALONE, candidates: learning })).then).toEqual({ action: 'none' })
    expect(membershipDecision(input({ ...ALONE, candidates: joined })).then).toEqual({
      action: 'add',
      member: memberOf('b'),
    })
    const record = addMember(THROUGH, memberOf('b'))
    expect(membershipDecision(input({ record })).then).toEqual({ action: 'restore' })
  })

  test.each([
    ['without a lease', { lease: 'none' }],
    ['behind the trim, in write-through', { trim: 'behind' }],
    ['without a store', { store: null }],
  ] as const)('a joined learner %s is not added', (_name, changes) => {
    const candidates = [candidate('b', { status: 'joined', ...changes })]
    expect(membershipDecision(input({ ...ALONE, candidates })).then).toEqual({ action: 'none' })
  })

  test('a better peer replaces a worse one only after it was added', () => {
    const base = { candidates: [candidate('a'), candidate('b')] }
    expect(membershipDecision(input(base)).then).toEqual({ action: 'learn', node: 'a' })
    const joined = [candidate('a', { status: 'joined' }), candidate('b')]
    expect(membershipDecision(input({ candidates: joined })).then).toEqual({ action: 'add', member: memberOf('a') })
    expect(membershipDecision(input(base, ['b', 'a'])).then).toEqual({ action: 'drop-surplus', member: memberOf('b') })
    expect(membershipDecision(input(base, ['a'])).then).toEqual({ action: 'none' })
  })

  test('a peer in the wrong domain is replaced by one in the right one', () => {
    const wish = { same: 0, other: 1, any: 0, policy: 'write-back' } as const
    const candidates = [candidate('b'), candidate('c', { domain: 'west' })]
    const base = input({ wish, candidates, record: aRecord({ members: [MEMBER, memberOf('b')], phase: 'DrainWT' }) })
    expect(membershipDecision(base)).toMatchObject({ then: { action: 'learn', node: 'c' }, policyMet: false })
    expect(membershipDecision(input({ wish, candidates }, ['b', 'c'])).then).toEqual({
      action: 'drop-surplus',
      member: memberOf('b'),
    })
  })

  test('where there is no room for the right one, one that does not count makes room', () => {
    const wish = { same: 0, other: 1, any: 0, policy: 'write-back' } as const
    const others = ['b', 'c', 'd']
    const candidates = [...others.map((node) => candidate(node)), candidate('e', { domain: 'west' })]
    const full = input({ wish, candidates }, others)
    const record = { ...full.record, phase: 'WriteThrough', dirty: false } as const
    expect(membershipDecision({ ...full, record }).then).toEqual({ action: 'drop-surplus', member: memberOf('d') })
    const alone = candidates.map((entry) => (entry.node === 'e' ? { ...entry, status: 'unreachable' as const } : entry))
    expect(membershipDecision({ ...full, record, candidates: alone }).then).toEqual({ action: 'none' })
  })

  test('a policy that is raised degrades until it is met; one that is lowered drops the last of the list', () => {
    const raised = { same: 0, other: 0, any: 2, policy: 'write-back' } as const
    expect(membershipDecision(input({ wish: raised })).then).toEqual({ action: 'degrade' })
    expect(membershipDecision(input({}, ['b', 'c'])).then).toEqual({ action: 'drop-surplus', member: memberOf('c') })
    const none = { same: 0, other: 0, any: 0, policy: 'write-back' } as const
    expect(membershipDecision(input({ wish: none })).then).toEqual({ action: 'drop-surplus', member: memberOf('b') })
  })

  test('a write-through policy removes who is late and begins nothing', () => {
    const wish = { same: 0, other: 0, any: 1, policy: 'write-through' } as const
    expect(membershipDecision(input({ ...ALONE, wish })).then).toEqual({ action: 'none' })
    expect(membershipDecision(input({ wish, members: health({ b: 'late' }) })).then).toMatchObject({ action: 'remove' })
  })

  test('a learner that nobody needs any more stops; one that is needed goes on though a better one came', () => {
    const candidates = [candidate('b'), candidate('c', { status: 'learning' })]
    expect(membershipDecision(input({ candidates })).then).toEqual({ action: 'stop-learning', node: 'c' })
    const better = [candidate('a'), candidate('c', { status: 'learning' })]
    expect(membershipDecision(input({ ...ALONE, candidates: better })).then).toEqual({ action: 'learn', node: 'a' })
  })

  test('a peer that was lost must have been connected for a while first', () => {
    const damping = new Map([['b', lostAgain(NEVER_LOST, 95_000)]])
    const candidates = [candidate('b', { sinceMs: 97_000 })]
    const waiting = membershipDecision(input({ ...ALONE, candidates, damping }))
    expect(waiting).toMatchObject({ then: { action: 'none' }, askAgainAtMs: 97_000 + STABLE_FIRST_MS })
    expect(waiting.absent).toEqual([{ node: 'b', domain: 'default', status: 'unstable' }])
    const later = input({ ...ALONE, candidates, damping, nowMs: 97_000 + STABLE_FIRST_MS })
    expect(membershipDecision(later).then).toEqual({ action: 'learn', node: 'b' })
  })

  test.each(['connected', 'joined'] as const)('a copied store is no other copy, and said: %s', (status) => {
    const store = { storeUuid: MEMBER.storeUuid, incarnation: 1 }
    const candidates = [candidate('b', { status, store, lease: 'held', trim: 'equal' })]
    const { then, absent } = membershipDecision(input({ ...ALONE, candidates }))
    expect(then).toEqual({ action: 'none' })
    expect(absent).toEqual([{ node: 'b', domain: 'default', status: 'same-store' }])
    const { remedy } = tooFewPeersText({ same: 1, other: 0, any: 0 }, { same: 1, other: 0, any: 0 }, absent)
    expect(remedy).toContain('The replica store of b is a copy')
  })
})

type Then = ReturnType<typeof membershipDecision>['then']
type PeerEvent = 'comes' | 'goes' | 'gets-late' | 'answers' | 'loses-store' | 'refuses' | 'time'

interface Peer {
  status: CandidateView['status']
  sinceMs: number
  incarnation: number
  health: RemoveFacts['health']
  damping: Damping
  learnedAtMs: number[]
}

/** A world of one owner and three peers, in which every order is carried out at once. */
class World {
  readonly peers = new Map<string, Peer>()
  readonly wish: MembershipInput['wish']
  record = aRecord({ members: [MEMBER], phase: 'WriteThrough', dirty: false })
  nowMs = 0

  constructor(wish: MembershipInput['wish']) {
    this.wish = wish
    for (const node of ['a', 'b', 'c']) {
      const peer = { status: 'unreachable', sinceMs: 0, incarnation: 1, health: 'late', damping: NEVER_LOST } as const
      this.peers.set(node, { ...peer, learnedAtMs: [] })
    }
  }

  view(): MembershipInput {
    const { nowMs, record, wish } = this
    return input({
      nowMs,
      record,
      wish,
      members: record.members.map((member) => ({ member, health: this.peers.get(member.node)?.health ?? 'answers' })),
      candidates: [...this.peers].map(([node, { status, sinceMs, incarnation }]) =>
        candidate(node, {
          domain: node === 'c' ? 'west' : 'default',
          status,
          sinceMs,
          store: { ...storeOf(node), incarnation },
        }),
      ),
      damping: new Map([...this.peers].map(([node, { damping }]) => [node, damping])),
    })
  }

  happen(event: PeerEvent, node: string): void {
    this.nowMs += event === 'time' ? 7_000 : 300
    const peer = this.peer(node)
    const relied = peer.status === 'learning' || peer.status === 'joined' || this.lists(node)
    const wasLost = peer.health !== 'answers'
    this.change(event, node, peer)
    const isLost = peer.health !== 'answers' || event === 'loses-store'
    if (relied && isLost && !wasLost) peer.damping = lostAgain(peer.damping, this.nowMs)
  }

  private change(event: PeerEvent, node: string, peer: Peer): void {
    const listed = this.lists(node)
    if (event === 'comes' && peer.status === 'unreachable') this.turn(peer, 'connected', 'answers')
    if (event === 'goes') this.turn(peer, 'unreachable', 'late')
    if (event === 'refuses') this.turn(peer, 'refused', 'late')
    if (event === 'gets-late' && listed) peer.health = 'late'
    if (event === 'answers' && listed && peer.status !== 'unreachable') peer.health = 'answers'
    if (event !== 'loses-store') return
    peer.incarnation += 1
    this.turn(peer, 'connected', listed ? 'lost' : 'answers')
  }

  private turn(peer: Peer, status: Peer['status'], becomes: Peer['health']): void {
    peer.status = status
    peer.sinceMs = this.nowMs
    peer.health = becomes
  }

  lists(node: string): boolean {
    return this.record.members.some((member) => member.node === node)
  }

  /** Carries out what is decided until nothing is. Each order is checked against what the rules allow. */
  settle(): void {
    for (let i = 0; i < 40; i++) {
      const view = this.view()
      const { then } = membershipDecision(view)
      if (then.action === 'none') {
        if (![...this.peers.values()].some(({ status }) => status === 'learning')) return
        for (const peer of this.peers.values()) if (peer.status === 'learning') peer.status = 'joined'
        continue
      }
      this.carryOut(then, view)
    }
    throw new Error('the members do not settle')
  }

  private carryOut(then: Then, view: MembershipInput): void {
    if (then.action === 'remove' || then.action === 'drop-surplus') this.remove(then, view)
    if (then.action === 'add') this.add(then.member)
    if (then.action === 'learn') this.learn(then.node)
    if (then.action === 'stop-learning') this.peer(then.node).status = 'connected'
    if (then.action === 'degrade') this.record = { ...this.record, phase: 'DrainWT', dirty: true }
    if (then.action !== 'restore') return
    assert(this.isMet(), 'the policy is met')
    this.record = { ...this.record, phase: 'WriteBack', dirty: true }
  }

  private remove(then: Then & { readonly action: 'remove' | 'drop-surplus' }, view: MembershipInput): void {
    this.record = removeMember(this.record, then.member)
    const left = view.members.filter((entry) => entry.member !== then.member)
    assert(
      left.some(({ health: is }) => is === 'answers'),
      'a member that answers stays',
    )
    const peer = this.peer(then.member.node)
    if (then.action === 'remove') assert(peer.health !== 'answers', 'who answers is not removed')
    else assert(this.isMet(), 'the policy is met')
    // Its connection stands: it can be asked to learn.
    if (peer.status !== 'unreachable' && peer.status !== 'refused') {
      peer.status = 'connected'
      peer.health = 'answers'
    }
    if (then.action === 'remove' && then.degrade) this.record = { ...this.record, phase: 'DrainWT' }
  }

  private add(member: Member): void {
    const { status, incarnation } = this.peer(member.node)
    assert(status === 'joined' && incarnation === member.incarnation, 'only joined copies are added')
    this.record = addMember(this.record, member)
    assert(this.record.members.length <= MEMBERS_MAX, 'the members are bounded')
  }

  private learn(node: string): void {
    const peer = this.peer(node)
    assert(peer.status === 'connected' && !this.lists(node), 'no member learns')
    assert(stableAtMs(peer.damping, peer.sinceMs, this.nowMs) <= this.nowMs, 'who learns is stable')
    peer.status = 'learning'
    peer.learnedAtMs.push(this.nowMs)
    const learning = [...this.peers.values()].filter(({ status }) => status === 'learning')
    assert(learning.length <= LEARNERS_MAX, 'learners are bounded')
  }

  peer(node: string): Peer {
    return this.peers.get(node) as Peer
  }

  isMet(): boolean {
    return isComplete(choosePlaces(this.wish, this.answering(), 'default'))
  }

  answering(): { node: string; domain: string }[] {
    return [...this.peers]
      .filter(([node, { health: is }]) => is === 'answers' && this.lists(node))
      .map(([node]) => ({ node, domain: node === 'c' ? 'west' : 'default' }))
  }
}

const anyWish = fc.constantFrom(
  { same: 0, other: 0, any: 0 },
  { same: 0, other: 0, any: 1 },
  { same: 1, other: 0, any: 0 },
  { same: 0, other: 1, any: 0 },
  { same: 1, other: 1, any: 0 },
  { same: 0, other: 0, any: 2 },
)
const anyEvents = fc.array(
  fc.tuple(
    fc.constantFrom<PeerEvent>('comes', 'comes', 'goes', 'gets-late', 'answers', 'loses-store', 'refuses', 'time'),
    fc.constantFrom('a', 'b', 'c'),
  ),
  { maxLength: 60 },
)

test('whatever peers do, the members settle, and the settled ones are the wanted ones', () => {
  fc.assert(
    fc.property(anyWish, anyEvents, (wish, events) => {
      const world = new World({ ...wish, policy: 'write-back' })
      for (const [event, node] of events) {
        world.happen(event, node)
        world.settle()
        expect(world.record.members.some(({ node: listed }) => listed === NODE)).toBe(true)
        expect(world.record.phase === 'WriteBack').toBe(world.isMet())
      }
      // When all peers are there for long, the volume has the best of them and no others.
      for (const node of ['a', 'b', 'c']) {
        world.happen('goes', node)
        world.settle()
        world.happen('comes', node)
      }
      world.nowMs += 1_000_000
      world.settle()
      const places = ['a', 'b', 'c'].map((node) => ({ node, domain: node === 'c' ? 'west' : 'default' }))
      const { chosen } = choosePlaces(wish, places, 'default')
      expect(world.record.members.map(({ node }) => node).sort()).toEqual([...chosen, NODE].sort())
    }),
    { numRuns: 300 },
  )
})

test('a peer that comes and goes without end is relied on ever more seldom', () => {
  const world = new World({ same: 0, other: 0, any: 1, policy: 'write-back' })
  // Connected for 20 s, away for 1 s: an hour of it.
  for (let i = 0; i < 170; i++) {
    world.happen('comes', 'a')
    for (let second = 0; second < 20; second++) {
      world.nowMs += 1_000
      world.settle()
    }
    world.happen('goes', 'a')
    world.settle()
    world.nowMs += 700
  }
  const times = world.peers.get('a')?.learnedAtMs ?? []
  // Three at 0, 5 and 10 s of patience; then one whenever a loss has been forgiven.
  expect(times.length).toBeLessThanOrEqual(4 + Math.ceil(world.nowMs / 600_000))
  expect(times.length).toBeGreaterThanOrEqual(3)
})
