// Proves one refusal for every path that cannot be used, with what was found and what to do, and none for good ones.
import { type PathFacts } from '../../../../csi-driver/cli/path-facts.ts'
import { pathProblems, type ServeFacts } from '../../../../csi-driver/cli/path-checks.ts'
import { serveSchema, type ServeSettings } from '../../../../csi-driver/config.ts'
import { readSettings } from '../../../../base/settings.ts'
import { GIB, MIB } from '../../../../base/units.ts'

const { settings: DEFAULTS } = readSettings(serveSchema, {
  flags: [
    { name: 'backing', text: '/dev/sdb' },
    { name: 'cache', text: '/fast/cache' },
  ],
})

const FILE: PathFacts = {
  given: '/fast/cache',
  path: '/fast/cache',
  kind: 'file',
  directoryExists: true,
  sizeBytes: GIB,
  allocatedBytes: GIB,
  hardLinks: 1,
  writable: true,
  block: null,
  identity: { kind: 'file', directoryDevice: 2049, directoryInode: 5, name: 'cache' },
  standsOn: new Set(['file:2049:6', 'block:8:1', 'block:8:0']),
  ourVolumes: [],
  deviceOfVolume: null,
  usedBy: [],
  inMemory: false,
  freeBytes: 100 * GIB,
}
const BLOCK: PathFacts = {
  ...FILE,
  given: '/dev/sdb',
  path: '/dev/sdb',
  kind: 'block',
  sizeBytes: 10 * GIB,
  block: {
    name: 'sdb',
    sizeBytes: 10 * GIB,
    logicalSectorBytes: 512,
    readOnly: false,
    holders: [],
    partitions: [],
    below: [],
    loopFile: null,
  },
  identity: { kind: 'block', major: 8, minor: 16 },
  standsOn: new Set(['block:8:16']),
}
const IMAGE: PathFacts = {
  ...FILE,
  given: '/nfs/disk.img',
  path: '/nfs/disk.img',
  identity: { kind: 'file', directoryDevice: 50, directoryInode: 1, name: 'disk.img' },
  standsOn: new Set(['file:50:9', 'block:0:50']),
}
const MISSING: PathFacts = { ...FILE, kind: 'missing', sizeBytes: 0, allocatedBytes: 0, hardLinks: 0, writable: false }
const STATE: PathFacts = { ...FILE, given: '/var/lib/forebay', path: '/var/lib/forebay', kind: 'directory' }

interface Change {
  readonly backing?: Partial<PathFacts>
  readonly cache?: Partial<PathFacts>
  readonly stateDirectory?: Partial<PathFacts>
  readonly settings?: Partial<ServeSettings>
  readonly cacheBytes?: number
}

function facts(change: Change, base: { backing?: PathFacts; cache?: PathFacts } = {}): ServeFacts {
  return {
    volume: 'db1',
    settings: { ...DEFAULTS, ...change.settings },
    backing: { ...(base.backing ?? BLOCK), ...change.backing },
    cache: { ...(base.cache ?? FILE), ...change.cache },
    stateDirectory: { ...STATE, ...change.stateDirectory },
    cacheBytes: change.cacheBytes ?? GIB,
  }
}

test.each<[string, ServeFacts]>([
  ['a block device and a file', facts({})],
  ['an image file', facts({}, { backing: IMAGE })],
  ['a cache that is made', facts({}, { cache: MISSING })],
  [
    'a cache on a partition',
    facts(
      {
        cache: {
          path: '/dev/sdc1',
          identity: { kind: 'block', major: 8, minor: 33 },
          standsOn: new Set(['block:8:33', 'block:8:32']),
        },
      },
      { cache: BLOCK },
    ),
  ],
  ['a state directory that is made', facts({ stateDirectory: { kind: 'missing' } })],
  ['memory on tmpfs', facts({ cache: { inMemory: true }, settings: { resource: 'memory' } })],
  [
    'cache and backing on two partitions of one disk',
    facts({
      backing: { standsOn: new Set(['block:8:2', 'block:8:0']), identity: { kind: 'block', major: 8, minor: 2 } },
    }),
  ],
  [
    'cache and image file on one file system',
    facts({ backing: { standsOn: new Set(['file:2049:7', 'block:8:1', 'block:8:0']) } }, { backing: IMAGE }),
  ],
  ['a cache on another volume of ours', facts({ cache: { ourVolumes: ['other'] } })],
  ['512-byte sectors on request', facts({ settings: { sectorSize: '512' } })],
  ['4096-byte sectors over 512', facts({ settings: { sectorSize: '4096' } })],
])('%s is fine', (_, good) => expect(pathProblems(good)).toEqual([]))

const sectors = (logicalSectorBytes: number) => ({
  ...(BLOCK.block as NonNullable<PathFacts['block']>),
  logicalSectorBytes,
})

