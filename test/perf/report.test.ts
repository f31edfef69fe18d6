// Proves the arithmetic of the bench: medians, spreads, each ratio's definition, what counts as reached, and what is
// kept of fio's report.
import { fioArguments, parseFio } from './fio.ts'
import { markdownOf, sectionOf } from './markdown.ts'
import { joined, median, type PartResult, ratiosOf, rowsOf, spreadOf } from './report.ts'
import type { Sample } from './sample.ts'
import type { SubjectName } from './subjects.ts'
import { ALL_TARGETS, isReached, NBD_RULES, RATIO_RULES } from './targets.ts'
import type { WorkloadName } from './workloads.ts'

type Figures = Pick<Sample, 'iops' | 'p50Micros' | 'cpuMicros'>

function sample(subject: SubjectName, workload: WorkloadName, figures: Figures): Sample {
  const latency = { p99Micros: 900, p999Micros: 1900 }
  const served = { residentMiB: figures.cpuMicros === null ? null : 64, acknowledgesEarly: 'until a flush' } as const
  const fixed = { round: 1, title: subject, busyPollMicros: 0, operations: 100, othersShare: 0, ...latency, ...served }
  return { ...fixed, subject, workload, ...figures }
}

/** One round in which every figure of a ratio is another number. */
function roundOf(round: number, slower = 1): Sample[] {
  const cpuLess = (iops: number, p50Micros: number): Figures => ({ iops, p50Micros, cpuMicros: null })
  const served = (iops: number, p50Micros: number, cpuMicros: number): Figures => ({ iops, p50Micros, cpuMicros })
  return [
    sample('floor', 'read1', served(20_000, 40, 5)),
    sample('floor', 'read32', served(100_000, 300, 4)),
    sample('floor', 'write1', served(18_000, 50, 6)),
    sample('floor', 'write32', served(80_000, 350, 5)),
    sample('floorPolling', 'read1', served(40_000, 20, 20)),
    sample('memory', 'read1', served(10_000, 60 * slower, 9)),
    sample('memory', 'read32', served(95_000, 320, 8)),
    sample('memoryPolling', 'read1', served(30_000, 30, 30)),
    sample('flash', 'read1', served(5000, 150, 20)),
    sample('flash', 'read32', served(30_000, 900, 18)),
    sample('flash', 'write1', served(700, 1320, 60)),
    sample('flash', 'write32', served(16_000, 1900, 25)),
    sample('cacheFile', 'read32', cpuLess(60_000, 500)),
    sample('cacheDisk', 'read1', cpuLess(11_000, 80)),
    sample('cacheDisk', 'write1', cpuLess(900, 1050)),
    sample('replicated', 'write1', served(500, 1820, 80)),
    sample('replicated', 'write32', served(9600, 3100, 40)),
    sample('tlsRoundTrip', 'write1', cpuLess(9000, 80)),
    sample('slowDisk', 'sequentialRead', cpuLess(400, 10_000)),
    sample('slowDisk', 'sequentialWrite', cpuLess(500, 9000)),
    sample('slowVolume', 'sequentialRead', served(300, 12_000, 900)),
    sample('slowVolume', 'sequentialWrite', served(100, 38_000, 1900)),
  ].map((one) => ({ ...one, round }))
}

function nbdRound(): Sample[] {
  const of = (subject: SubjectName, workload: WorkloadName, iops: number): Sample =>
    sample(subject, workload, { iops, p50Micros: 300, cpuMicros: 9 })
  return [
    ...[of('nbdMemory', 'read32', 60_000), of('nbdkit', 'read32', 40_000), of('qemuNbd', 'read32', 30_000)],
    ...[of('nbdFlash', 'flushedWrite32', 9000), of('nbdkit', 'flushedWrite32', 300)],
    ...[of('qemuNbd', 'flushedWrite32', 2000), of('nbdMemory', 'write32', 50_000)],
    ...[of('nbdkit', 'write32', 25_000), of('qemuNbd', 'write32', 100_000)],
  ]
}

describe('median and spread', () => {
  test('of odd and even counts, in any order', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(median([10, 9, 100])).toBe(10)
    expect(median([])).toBeNaN()
    expect(spreadOf([5, 7, 6])).toEqual({ median: 6, min: 5, max: 7 })
  })
})

