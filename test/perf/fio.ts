// One run of fio on one target, and what the server of that target spent meanwhile.
import { readFileSync } from 'node:fs'
import { command } from '../integration/harness/test-bed.ts'

export type Direction = 'read' | 'write'

export interface Workload {
  readonly name: string
  readonly direction: Direction
  readonly depth: number
  /** Each write is durable before the next: O_DSYNC. */
  readonly durable: boolean
}

export interface Measurement {
  readonly iops: number
  readonly p50Us: number
  readonly p99Us: number
  /** Of the server's process, user and system together; null for a target without one. */
  readonly cpuUsPerIo: number | null
}

export interface FioTarget {
  readonly path: string
  /** Process whose CPU time counts; 0: none. */
  readonly pid: number
  readonly spanBytes: number
}

interface FioSide {
  readonly iops: number
  readonly total_ios: number
  readonly clat_ns: { readonly percentile: Readonly<Record<string, number>> }
}

const TICK_US = 10_000

/** Microseconds of CPU that a process and its threads have had. */
function cpuMicros(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * TICK_US
}

export async function runFio(target: FioTarget, workload: Workload, seconds: number): Promise<Measurement> {
  const { direction, depth, durable } = workload
  const before = target.pid > 0 ? cpuMicros(target.pid) : 0
  const text = await command(
    'fio',
    '--name=bench',
    `--filename=${target.path}`,
    `--rw=rand${direction}`,
    '--bs=4k',
    '--direct=1',
    ...(durable ? ['--sync=dsync'] : []),
    `--ioengine=${depth === 1 ? 'psync' : 'libaio'}`,
    `--iodepth=${depth}`,
    `--size=${target.spanBytes}`,
    '--time_based',
    `--runtime=${seconds}`,
    '--norandommap',
    '--random_generator=tausworthe64',
    '--output-format=json',
  )
  const spentUs = target.pid > 0 ? cpuMicros(target.pid) - before : 0
  const report = JSON.parse(text.slice(text.indexOf('{'))) as { jobs: readonly Record<Direction, FioSide>[] }
  const side = report.jobs[0]?.[direction]
  if (side === undefined) throw new Error('fio reported no job')
  const { percentile } = side.clat_ns
  return {
    iops: side.iops,
    p50Us: (percentile['50.000000'] ?? 0) / 1000,
    p99Us: (percentile['99.000000'] ?? 0) / 1000,
    cpuUsPerIo: target.pid > 0 ? spentUs / Math.max(1, side.total_ios) : null,
  }
}

/** Touches every block of the span once, in random order: sequential streams would pass the cache by. */
export async function touchAll(path: string, direction: Direction, spanBytes: number): Promise<void> {
  await command(
    'fio',
    '--name=touch',
    `--filename=${path}`,
    `--rw=rand${direction}`,
    '--bs=4k',
    '--direct=1',
    '--ioengine=libaio',
    '--iodepth=32',
    `--size=${spanBytes}`,
  )
}
