// Proves that medians and ratios are what the table says they are: ours over theirs, sums of latencies where a volume
// owes both, and the smaller of two rates where either bounds it.
import type { Measurement } from './fio.ts'
import {
  FLASH,
  FLOOR,
  markdownOf,
  median,
  MEMORY,
  RAW_CACHE,
  RAW_DISK_DSYNC,
  ratiosOf,
  READ_1,
  READ_32,
  rowOf,
  WRITE_1,
  WRITE_32,
} from './report.ts'

const measured = (iops: number, p50Us: number, cpuUsPerIo: number | null = null): Measurement => ({
  iops,
  p50Us,
  p99Us: p50Us * 2,
  cpuUsPerIo,
})

const rows = [
  rowOf(FLOOR, READ_1, [measured(1, 40), measured(1, 50), measured(1, 1000)]),
  rowOf(FLOOR, READ_32, [measured(100_000, 300, 4)]),
  rowOf(FLOOR, WRITE_1, [measured(1, 60)]),
  rowOf(FLOOR, WRITE_32, [measured(80_000, 400)]),
  rowOf(MEMORY, READ_1, [measured(1, 55)]),
  rowOf(MEMORY, READ_32, [measured(95_000, 320, 5)]),
  rowOf(FLASH, READ_1, [measured(1, 165)]),
  rowOf(FLASH, READ_32, [measured(30_000, 900)]),
  rowOf(FLASH, WRITE_1, [measured(1, 120)]),
  rowOf(FLASH, WRITE_32, [measured(60_000, 500)]),
  rowOf(RAW_CACHE, READ_1, [measured(1, 100)]),
  rowOf(RAW_CACHE, READ_32, [measured(40_000, 700)]),
  rowOf(RAW_DISK_DSYNC, WRITE_1, [measured(1, 40)]),
]

test('a median is the middle one, or the mean of the middle two', () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([7])]).toEqual([2, 2.5, 7])
})

test('ratios are ours over theirs', () => {
  expect(ratiosOf(rows)).toEqual({
    readHitQd32: 0.95,
    readHitQd1P50: 1.1,
    readHitCpu: 1.25,
    flashReadHitQd1P50: 1.1,
    flashReadHitQd32: 0.75,
    localWriteQd1P50: 1.2,
    localWriteQd32: 0.75,
  })
})

test('what was not measured is an error, not a ratio', () => {
  expect(() => ratiosOf(rows.slice(1))).toThrow('not measured: C floor, read QD1')
})

test('the table names the machine and says which targets are met', () => {
  const machine = { processor: 'CPU', cores: 2, memoryGiB: 8, kernel: '6.18', node: '24', cacheDisk: 'disk' }
  const text = markdownOf({
    machine,
    settings: { rounds: 3 },
    rows,
    ratios: ratiosOf(rows),
    memory: { holderRssMiB: 3 },
  })
  expect(text).toMatch(/^CPU, 2 cores, 8 GiB, Linux 6.18, Node 24, cache on disk\n/)
  expect(text).toContain('| readHitQd32 | 0.95 | ≥ 0.9 | yes |')
  expect(text).toContain('| holderRssMiB | 3.00 | ≤ 2 | no |')
})
