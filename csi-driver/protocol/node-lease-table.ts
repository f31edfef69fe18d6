// The node's lease, of which there is one per node and not per volume, and what a successor does about it. Pure; rule 8.4
// of the replication protocol (docs/decisions/0001). Cached reads of a volume that a successor may open by its backing alone
// need the node's lease and a permission for this volume:
//
//   old node   renew ─(settled)─▶ read the volume's register ─(own epoch)─▶ permission ─(revoked | lapse)─▶ none
//   successor  claim settled ─▶ write (volume, old epoch) into the old node's record ─▶ acknowledged | unchanged 17 s | off
//
// Every renewal after the successor's write was made by a node that knew it, since both are compare-and-swaps of one
// record; what was allowed before runs out within 15 s of a renewal that was sent before the write was settled.
import type { Ms } from '../../base/units.ts'
import { type DecisionRow, decide } from './decision-table.ts'
import { NODE_LEASE_MS, NODE_LEASE_WAIT_MS } from './lease-times.ts'

export interface PermissionFacts {
  readonly lease: 'valid' | 'lapsed'
  /** Does the node's record, as last seen, list this volume and epoch as revoked, acknowledged or not? */
  readonly revoked: boolean
  /** The newest quorum read of the volume's register: begun after the renewal that ended the last lapse was settled? */
  readonly read: 'none' | 'before-renewal' | 'since-renewal'
  readonly shows: 'own-epoch' | 'newer-epoch'
}

const VALID = { lease: ['valid'], revoked: [false] } as const

// biome-ignore format: a table
export const PERMISSION_ROWS: readonly DecisionRow<PermissionFacts, 'granted' | 'withdrawn'>[] = [
  { label: 'permission-lapsed', rules: '8.4 h-apilease', when: { lease: ['lapsed'] }, then: 'withdrawn' },
  // In that epoch it never comes back, whatever a read may show.
  { label: 'permission-revoked', rules: '8.4', when: { lease: ['valid'], revoked: [true] }, then: 'withdrawn' },
  { label: 'permission-unread', rules: '8.4', when: { ...VALID, read: ['none'] }, then: 'withdrawn' },
  // A successor may have come, waited and opened between that read and the renewal.
  { label: 'permission-read-too-early', rules: '8.4', when: { ...VALID, read: ['before-renewal'] }, then: 'withdrawn' },
  { label: 'permission-newer-epoch', rules: '8.4', when: { ...VALID, read: ['since-renewal'], shows: ['newer-epoch'] }, then: 'withdrawn' },
  { label: 'permission', rules: '8.4', when: { ...VALID, read: ['since-renewal'], shows: ['own-epoch'] }, then: 'granted' },
]

export interface PermissionInput {
  readonly nowMs: Ms
  /** When the newest settled renewal was sent; null: none. */
  readonly renewalSentAtMs: Ms | null
  /** When the first renewal after the last lapse, or after the start, was settled; null: none since. */
  readonly validSinceMs: Ms | null
  readonly revoked: boolean
  /** The newest finished quorum read of the volume's register; an own settled change of it counts as one. */
  readonly read: { readonly begunAtMs: Ms; readonly ownEpoch: boolean } | null
}

/** Asked right before each cached read. The caller forgets `validSinceMs` as soon as it finds the lease lapsed. */
export function permissionDecision(input: PermissionInput, rows = PERMISSION_ROWS): PermissionGiven {
  const { nowMs, renewalSentAtMs, validSinceMs, revoked, read } = input
  const valid = renewalSentAtMs !== null && validSinceMs !== null && nowMs < renewalSentAtMs + NODE_LEASE_MS
  const since = read !== null && validSinceMs !== null && read.begunAtMs >= validSinceMs
  return decide(rows, {
    lease: valid ? 'valid' : 'lapsed',
    revoked,
    read: read === null ? 'none' : since ? 'since-renewal' : 'before-renewal',
    shows: read?.ownEpoch === true ? 'own-epoch' : 'newer-epoch',
  })
}

