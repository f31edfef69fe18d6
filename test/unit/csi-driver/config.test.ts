// Proves that the settings of `serve` say what is wrong with each bad value, and that the split of a cache always leaves
// room for the dirty limit: over all sizes, the log holds 2.5 times what may be dirty.
import fc from 'fast-check'
import { readSettings, splitArguments } from '../../../base/settings.ts'
import { GIB, MIB } from '../../../base/units.ts'
import {
  cacheBytesFor,
  CACHE_BYTES_MIN,
  CACHE_HEADER_BYTES,
  joinedProblems,
  LOG_BYTES_MIN,
  serveSchema,
  splitCache,
  VOLUME_NAME_PATTERN,
} from '../../../csi-driver/config.ts'

const GOOD = ['--backing', '/dev/sdb', '--cache', '/cache']
const read = (...words: string[]) =>
  readSettings(serveSchema, { flags: splitArguments(serveSchema, [...GOOD, ...words]).flags })
const problemsOf = (...words: string[]): string[] =>
  read(...words).problems.map(({ where, problem }) => `${where} ${problem}`)

describe('flags of serve', () => {
  test('what is required is enough', () => {
    const { settings, problems } = read()
    expect(problems).toEqual([])
    expect(settings).toMatchObject({
      backing: '/dev/sdb',
      cacheSize: null,
      resource: 'flash',
      writePolicy: 'write-back',
      dirtyLimit: null,
      dirtyAge: 30_000,
      stateDir: '/var/lib/forebay',
      formatCache: false,
      acceptDataLoss: '',
    })
  })

  test.each([
    [['--cache-size', '31MiB'], '--cache-size is too small; at least 32MiB'],
    [['--cache-size', '4GB'], '--cache-size has an unknown unit "GB"'],
    [['--cache-size', 'much'], '--cache-size is not a size'],
    [['--cache-size', '-1GiB'], '--cache-size is not a size'],
    [['--cache-size', '33554433'], '--cache-size must be a multiple of 1MiB'],
    [['--resource', 'disk'], '--resource is none of flash, memory'],
    [['--write-policy', 'writeback'], '--write-policy is none of'],
    [['--dirty-limit', '1MiB'], '--dirty-limit is too small; at least 4MiB'],
    [['--dirty-age', '30'], '--dirty-age needs one of the units'],
    [['--dirty-age', '50ms'], '--dirty-age is too small'],
    [['--sector-size', '1024'], '--sector-size is none of 512, 4096'],
    [['--metrics', '9750'], '--metrics is not ADDR:PORT'],
    [['--metrics', 'localhost:99999'], '--metrics has a port above 65535'],
    [['--node', 'two words'], '--node must be 1 to 253 of'],
    [['--accept-data-loss', 'UPPER'], "--accept-data-loss must be the volume's name"],
    [['--backing-changed', 'yes'], '--backing-changed is none of'],
    [['--busy-poll', '1001'], '--busy-poll must be auto, or 0 to 1000 microseconds'],
    [['--cachesize', '1GiB'], '--cachesize is unknown; did you mean cache-size?'],
    [['--cache', '/other'], '--cache is given more than once'],
  ])('%j', (words, expected) => {
    expect(problemsOf(...words)).toEqual([expect.stringContaining(expected)])
  })

  test('all problems are said at once', () => {
    const problems = readSettings(serveSchema, { flags: [{ name: 'dirty-age', text: 'x' }] }).problems
    expect(problems.map(({ where }) => where)).toEqual(['--dirty-age', '--backing', '--cache'])
  })
})

test.each([
  ['a', true],
  ['db-1', true],
  ['0', true],
  ['a'.repeat(63), true],
  ['a'.repeat(64), false],
  ['', false],
  ['-a', false],
  ['a-', false],
  ['A', false],
  ['a_b', false],
  ['../a', false],
  ['a\n', false],
])('volume name %j is accepted: %j', (name, accepted) => {
  expect(VOLUME_NAME_PATTERN.test(name)).toBe(accepted)
})

