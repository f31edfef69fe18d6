// Proves that every combination of facts about leases has exactly one row, that no listed member's lease is missed in
// either outcome of an open change, and that a volume whose members all lie here reads its cache only as 8.4 allows.
import fc from 'fast-check'
import { combinationsOf, decide, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import {
  leasesEndAtMs,
  leasesNeeded,
  SERVE_ROWS,
  type ServeFacts,
  type ServeInput,
  serveDecision,
} from '../../../../csi-driver/protocol/lease.ts'
import { LEASE_MS } from '../../../../csi-driver/protocol/lease-times.ts'
import { addMember, removeMember, setDirty, setPhase } from '../../../../csi-driver/protocol/register-transitions.ts'
import { aRecord, MEMBER, NODE, UUID_A, UUID_B } from '../register/records.ts'
import { idleOrDouble, undecided } from './tables.ts'

const SERVES: FactDomain<ServeFacts> = {
  epoch: ['present', 'fenced'],
  frozen: [true, false],
  peerLeases: ['held', 'lapsed'],
  alone: [true, false],
  register: ['dirty', 'maybe-clean'],
  permission: ['granted', 'withdrawn'],
}

const PEER = { node: 'node-2', storeUuid: UUID_A, incarnation: 1 }
const THIRD = { node: 'node-3', storeUuid: UUID_B, incarnation: 2 }
const ALONE = aRecord({ members: [MEMBER] })
const PAIR = aRecord({ members: [MEMBER, PEER] })
const CLEAN = { phase: 'WriteThrough', dirty: false } as const

function input(changes: Partial<ServeInput> = {}): ServeInput {
  return {
    node: NODE,
    ownStore: MEMBER,
    settled: PAIR,
    proposed: null,
    fenced: false,
    answered: [{ ...PEER, sentAtMs: 1000 }],
    nowMs: 2000,
    permission: 'withdrawn',
    ...changes,
  }
}

test('every combination has exactly one row, every row is reached', () => {
  expect(undecided(SERVE_ROWS, SERVES)).toEqual([])
  expect(idleOrDouble(SERVE_ROWS, SERVES)).toEqual([])
})

test('the cache is read only with leases, and alone only where nobody can open or with permission', () => {
  for (const facts of combinationsOf(SERVES)) {
    if (decide(SERVE_ROWS, facts).then === 'nothing') continue
    expect(facts).toMatchObject({ epoch: 'present', frozen: false, peerLeases: 'held' })
    if (decide(SERVE_ROWS, facts).then === 'uncached') continue
    expect(!facts.alone || facts.register === 'dirty' || facts.permission === 'granted').toBe(true)
  }
})

test('a lease counts from sending and ends', () => {
  expect(serveDecision(input()).then).toBe('all')
  expect(serveDecision(input({ nowMs: 1000 + LEASE_MS - 1 })).then).toBe('all')
  expect(serveDecision(input({ nowMs: 1000 + LEASE_MS }))).toMatchObject({
    label: 'serve-without-lease',
    then: 'nothing',
  })
  expect(leasesEndAtMs(input())).toBe(1000 + LEASE_MS)
  expect(leasesEndAtMs(input({ answered: [] }))).toBe(Number.NEGATIVE_INFINITY)
  expect(leasesEndAtMs(input({ settled: ALONE }))).toBe(Number.POSITIVE_INFINITY)
})

test('an answer of another store or incarnation is no lease, neither is one from the future', () => {
  for (const change of [{ incarnation: 2 }, { storeUuid: UUID_B }, { sentAtMs: 3000 }]) {
    expect(serveDecision(input({ answered: [{ ...PEER, sentAtMs: 1000, ...change }] })).then).toBe('nothing')
  }
})

test('while a member is added both leases are needed; any other change freezes', () => {
  const proposed = addMember(PAIR, THIRD)
  expect(serveDecision(input({ proposed })).then).toBe('nothing')
  const answered = [
    { ...PEER, sentAtMs: 1000 },
    { ...THIRD, sentAtMs: 1500 },
  ]
  expect(serveDecision(input({ proposed, answered })).then).toBe('all')
  expect(serveDecision(input({ proposed: removeMember(PAIR, PEER), answered })).label).toBe('serve-frozen')
  expect(serveDecision(input({ settled: aRecord(CLEAN), proposed: setDirty(aRecord(CLEAN)) })).label).toBe(
    'serve-frozen',
  )
})

test('without the own store every member is needed (8.5)', () => {
  expect(leasesNeeded([MEMBER, PEER], null)).toEqual([MEMBER, PEER])
  expect(leasesNeeded([MEMBER, PEER], { ...MEMBER, incarnation: 8 })).toEqual([MEMBER, PEER])
  expect(serveDecision(input({ settled: removeMember(PAIR, MEMBER), ownStore: null })).label).toBe('serve-with-peers')
})

test('alone: dirty and settled needs nothing, anything else a permission for cached reads', () => {
  expect(serveDecision(input({ settled: ALONE, answered: [] })).label).toBe('serve-alone-dirty')
  const clean = aRecord({ members: [MEMBER], ...CLEAN })
  expect(serveDecision(input({ settled: clean })).then).toBe('uncached')
  expect(serveDecision(input({ settled: clean, permission: 'granted' })).then).toBe('all')
  // The other outcome of the add is still a volume that lies here alone.
  const adding = { settled: clean, proposed: addMember(clean, PEER) }
  expect(serveDecision(input(adding)).then).toBe('uncached')
  expect(serveDecision(input({ ...adding, answered: [] })).then).toBe('nothing')
  // A second store on the own node does not keep a successor from opening.
  const twice = aRecord({ ...CLEAN, members: [MEMBER, { ...PEER, node: NODE }] })
  expect(serveDecision(input({ settled: twice })).then).toBe('uncached')
})

test('with any members and any open change, serving implies the lease of every listed member of both outcomes', () => {
  const peers = [PEER, THIRD]
  const subset = fc.subarray(peers)
  const change = fc.constantFrom('none', 'add', 'remove', 'drain')
  fc.assert(
    fc.property(subset, subset, change, fc.boolean(), (listed, answering, kind, own) => {
      const members = own || listed.length === 0 ? [MEMBER, ...listed] : listed
      const settled = aRecord({ members })
      const fresh = peers.find((peer) => !members.includes(peer))
      const proposed =
        kind === 'add' && fresh !== undefined
          ? addMember(settled, fresh)
          : kind === 'remove' && members.length > 1
            ? removeMember(settled, members[1] ?? MEMBER)
            : kind === 'drain'
              ? setPhase(settled, { phase: 'DrainWT', dirty: true })
              : null
      const answered = answering.map((peer) => ({ ...peer, sentAtMs: 1900 }))
      const { then } = serveDecision(input({ settled, proposed, answered, ownStore: own ? MEMBER : null }))
      if (then === 'nothing') return
      const needed = [...members, ...(proposed?.members ?? [])].filter((member) => !own || member !== MEMBER)
      expect(needed.every((member) => answering.some((peer) => peer.storeUuid === member.storeUuid))).toBe(true)
    }),
  )
})
