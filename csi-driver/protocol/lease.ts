// The owner's side of leases: may it serve now? Pure; rules 1.2 and 8.1 to 8.5 of the replication protocol
// (docs/decisions/0001). The spans are in lease-times.ts; all times by the owner's clock, which must run on while the host
// sleeps. Asked right before each acknowledgement and each read, since what was valid a moment ago may not be now.
//
// Peers: an answered heartbeat of every listed member other than the own store, under its listed incarnation, sent less
// than LEASE_MS ago. Where all members lie on the own node nobody needs to be sealed but this node itself: a volume that is
// surely dirty cannot be opened without the log here, any other may be, by a successor that took its backing; so its
// cached reads need the node's lease and a permission (node-lease-table.ts).
import type { Ms } from '../../base/units.ts'
import { type Member, type RegisterRecord, sameMember } from '../register/record.ts'
import { strictest } from './acknowledge-table.ts'
import { type DecisionRow, decide } from './decision-table.ts'
import { LEASE_MS } from './lease-times.ts'

export interface ServeFacts {
  /** fenced: a store or the register has shown a newer epoch. */
  readonly epoch: 'present' | 'fenced'
  /** An open change that is not an add (1.2). */
  readonly frozen: boolean
  /** Of every listed member but the own store, in either outcome of an open change. */
  readonly peerLeases: 'held' | 'lapsed'
  /** Does either outcome of an open change leave members on the own node only? */
  readonly alone: boolean
  /** May a successor find dirty=false? */
  readonly register: 'dirty' | 'maybe-clean'
  /** Node lease and permission for this volume, both at this moment (8.4). */
  readonly permission: 'granted' | 'withdrawn'
}

/**
 * all: acknowledge and read. uncached: also, but what no log holds is read from the backing, which refuses this node once
 * a successor has fenced it. nothing: wait, never an error.
 */
export type Serving = 'all' | 'uncached' | 'nothing'

const MAY = { epoch: ['present'], frozen: [false] } as const
const LEASED = { ...MAY, peerLeases: ['held'] } as const

// biome-ignore format: a table
export const SERVE_ROWS: readonly DecisionRow<ServeFacts, Serving>[] = [
  { label: 'serve-fenced', rules: 'invariant 5', when: { epoch: ['fenced'] }, then: 'nothing' },
  { label: 'serve-frozen', rules: '1.2', when: { epoch: ['present'], frozen: [true] }, then: 'nothing' },
  { label: 'serve-without-lease', rules: '8.3 h-nolease', when: { ...MAY, peerLeases: ['lapsed'] }, then: 'nothing' },
  { label: 'serve-with-peers', rules: '8.1 8.5', when: { ...LEASED, alone: [false] }, then: 'all' },
  { label: 'serve-alone-dirty', rules: '8.4', when: { ...LEASED, alone: [true], register: ['dirty'] }, then: 'all' },
  { label: 'serve-alone-permitted', rules: '8.4', when: { ...LEASED, alone: [true], register: ['maybe-clean'], permission: ['granted'] }, then: 'all' },
  { label: 'serve-alone-unpermitted', rules: '8.4 h-apilease', when: { ...LEASED, alone: [true], register: ['maybe-clean'], permission: ['withdrawn'] }, then: 'uncached' },
]

/** The newest heartbeat of a store that was answered. */
export interface Answered {
  readonly storeUuid: string
  readonly incarnation: number
  /** When the heartbeat was sent, not when its answer came. */
  readonly sentAtMs: Ms
}

export interface ServeInput {
  readonly node: string
  /** Store of the own cache; null where there is none. */
  readonly ownStore: Member | null
  readonly settled: RegisterRecord
  /** What an open change would make of it; null: none is open. */
  readonly proposed: RegisterRecord | null
  readonly fenced: boolean
  readonly answered: readonly Answered[]
  readonly nowMs: Ms
  readonly permission: ServeFacts['permission']
}

export function serveFacts(input: ServeInput): ServeFacts {
  const { members, maybeClean, freeze } = strictest(input)
  return {
    epoch: input.fenced ? 'fenced' : 'present',
    frozen: freeze,
    peerLeases: leasesNeeded(members, input.ownStore).every((member) => leaseHeld(member, input)) ? 'held' : 'lapsed',
    alone: isAlone(input.settled, input.node) || isAlone(input.proposed ?? input.settled, input.node),
    register: maybeClean ? 'maybe-clean' : 'dirty',
    permission: input.permission,
  }
}

/** Members without the own store: one of them is always sealed by a successor, so all of their leases count (8.5). */
export function leasesNeeded(members: readonly Member[], ownStore: Member | null): readonly Member[] {
  return members.filter((member) => ownStore === null || !sameMember(member, ownStore))
}

function leaseHeld(member: Member, { answered, nowMs }: ServeInput): boolean {
  return answered.some(
    ({ storeUuid, incarnation, sentAtMs }) =>
      storeUuid === member.storeUuid &&
      incarnation === member.incarnation &&
      nowMs >= sentAtMs &&
      nowMs < sentAtMs + LEASE_MS,
  )
}

function isAlone({ members }: RegisterRecord, node: string): boolean {
  return members.every((member) => member.node === node)
}

export function serveDecision(
  input: ServeInput,
  rows = SERVE_ROWS,
): { readonly label: string; readonly then: Serving } {
  return decide(rows, serveFacts(input))
}

/** When the peers' leases end, for a timer; Infinity where none is needed, -Infinity where one was never held. */
export function leasesEndAtMs(input: ServeInput): Ms {
  const { members } = strictest(input)
  const ends = leasesNeeded(members, input.ownStore).map((member) => {
    const found = input.answered.find(
      (entry) => entry.storeUuid === member.storeUuid && entry.incarnation === member.incarnation,
    )
    return found === undefined ? Number.NEGATIVE_INFINITY : found.sentAtMs + LEASE_MS
  })
  return Math.min(Number.POSITIVE_INFINITY, ...ends)
}
