// Proves the tables of `forebay peers`: a line per volume, what is unusual said below, nothing where nothing is.
import { DISCARD_ROWS } from '../../../../csi-driver/protocol/discard-table.ts'
import { GARBAGE_ROWS } from '../../../../csi-driver/replica/receiver/garbage.ts'
import { discardReason } from '../../../../csi-driver/cli/discard-reasons.ts'
import { findingsTable, peersTable } from '../../../../csi-driver/cli/peer-tables.ts'
import type { PeerFinding } from '../../../../csi-driver/peer-process/control-protocol.ts'
import { peerStatus, volumeLine } from './peer-status-kit.ts'

test('no store, and a store with nothing', () => {
  expect(peersTable([])).toMatch(/^No replica store runs here\. Start one/)
  expect(peersTable([peerStatus([])])).toBe(
    'node=host-b listen=10.0.0.2:7070 resource=flash free=1 GiB of 4 GiB store=/var/store\n  no volumes\n',
  )
})

test('caches that were left behind', () => {
  const cache = {
    volume: 'db1',
    volumeUuid: 'c1'.repeat(16),
    movedTo: 'host-c',
    blocks: 256,
    askedBlocks: 9,
    badBlocks: 0,
  }
  const leftCaches = [
    { ...cache, reader: false, servedBlocks: 0, remainingMs: 600_000 },
    { ...cache, volume: 'db2', reader: true, servedBlocks: 8, remainingMs: 61_000 },
  ]
  expect(
    peersTable([{ ...peerStatus([]), leftCaches }])
      .split('\n')
      .slice(1),
  ).toEqual([
    '  no volumes',
    '  db1: its cache (1 MiB) is left here for host-c, not read yet, 10 min more at most',
    '  db2: its cache (1 MiB) is left here for host-c, 32 KiB read so far, 2 min more at most',
    '',
  ])
})

test('volumes in every state', () => {
  const { log } = volumeLine()
  if (log === null) throw new Error('the kit has a log')
  const text = peersTable([
    peerStatus([
      volumeLine(),
      volumeLine({ volume: 'late', unwrittenBytes: 5120, log: { ...log, unackedRecords: 3 } }),
      volumeLine({ volume: 'empty', engine: null, log: { ...log, firstBatchSeq: 5, lastBatchSeq: 4, storedBytes: 0 } }),
      volumeLine({ volume: 'none', log: null, lossReason: 'chain ends at batch 4', engine: null }),
      volumeLine({
        volume: 'moving',
        engine: { node: 'host-c', purpose: 'opener' },
        log: { ...log, pending: { logUuid: 'f'.repeat(32), firstBatchSeq: 21 } },
        failure: 'EIO at 4096',
      }),
    ]),
  ])
  expect(text.split('\n').slice(1)).toEqual([
    '  VOLUME  EPOCH  RUN  LOG         BATCHES  BYTES  LAG               ENGINE',
    '  db1     3      2    3-abababab  11-20    2 KiB  0 B               host-a',
    '  late    3      2    3-abababab  11-20    2 KiB  5 KiB, 3 records  host-a',
    '  empty   3      2    3-abababab  -        0 B    0 B               -',
    '  none    3      2    none        -        -      -                 -',
    '  moving  3      2    3-abababab  11-20    2 KiB  0 B               host-c (opener)',
    '  none: its log here is lost: chain ends at batch 4',
    '  moving: refuses everybody until a restart: EIO at 4096',
    '  moving: is being taken over by a new owner',
    '',
  ])
})

const finding = (given: Partial<PeerFinding>): PeerFinding => ({
  ...{ volume: 'db1', volumeUuid: 'c1'.repeat(16), storedBytes: 1024, reservedBytes: 4096 },
  ...{ outcome: 'kept', reason: 'in-use', rules: 'invariant 9', error: null },
  ...given,
})

test('what may go, and what went', () => {
  expect(findingsTable([], true)).toBe('Nothing is held here.\n')
  const findings = [finding({}), finding({ volume: 'old', outcome: 'may-go', reason: 'volume-gone', rules: '7.2' })]
  expect(findingsTable(findings, true)).toBe(
    [
      'VOLUME  UUID                              BYTES  OUTCOME  WHY',
      `db1     ${'c1'.repeat(16)}  1 KiB  kept     an engine uses it`,
      `old     ${'c1'.repeat(16)}  1 KiB  may-go   nothing of it is missing on the backing`,
      '1 of 2 may go; nothing was changed',
      '',
    ].join('\n'),
  )
  const done = [finding({ outcome: 'discarded' }), finding({ outcome: 'failed', error: 'EIO' })]
  expect(findingsTable(done, false)).toMatch(/failed {5}EIO\n1 of 2 discarded\n$/)
})

test('every reason of the tables has its words, and says how to go on where the user can', () => {
  const labels = [...GARBAGE_ROWS, ...DISCARD_ROWS].map(({ label }) => label)
  const unworded = labels.filter((label) => discardReason(label) === label)
  // Orders of an engine; and the row that asks the other table.
  expect(unworded).toEqual(['names', 'learn', 'learn-while-listed'])
  expect(discardReason('authoritative-or-pending')).toContain('--gone')
})
