// Proves the arithmetic of the bench: medians, spreads, each ratio's definition, what counts as reached, and what is
// kept of fio's report.
import { fioArguments, parseFio } from './fio.ts'
import { markdownOf } from './markdown.ts'
import { joined, median, type PartResult, ratiosOf, rowsOf, spreadOf } from './report.ts'
import type { Sample } from './sample.ts'
import type { SubjectName } from './subjects.ts'
import { ALL_TARGETS, isReached, RATIO_RULES } from './targets.ts'

type Figures = Pick<Sample, 'iops' | 'p50Micros' | 'cpuMicros'>

function sample(subject: SubjectName, direction: 'read' | 'write', queueDepth: number, figures: Figures): Sample {
  const latency = { p99Micros: 900, p999Micros: 1900 }
  const fixed = { round: 1, title: subject, busyPollMicros: 0, operations: 100, othersShare: 0, ...latency }
  return { ...fixed, subject, direction, queueDepth, ...figures }
}

/** One round in which every figure of a ratio is another number. */
function roundOf(round: number, slower = 1): Sample[] {
  const cpuLess = (iops: number, p50Micros: number): Figures => ({ iops, p50Micros, cpuMicros: null })
  const served = (iops: number, p50Micros: number, cpuMicros: number): Figures => ({ iops, p50Micros, cpuMicros })
  return [
    sample('floor', 'read', 1, served(20_000, 40, 5)),
    sample('floor', 'read', 32, served(100_000, 300, 4)),
    sample('floor', 'write', 1, served(18_000, 50, 6)),
    sample('floor', 'write', 32, served(80_000, 350, 5)),
    sample('floorPolling', 'read', 1, served(40_000, 20, 20)),
    sample('memory', 'read', 1, served(10_000, 60 * slower, 9)),
    sample('memory', 'read', 32, served(95_000, 320, 8)),
    sample('memoryPolling', 'read', 1, served(30_000, 30, 30)),
    sample('flash', 'read', 1, served(5000, 150, 20)),
    sample('flash', 'read', 32, served(30_000, 900, 18)),
    sample('flash', 'write', 1, served(700, 1320, 60)),
    sample('flash', 'write', 32, served(16_000, 1900, 25)),
    sample('cacheFile', 'read', 32, cpuLess(60_000, 500)),
    sample('cacheDisk', 'read', 1, cpuLess(11_000, 80)),
    sample('cacheDisk', 'write', 1, cpuLess(900, 1050)),
    sample('replicated', 'write', 1, served(500, 1820, 80)),
    sample('replicated', 'write', 32, served(9600, 3100, 40)),
    sample('tlsRoundTrip', 'write', 1, cpuLess(9000, 80)),
  ].map((one) => ({ ...one, round }))
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
    expect(rows).toHaveLength(18)
    const row = rows.find(({ subject, workload }) => subject === 'memory' && workload === '4 KiB random read QD1')
    expect(row).toMatchObject({ rounds: 2, p50Micros: { median: 120, min: 60, max: 180 }, cpuMicros: { median: 9 } })
    expect(rows.find(({ subject }) => subject === 'cacheFile')?.cpuMicros).toBeNull()
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

describe('fio', () => {
  const side = { iops: 1000, total_ios: 3000, lat_ns: { percentile: { '50.000000': 38_144, '99.000000': 96_768 } } }
  const report = (error: number): string => `note\n${JSON.stringify({ jobs: [{ error, read: side, write: side }] })}`

  test('keeps counts and percentiles, in microseconds', () => {
    expect(parseFio(report(0), 'read')).toMatchObject({
      iops: 1000,
      operations: 3000,
      p50Micros: 38.144,
      p99Micros: 96.768,
    })
  })

  test('an I/O error, no job or no I/O is no result', () => {
    expect(() => parseFio(report(5), 'read')).toThrow('error 5')
    expect(() => parseFio('{"jobs":[]}', 'read')).toThrow('error unknown')
    const idle = { ...side, total_ios: 0 }
    expect(() => parseFio(JSON.stringify({ jobs: [{ error: 0, read: idle, write: idle }] }), 'read')).toThrow('nothing')
  })

  test('a durable write asks for O_DSYNC, and everything goes past the page cache', () => {
    const job = { target: '/dev/x', direction: 'write', queueDepth: 1, engine: 'psync', dataBytes: 4096 } as const
    expect(fioArguments({ ...job, durable: true, seconds: 1 })).toContain('--sync=dsync')
    expect(fioArguments({ ...job, seconds: 1 })).toEqual(expect.arrayContaining(['--sync=none', '--direct=1']))
  })
})