describe('ratios', () => {
  test('are ours over theirs, as the design defines each', () => {
    const { ratios } = ratiosOf(roundOf(1), RATIO_RULES)
    expect(ratios['readHitQd32']).toBeCloseTo(95 / 100)
    expect(ratios['readHitQd1P50']).toBeCloseTo(60 / 40)
    expect(ratios['readHitQd1P50Polling']).toBeCloseTo(30 / 20)
    expect(ratios['readHitCpu']).toBeCloseTo(8 / 4)
    expect(ratios['flashReadHitQd1P50']).toBeCloseTo(150 / (40 + 80))
    expect(ratios['flashReadHitQd32']).toBeCloseTo(30 / 60)
    expect(ratios['localWriteQd1P50']).toBeCloseTo(1320 / (50 + 1050))
    expect(ratios['localWriteQd32']).toBeCloseTo(16 / 80)
    expect(ratios['replicatedQd1P50']).toBeCloseTo(1820 / (1320 + 80))
    expect(ratios['replicatedQd32']).toBeCloseTo(9.6 / 16)
    expect(ratios['sequentialRead']).toBeCloseTo(3 / 4)
    expect(ratios['sequentialWrite']).toBeCloseTo(1 / 5)
  })

  test('set NBD in memory beside page caches, and NBD on flash beside them where every write is flushed', () => {
    expect(ratiosOf(nbdRound(), NBD_RULES).ratios).toEqual({
      nbdReadVsNbdkit: 1.5,
      nbdReadVsQemu: 2,
      nbdWriteVsNbdkit: 30,
      nbdWriteVsQemu: 4.5,
      nbdVolatileWriteVsNbdkit: 2,
      nbdVolatileWriteVsQemu: 0.5,
    })
  })

  test('are taken of medians; their spread goes round by round', () => {
    const { ratios, ratioSpreads } = ratiosOf([...roundOf(1, 1), ...roundOf(2, 4), ...roundOf(3, 2)], RATIO_RULES)
    expect(ratios['readHitQd1P50']).toBeCloseTo(120 / 40)
    expect(ratioSpreads['readHitQd1P50']).toEqual([1.5, 6])
    expect(ratioSpreads['localWriteQd32']).toEqual([0.2, 0.2])
  })

  test('do not come out of a run that left something out', () => {
    const samples = roundOf(1).filter(({ subject }) => subject !== 'cacheDisk')
    expect(() => ratiosOf(samples, RATIO_RULES)).toThrow('no sample of cacheDisk')
  })

  test('reach their target at the bound itself', () => {
    expect(isReached({ bound: 'at least', value: 0.9 }, 0.9)).toBe(true)
    expect(isReached({ bound: 'at least', value: 0.9 }, 0.89)).toBe(false)
    expect(isReached({ bound: 'at most', value: 1.15 }, 1.15)).toBe(true)
    expect(isReached({ bound: 'at most', value: 1.15 }, 1.16)).toBe(false)
    expect(isReached({ bound: 'at most', value: 1.15 }, Number.NaN)).toBe(false)
    expect(isReached({ bound: 'none', value: 0 }, 17)).toBe(true)
  })
})

describe('rows', () => {
  test('gather the rounds of one subject under one workload', () => {
    const rows = rowsOf([...roundOf(1, 1), ...roundOf(2, 3)])
    expect(rows).toHaveLength(22)
    const row = rows.find(({ subject, workload }) => subject === 'memory' && workload === '4 KiB random read QD1')
    expect(row).toMatchObject({ rounds: 2, p50Micros: { median: 120, min: 60, max: 180 }, cpuMicros: { median: 9 } })
    expect(row).toMatchObject({ name: 'read1', direction: 'read', queueDepth: 1, residentMiB: { median: 64 } })
    expect(row?.megabytesPerSecond.median).toBeCloseTo(40.96)
    expect(rows.find(({ subject }) => subject === 'cacheFile')).toMatchObject({ cpuMicros: null, residentMiB: null })
    const large = rows.find(({ name }) => name === 'sequentialRead')
    expect(large?.workload).toBe('1 MiB sequential read QD4')
    expect(large?.megabytesPerSecond.median).toBeCloseTo(419.43)
  })
})

const KEYS = ALL_TARGETS.map(({ key }) => key)

test('what was not measured is null; the parts of a run are joined', () => {
  const one: PartResult = { ratios: { readHitQd32: 0.5 }, ratioSpreads: { readHitQd32: [0.4, 0.6] } }
  const table = { title: 'Pauses', columns: ['round'], lines: [[1]] }
  const other: PartResult = { ratios: { holderRssMiB: 1.5 }, ratioSpreads: {}, tables: [table] }
  const { ratios, ratioSpreads, tables, rows } = joined([one, other], KEYS)
  expect(Object.keys(ratios).toSorted()).toEqual(KEYS.toSorted())
  expect(ratios).toMatchObject({ readHitQd32: 0.5, holderRssMiB: 1.5, readHitCpu: null })
  expect({ ratioSpreads, tables, rows }).toEqual({ ratioSpreads: one.ratioSpreads, tables: [table], rows: [] })
})