test.each<[string, ServeFacts]>([
  ['--backing does not exist', facts({ backing: { kind: 'missing' } })],
  ['--backing is a directory', facts({ backing: { kind: 'directory' } })],
  ['--backing is neither a block device nor a file', facts({ backing: { kind: 'other' } })],
  ['--backing is the device of volume=db9, already served', facts({ backing: { deviceOfVolume: 'db9' } })],
  [
    '--backing is in use: mounted at /mnt, part of dm-3',
    facts({ backing: { usedBy: ['mounted at /mnt', 'part of dm-3'] } }),
  ],
  ['--backing is read-only', facts({ backing: { block: { ...sectors(512), readOnly: true } } })],
  ['--backing cannot be opened for writing', facts({ backing: { writable: false } })],
  ['--backing is too small; at least 2MiB', facts({ backing: { sizeBytes: MIB } })],
  ['--backing is too large; at most 16TiB', facts({ backing: { sizeBytes: 17 * 1024 ** 4 } })],
  ['--backing has a line break', facts({ backing: { path: '/a\nb' } })],
  [
    '--backing has sectors of 4096 bytes; --sector-size must be at least that',
    facts({ backing: { block: sectors(4096) }, settings: { sectorSize: '512' } }),
  ],
  ['--backing has sectors of 8192 bytes; only 512 and 4096', facts({ backing: { block: sectors(8192) } })],
  [
    '--backing is no multiple of the sector size 4096',
    facts({ backing: { sizeBytes: GIB + 512 }, settings: { sectorSize: '4096' } }),
  ],
  ['--backing is no multiple of the sector size 512', facts({ backing: { sizeBytes: GIB + 100 } }, { backing: IMAGE })],
  ['--cache is in a directory that does not exist', facts({ cache: { directoryExists: false } }, { cache: MISSING })],
  ['--cache is a directory', facts({ cache: { kind: 'directory' } })],
  ['--cache is neither a file nor a block device', facts({ cache: { kind: 'other' } })],
  ['--cache is in use: used for swap', facts({ cache: { usedBy: ['used for swap'] } })],
  ['--cache is read-only', facts({ cache: { block: { ...sectors(512), readOnly: true } } }, { cache: BLOCK })],
  ['--cache cannot be opened for writing', facts({ cache: { writable: false } })],
  ['--cache has 2 names (hard links)', facts({ cache: { hardLinks: 2 } })],
  ['--cache is in memory (tmpfs)', facts({ cache: { inMemory: true } })],
  ['--cache is not in memory', facts({ settings: { resource: 'memory' } })],
  [
    '--cache is not in memory',
    facts({ settings: { resource: 'memory' } }, { cache: { ...BLOCK, identity: null, standsOn: new Set() } }),
  ],
  ['--cache is too small for a cache; at least 32MiB', facts({ cacheBytes: MIB, cache: { sizeBytes: MIB } })],
  [
    '--cache is smaller than --cache-size 20GiB',
    facts({ cacheBytes: 20 * GIB }, { cache: { ...BLOCK, identity: null } }),
  ],
  ['--cache is smaller than --cache-size 2GiB; leave that flag out', facts({ cacheBytes: 2 * GIB })],
  ['--cache has no room for 1GiB; 1 MiB are free there', facts({ cache: { freeBytes: MIB } }, { cache: MISSING })],
  ['--cache has no room for 1GiB; 1 MiB are free there', facts({ cache: { freeBytes: MIB, allocatedBytes: 0 } })],
  ['--cache is the backing itself', facts({ cache: { path: '/dev/sdb' } }, { cache: BLOCK })],
  ['--cache is on the volume that it would accelerate', facts({ cache: { ourVolumes: ['db1'] } })],
  [
    '--cache is on the backing of the volume',
    facts({ cache: { standsOn: new Set(['file:1:1', 'block:8:17', 'block:8:16']) } }),
  ],
  [
    '--cache is on the backing of the volume',
    facts({ cache: { standsOn: new Set(['file:1:1', 'block:7:0', 'file:50:9']) } }, { backing: IMAGE }),
  ],
  [
    '--cache holds the backing of the volume',
    facts({ backing: { standsOn: new Set(['file:50:9', 'block:7:0', 'file:2049:6']) } }, { backing: IMAGE }),
  ],
  ['--state-dir is not a directory', facts({ stateDirectory: { kind: 'file' } })],
  ['--state-dir is on the volume that it describes', facts({ stateDirectory: { ourVolumes: ['db1'] } })],
])('%s', (expected, bad) => {
  const problems = pathProblems(bad).map(({ where, problem }) => `${where} ${problem}`)
  expect(problems).toEqual([expect.stringContaining(expected)])
  expect(problems[0]).toMatch(/ (path|given|sizeBytes)=|found=/)
})

test('a bad backing and a bad cache are said together', () => {
  const problems = pathProblems(facts({ backing: { kind: 'missing' }, cache: { kind: 'directory' } }))
  expect(problems.map(({ where }) => where)).toEqual(['--backing', '--cache'])
})
