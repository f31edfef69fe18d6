// Proves the table of `status`: its columns, and the remarks below it for everything that needs attention.
import { statusTable } from '../../../../csi-driver/cli/status-table.ts'
import { HEALTHY, type VolumeStatus } from '../../../../csi-driver/observe/status.ts'

const SERVING: VolumeStatus = {
  volume: 'db1',
  state: 'serving',
  device: '/dev/loop3',
  connections: null,
  backing: '/dev/sdb',
  cache: '/cache/db1',
  writePolicy: 'write-back',
  effectiveWritePolicy: 'write-back',
  reason: null,
  phase: 'WriteBack',
  epoch: 1,
  run: 1,
  inSync: [],
  peers: null,
  dirtyBytes: 1.5 * 2 ** 20,
  dirtyLimitBytes: 2 ** 30,
  oldestDirtySeconds: 12,
  holderPid: 1,
  enginePid: 2,
  readHits: 3,
  readMisses: 1,
  previousCache: null,
  cacheBytes: 2 ** 32,
  cachedBytes: 0,
  logBytes: 0,
  logUsedBytes: 0,
  volumeBytes: 2 ** 40,
  sectorBytes: 512,
  backingHealth: HEALTHY,
  cacheHealth: HEALTHY,
  openBy: [],
  version: '0.1.0',
}

test('no volumes', () => expect(statusTable([])).toContain('No volumes.'))

test('columns are as wide as what is in them', () => {
  expect(statusTable([SERVING, { ...SERVING, volume: 'a-long-name', device: null, readHits: 0, readMisses: 0 }])).toBe(
    [
      'VOLUME       STATE    DEVICE      POLICY      DIRTY    OLDEST  READ HITS  BACKING',
      'db1          serving  /dev/loop3  write-back  1.5 MiB  12 s    75.0 %     /dev/sdb',
      'a-long-name  serving  -           write-back  1.5 MiB  12 s    -          /dev/sdb',
      '',
    ].join('\n'),
  )
})

test.each<[Partial<VolumeStatus>, string]>([
  [{ effectiveWritePolicy: 'write-through', reason: 'cache device failed' }, 'write-back (now write-through)'],
  [{ reason: 'cache device failed' }, 'db1: cache device failed'],
  [{ backingHealth: { failing: true, sinceSeconds: 61, reason: 'EIO' } }, 'db1: backing fails for 1 min 1 s: EIO'],
  [{ cacheHealth: { failing: true, sinceSeconds: null, reason: null } }, 'db1: cache fails: no reason known'],
  [
    {
      openBy: [
        { kind: 'mount', name: '/mnt/a', pid: null },
        { kind: 'process', name: 'postgres', pid: 812 },
      ],
    },
    'db1: waits for mount point /mnt/a, process 812 (postgres) to release the device',
  ],
  [{ state: 'stopped-dirty', dirtyBytes: 0 }, 'db1: the cache holds writes that the backing lacks'],
  [{ device: 'nbd+unix:///db1?socket=/s', connections: 1 }, ' nbd+unix:///db1?socket=/s (1 client) '],
  [{ device: 'nbd+unix:///db1?socket=/s', connections: 0 }, ' (0 clients) '],
  [{ state: 'restarting' }, 'db1: its engine does not answer'],
])('%j is shown', (change, expected) => {
  expect(statusTable([{ ...SERVING, ...change }])).toContain(expected)
})