describe('settings that need one another', () => {
  test('write-back in memory needs --allow-volatile', () => {
    const wanted = ['--resource', 'memory']
    expect(joinedProblems('v', read(...wanted).settings)).toEqual([expect.objectContaining({ where: '--resource' })])
    expect(joinedProblems('v', read(...wanted, '--allow-volatile').settings)).toEqual([])
    expect(joinedProblems('v', read(...wanted, '--write-policy', 'write-through').settings)).toEqual([])
  })

  test('data loss is accepted for the named volume only', () => {
    const { settings } = read('--accept-data-loss', 'db1')
    expect(joinedProblems('db1', settings)).toEqual([])
    expect(joinedProblems('db2', settings)).toEqual([expect.objectContaining({ where: '--accept-data-loss' })])
  })

  test('a socket for NBD goes with an NBD export only', () => {
    const { settings } = read('--nbd-socket', '/run/v.nbd')
    expect(joinedProblems('v', settings)).toEqual([expect.objectContaining({ where: '--nbd-socket' })])
    expect(joinedProblems('v', { ...settings, frontend: 'nbd' })).toEqual([])
  })
})

describe('split of a cache', () => {
  const cacheSizes = fc.integer({ min: CACHE_BYTES_MIN / MIB, max: 64 * 1024 }).map((mebibytes) => mebibytes * MIB)

  test('the default of 4 GiB: 1 GiB dirty, 2.5 GiB and 16 MiB of log', () => {
    expect(splitCache(4 * GIB, null)).toEqual({
      dirtyLimitBytes: GIB,
      logBytes: 2.5 * GIB + 16 * MIB,
      readCacheBytes: 4 * GIB - CACHE_HEADER_BYTES - 2.5 * GIB - 16 * MIB,
    })
  })

  test('without a dirty limit every cache size works', () => {
    fc.assert(fc.property(cacheSizes, (cacheBytes) => 'logBytes' in splitCache(cacheBytes, null)))
  })

  test('either the dirty limit is refused, or log and read cache fill the cache and the log has room for it', () => {
    const limits = fc.integer({ min: 1024, max: 16 * 1024 * 1024 }).map((blocks) => blocks * 4096)
    fc.assert(
      fc.property(cacheSizes, limits, (cacheBytes, dirtyLimitBytes) => {
        const split = splitCache(cacheBytes, dirtyLimitBytes)
        if ('where' in split) return dirtyLimitBytes > cacheBytes * 0.29
        const { logBytes, readCacheBytes } = split
        expect(logBytes + readCacheBytes + CACHE_HEADER_BYTES).toBe(cacheBytes)
        expect(readCacheBytes).toBeGreaterThan(cacheBytes / 5)
        expect(logBytes).toBeGreaterThanOrEqual(Math.max(LOG_BYTES_MIN, 2.5 * dirtyLimitBytes))
        return logBytes % 4096 === 0
      }),
    )
  })

  test('a limit that does not fit is refused with the largest that does', () => {
    expect(splitCache(64 * MIB, 32 * MIB)).toEqual({
      where: '--dirty-limit',
      problem: expect.stringContaining('at most 19MiB'),
    })
    expect('logBytes' in splitCache(64 * MIB, 19 * MIB)).toBe(true)
  })
})

test.each([
  [null, { kind: 'none', sizeBytes: 0 }, 4 * GIB],
  [null, { kind: 'file', sizeBytes: 0 }, 4 * GIB],
  [null, { kind: 'file', sizeBytes: 64 * MIB }, 64 * MIB],
  [null, { kind: 'block', sizeBytes: 10 * GIB + 4096 }, 10 * GIB],
  [GIB, { kind: 'block', sizeBytes: 10 * GIB }, GIB],
] as const)('cache size given=%p found=%j is %p', (given, found, expected) => {
  expect(cacheBytesFor(given, found)).toBe(expected)
})
