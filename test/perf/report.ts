// From measurements to results: medians over the rounds, the ratios by which the product is judged (ours over theirs,
// all of one run), results.json and a table in Markdown.
import type { Measurement } from './fio.ts'

export interface Row {
  readonly target: string
  readonly workload: string
  readonly iops: number
  readonly p50Us: number
  readonly p99Us: number
  readonly cpuUsPerIo: number | null
  readonly rounds: readonly Measurement[]
}

export interface Machine {
  readonly processor: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly node: string
  readonly cacheDisk: string
}

export interface Results {
  readonly machine: Machine
  readonly settings: Readonly<Record<string, number | string | boolean>>
  readonly rows: readonly Row[]
  readonly ratios: Readonly<Record<string, number>>
  readonly memory: Readonly<Record<string, number>>
}

export const FLOOR = 'C floor'
export const MEMORY = 'forebay, memory'
export const FLASH = 'forebay, flash'
export const RAW_BACKING = 'raw backing'
export const RAW_CACHE = 'raw cache file'
export const RAW_DISK_DSYNC = 'cache disk, O_DSYNC'

export const READ_1 = 'read QD1'
export const READ_32 = 'read QD32'
export const WRITE_1 = 'write QD1'
export const WRITE_32 = 'write QD32'

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}

export function rowOf(target: string, workload: string, rounds: readonly Measurement[]): Row {
  const cpu = rounds.map((round) => round.cpuUsPerIo).filter((value) => value !== null)
  return {
    target,
    workload,
    iops: median(rounds.map((round) => round.iops)),
    p50Us: median(rounds.map((round) => round.p50Us)),
    p99Us: median(rounds.map((round) => round.p99Us)),
    cpuUsPerIo: cpu.length === 0 ? null : median(cpu),
    rounds,
  }
}

/** Target of each key: at least, or at most. */
const TARGETS: Readonly<Record<string, { readonly bound: number; readonly atLeast: boolean }>> = {
  readHitQd32: { bound: 0.9, atLeast: true },
  readHitQd1P50: { bound: 1.15, atLeast: false },
  readHitCpu: { bound: 1.5, atLeast: false },
  flashReadHitQd1P50: { bound: 1.25, atLeast: false },
  flashReadHitQd32: { bound: 0.6, atLeast: true },
  localWriteQd1P50: { bound: 1.25, atLeast: false },
  localWriteQd32: { bound: 0.6, atLeast: true },
  engineRssMiB: { bound: 90, atLeast: false },
  holderRssMiB: { bound: 2, atLeast: false },
}

export function ratiosOf(rows: readonly Row[]): Record<string, number> {
  const of = (target: string, workload: string): Row => {
    const found = rows.find((row) => row.target === target && row.workload === workload)
    if (found === undefined) throw new Error(`not measured: ${target}, ${workload}`)
    return found
  }
  const [read1, read32] = [of(FLOOR, READ_1), of(FLOOR, READ_32)]
  const [write1, write32] = [of(FLOOR, WRITE_1), of(FLOOR, WRITE_32)]
  return {
    readHitQd32: of(MEMORY, READ_32).iops / read32.iops,
    readHitQd1P50: of(MEMORY, READ_1).p50Us / read1.p50Us,
    readHitCpu: (of(MEMORY, READ_32).cpuUsPerIo ?? 0) / (read32.cpuUsPerIo ?? 1),
    flashReadHitQd1P50: of(FLASH, READ_1).p50Us / (read1.p50Us + of(RAW_CACHE, READ_1).p50Us),
    flashReadHitQd32: of(FLASH, READ_32).iops / Math.min(read32.iops, of(RAW_CACHE, READ_32).iops),
    localWriteQd1P50: of(FLASH, WRITE_1).p50Us / (write1.p50Us + of(RAW_DISK_DSYNC, WRITE_1).p50Us),
    localWriteQd32: of(FLASH, WRITE_32).iops / write32.iops,
  }
}

const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : 2))

function tableOf(lines: readonly (readonly string[])[]): string {
  const [head = [], ...body] = lines
  const print = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [print(head), print(head.map((_, i) => (i < 1 ? '---' : '---:'))), ...body.map(print)].join('\n')
}

export function markdownOf({ machine, settings, rows, ratios, memory }: Results): string {
  const figures = Object.entries({ ...ratios, ...memory }).map(([key, value]) => {
    const target = TARGETS[key]
    if (target === undefined) return [key, number(value), '', '']
    const met = target.atLeast ? value >= target.bound : value <= target.bound
    return [key, number(value), `${target.atLeast ? '≥' : '≤'} ${target.bound}`, met ? 'yes' : 'no']
  })
  const measured = rows.map(({ target, workload, iops, p50Us, p99Us, cpuUsPerIo }) => [
    target,
    workload,
    iops.toFixed(0),
    number(p50Us),
    number(p99Us),
    cpuUsPerIo === null ? '' : number(cpuUsPerIo),
  ])
  const { processor, cores, memoryGiB, kernel, node, cacheDisk } = machine
  return [
    `${processor}, ${cores} cores, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}, cache on ${cacheDisk}`,
    `4 KiB random, ${Object.entries(settings)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ')}`,
    tableOf([['target', 'workload', 'IOPS', 'p50 µs', 'p99 µs', 'CPU µs per I/O'], ...measured]),
    tableOf([['figure', 'measured', 'target', 'met'], ...figures]),
  ].join('\n\n')
}