test('the table names the machine and sets every target beside its figure', () => {
  const samples = roundOf(1)
  const absolutes = { ratios: { engineRssMiB: 95, holderRssMiB: 1.5 }, ratioSpreads: {} }
  const tables = [{ title: 'Pauses', columns: ['round', 'seconds'], lines: [[1, 0.25]] }]
  const rounds = { ...ratiosOf(samples, RATIO_RULES), rows: rowsOf(samples), tables }
  const text = markdownOf({ machine: { cpu: 'Abacus', cores: 2 }, ...joined([rounds, absolutes], KEYS) })
  expect(text).toContain('cpu Abacus; cores 2')
  for (const key of KEYS) expect(text).toContain(`| \`${key}\` |`)
  expect(text).toMatch(/`readHitQd32`.* \| ≥ 0\.9 \| yes \|/)
  expect(text).toMatch(/`engineRssMiB`.* \| 95\.0 \| ≤ 90 \| \*\*no\*\* \|/)
  expect(text).toMatch(/`bytesPerCachedBlock`.* \| - \| ≤ 32 \| - \|/)
  expect(text).toContain('Pauses:\n\n| round | seconds |\n| --- | --- |\n| 1 | 0.25 |\n')
})

test('random rows say IOPS, sequential ones MB/s; only writers acknowledge; the headline has the deep queues', () => {
  const rows = [...rowsOf(roundOf(1)), ...rowsOf(nbdRound())]
  const results = { machine: {}, ...joined([{ ratios: {}, ratioSpreads: {}, rows }], KEYS) }
  const all = sectionOf('rows', results)
  const alike = (values: readonly string[]): string => values.map((value) => `${value} (${value}–${value})`).join(' | ')
  expect(all).toContain(
    `| 4 KiB random write QD32 | flash | ${alike(['16000', '1900', '900', '1900', '25.0', '64.0'])} | until a flush |`,
  )
  expect(all).toContain(
    `| 1 MiB sequential read QD4 | slowDisk | ${alike(['419', '10000', '900', '1900'])} | - | - | - |`,
  )
  const headline = sectionOf('headline', results)
  expect(headline).toContain('| 4 KiB random write QD32, a flush after each | nbdkit |')
  expect(headline).not.toContain('QD1 ')
  expect(headline).not.toContain('sequential')
})

describe('fio', () => {
  const side = { iops: 1000, total_ios: 3000, lat_ns: { percentile: { '50.000000': 38_144, '99.000000': 96_768 } } }
  const report = (error: number): string => {
    const sync = { lat_ns: { percentile: { '50.000000': 2_000_000 } } }
    const mixed = { ...side, iops: 1700 }
    return `note\n${JSON.stringify({ jobs: [{ error, read: side, write: side, mixed, sync }] })}`
  }
  const reading = { direction: 'read' } as const

  test('keeps counts and percentiles, in microseconds', () => {
    expect(parseFio(report(0), reading)).toMatchObject({
      iops: 1000,
      operations: 3000,
      p50Micros: 38.144,
      p99Micros: 96.768,
    })
  })

  test('tells a mix as one; where a flush follows each write, how long the flushes took', () => {
    expect(parseFio(report(0), { direction: 'mix' }).iops).toBe(1700)
    expect(parseFio(report(0), { direction: 'write', flushesEach: true })).toMatchObject({
      iops: 1000,
      p50Micros: 2000,
    })
  })

  test('an I/O error, no job or no I/O is no result', () => {
    expect(() => parseFio(report(5), reading)).toThrow('error 5')
    expect(() => parseFio('{"jobs":[]}', reading)).toThrow('error unknown')
    const idle = { ...side, total_ios: 0 }
    expect(() => parseFio(JSON.stringify({ jobs: [{ error: 0, read: idle, write: idle }] }), reading)).toThrow(
      'nothing',
    )
  })

  test('a durable write asks for O_DSYNC, and everything goes past the page cache', () => {
    const job = { target: '/dev/x', direction: 'write', queueDepth: 1, engine: 'psync', dataBytes: 4096 } as const
    expect(fioArguments({ ...job, durable: true, seconds: 1 })).toContain('--sync=dsync')
    expect(fioArguments({ ...job, seconds: 0.5 })).toContain('--runtime=500ms')
    expect(fioArguments({ ...job, seconds: 1 })).toEqual(expect.arrayContaining(['--sync=none', '--direct=1']))
  })

  test('an NBD export is a URI, after the engine that knows it; mixes and large blocks are asked for as such', () => {
    const job = { target: 'nbd+unix:///?socket=/s', queueDepth: 4, engine: 'nbd', dataBytes: 4096, seconds: 1 } as const
    const words = fioArguments({ ...job, direction: 'mix', flushesEach: true })
    expect(words.indexOf('--ioengine=nbd')).toBeLessThan(words.indexOf('--uri=nbd+unix:///?socket=/s'))
    expect(words).toEqual(expect.arrayContaining(['--rw=randrw', '--rwmixread=70', '--fsync=1', '--bs=4096']))
    expect(words.some((word) => word.startsWith('--filename'))).toBe(false)
    const large = fioArguments({ ...job, direction: 'read', isSequential: true, blockBytes: 65_536, offsetBytes: 8192 })
    expect(large).toEqual(expect.arrayContaining(['--rw=read', '--bs=65536', '--offset=8192']))
    expect(large).not.toContain('--fsync=1')
  })
})