interface PermissionGiven {
  readonly label: string
  readonly then: 'granted' | 'withdrawn'
}

/** The old node finds (volume, epoch) in its record. */
export interface RevocationFacts {
  readonly listed: 'no' | 'yes' | 'acknowledged'
  /** The engine of that epoch on this node: reads from its cache, has confirmed that it never will again, or is gone. */
  readonly engine: 'reads-cached' | 'stopped' | 'gone'
}

// biome-ignore format: a table
export const REVOCATION_ROWS: readonly DecisionRow<RevocationFacts, RevocationStep>[] = [
  { label: 'not-revoked', rules: '8.4', when: { listed: ['no'] }, then: 'nothing' },
  // A newer epoch has claimed the volume: the engine is fenced and stops altogether.
  { label: 'revoked-while-reading', rules: '8.4', when: { listed: ['yes'], engine: ['reads-cached'] }, then: 'stop-cached-reads' },
  { label: 'revoked-and-stopped', rules: '8.4', when: { listed: ['yes'], engine: ['stopped', 'gone'] }, then: 'acknowledge' },
  { label: 'revocation-acknowledged', rules: '8.4', when: { listed: ['acknowledged'] }, then: 'nothing' },
]

export function revocationDecision(facts: RevocationFacts, rows = REVOCATION_ROWS): RevocationStep {
  return decide(rows, facts).then
}

export type RevocationStep = 'nothing' | 'stop-cached-reads' | 'acknowledge'

/** The successor, after its claim was settled. */
export interface RevokeFacts {
  readonly node: 'off' | 'maybe-on'
  /** Is the own entry in the old node's record settled? */
  readonly written: boolean
  readonly acknowledged: boolean
  /** Did that record stay as it is for NODE_LEASE_WAIT_MS since the own write, or since anybody's later one? */
  readonly unchanged: 'long-enough' | 'too-short'
}

const ON = { node: ['maybe-on'] } as const

// biome-ignore format: a table
export const REVOKE_ROWS: readonly DecisionRow<RevokeFacts, 'go-on' | 'write' | 'wait'>[] = [
  { label: 'old-node-off', rules: '8.4', when: { node: ['off'] }, then: 'go-on' },
  { label: 'revoke', rules: '8.4', when: { ...ON, written: [false] }, then: 'write' },
  { label: 'revoke-acknowledged', rules: '8.4', when: { ...ON, written: [true], acknowledged: [true] }, then: 'go-on' },
  { label: 'revoke-waits', rules: '8.4 h-apilease', when: { ...ON, written: [true], acknowledged: [false], unchanged: ['too-short'] }, then: 'wait' },
  { label: 'revoke-waited', rules: '8.4', when: { ...ON, written: [true], acknowledged: [false], unchanged: ['long-enough'] }, then: 'go-on' },
]

export interface RevokeInput {
  readonly nodeOff: boolean
  /** When the own write was settled, by the own clock; null: not yet. */
  readonly settledAtMs: Ms | null
  /** When the newest change of the record by anybody else was seen; null: none since the own write. */
  readonly changeSeenAtMs: Ms | null
  /** When the newest quorum read began that shows the record as known; null: none. */
  readonly readBegunAtMs: Ms | null
  readonly acknowledged: boolean
}

export function revokeDecision(input: RevokeInput, rows = REVOKE_ROWS): RevokeStep {
  const { nodeOff, settledAtMs, changeSeenAtMs, readBegunAtMs, acknowledged } = input
  const sinceMs = Math.max(settledAtMs ?? 0, changeSeenAtMs ?? 0)
  const unchanged = readBegunAtMs !== null && readBegunAtMs - sinceMs >= NODE_LEASE_WAIT_MS
  return decide(rows, {
    node: nodeOff ? 'off' : 'maybe-on',
    written: settledAtMs !== null,
    acknowledged,
    unchanged: unchanged ? 'long-enough' : 'too-short',
  })
}

interface RevokeStep {
  readonly label: string
  readonly then: 'go-on' | 'write' | 'wait'
}
