// Proves that the node's lease decides every combination by exactly one row, and by playing old node and successor
// against each other with any times: when the successor goes on, the old node has no permission and never gets one again.
import fc from 'fast-check'
import type { FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import { NODE_LEASE_MS, NODE_LEASE_WAIT_MS } from '../../../../csi-driver/protocol/lease-times.ts'
import {
  PERMISSION_ROWS,
  type PermissionFacts,
  permissionDecision,
  REVOCATION_ROWS,
  type RevocationFacts,
  REVOKE_ROWS,
  type RevokeFacts,
  revocationDecision,
  revokeDecision,
} from '../../../../csi-driver/protocol/node-lease-table.ts'
import { idleOrDouble, undecided } from './tables.ts'

const PERMISSIONS: FactDomain<PermissionFacts> = {
  lease: ['valid', 'lapsed'],
  revoked: [true, false],
  read: ['none', 'before-renewal', 'since-renewal'],
  shows: ['own-epoch', 'newer-epoch'],
}
const REVOCATIONS: FactDomain<RevocationFacts> = {
  listed: ['no', 'yes', 'acknowledged'],
  engine: ['reads-cached', 'stopped', 'gone'],
}
const REVOKES: FactDomain<RevokeFacts> = {
  node: ['off', 'maybe-on'],
  written: [true, false],
  acknowledged: [true, false],
  unchanged: ['long-enough', 'too-short'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect([undecided(PERMISSION_ROWS, PERMISSIONS), idleOrDouble(PERMISSION_ROWS, PERMISSIONS)]).toEqual([[], []])
  expect([undecided(REVOCATION_ROWS, REVOCATIONS), idleOrDouble(REVOCATION_ROWS, REVOCATIONS)]).toEqual([[], []])
  expect([undecided(REVOKE_ROWS, REVOKES), idleOrDouble(REVOKE_ROWS, REVOKES)]).toEqual([[], []])
})

const GRANTED = {
  nowMs: 20_000,
  renewalSentAtMs: 10_000,
  validSinceMs: 5000,
  revoked: false,
  read: { begunAtMs: 5000, ownEpoch: true },
}

test.each([
  ['all is well', {}, 'permission'],
  ['the lease ended 15 s after its renewal was sent', { nowMs: 25_000 }, 'permission-lapsed'],
  ['there is no lease yet', { renewalSentAtMs: null, validSinceMs: null }, 'permission-lapsed'],
  ['the register was not read', { read: null }, 'permission-unread'],
  ['the register was read before', { read: { begunAtMs: 4999, ownEpoch: true } }, 'permission-read-too-early'],
  ['a successor has claimed', { read: { begunAtMs: 6000, ownEpoch: false } }, 'permission-newer-epoch'],
  ['a successor has revoked', { revoked: true }, 'permission-revoked'],
])('a permission where %s', (_name, changes, label) => {
  expect(permissionDecision({ ...GRANTED, ...changes }).label).toBe(label)
})

test('the old node acknowledges what its engine no longer does', () => {
  expect(revocationDecision({ listed: 'yes', engine: 'reads-cached' })).toBe('stop-cached-reads')
  expect(revocationDecision({ listed: 'yes', engine: 'stopped' })).toBe('acknowledge')
})

const WRITTEN = { nodeOff: false, settledAtMs: 1000, changeSeenAtMs: null, readBegunAtMs: null, acknowledged: false }

test('the successor waits for an answer, or for the record to stay as it is, or for nobody', () => {
  const end = 1000 + NODE_LEASE_WAIT_MS
  expect(revokeDecision({ ...WRITTEN, settledAtMs: null }).then).toBe('write')
  expect(revokeDecision(WRITTEN).then).toBe('wait')
  expect(revokeDecision({ ...WRITTEN, readBegunAtMs: end - 1 }).then).toBe('wait')
  expect(revokeDecision({ ...WRITTEN, readBegunAtMs: end }).label).toBe('revoke-waited')
  expect(revokeDecision({ ...WRITTEN, readBegunAtMs: end, changeSeenAtMs: 1001 }).then).toBe('wait')
  expect(revokeDecision({ ...WRITTEN, acknowledged: true }).then).toBe('go-on')
  expect(revokeDecision({ ...WRITTEN, settledAtMs: null, nodeOff: true }).then).toBe('go-on')
})

test('whenever the successor goes on, no permission of the old epoch is left, whatever the delays', () => {
  const span = fc.nat(40_000)
  fc.assert(
    fc.property(span, span, span, span, (renewDelayMs, readDelayMs, writtenAtMs, extraMs) => {
      // The old node renews at 0 (settled after a delay), then reads its register; the successor's entry is settled at
      // writtenAtMs, after the renewal, which it would otherwise have been part of.
      const validSinceMs = renewDelayMs
      const settledAtMs = validSinceMs + writtenAtMs
      const readBegunAtMs = settledAtMs + NODE_LEASE_WAIT_MS + extraMs
      const input = { ...WRITTEN, settledAtMs, readBegunAtMs }
      expect(revokeDecision(input).then).toBe('go-on')
      const permission = permissionDecision({
        nowMs: readBegunAtMs,
        renewalSentAtMs: 0,
        validSinceMs,
        revoked: false,
        read: { begunAtMs: validSinceMs + readDelayMs, ownEpoch: true },
      })
      expect(permission.then).toBe('withdrawn')
      expect(readBegunAtMs).toBeGreaterThanOrEqual(NODE_LEASE_MS)
    }),
  )
})
