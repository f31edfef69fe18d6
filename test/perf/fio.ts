// One fio run on one file, device or NBD export: what is asked, and what is kept of the answer. Times in microseconds,
// measured from submission to completion as the application sees them.
import { spawn } from 'node:child_process'

/** `mix`: 70 reads to 30 writes. */
export type Direction = 'read' | 'write' | 'mix'

export interface FioJob {
  /** A path, or with `nbd` a URI. */
  readonly target: string
  readonly direction: Direction
  readonly queueDepth: number
  /** `psync`: one system call per I/O, queue depth 1 only. */
  readonly engine: 'libaio' | 'psync' | 'nbd'
  /** 4096 unless given. */
  readonly blockBytes?: number
  readonly isSequential?: boolean
  /** Every write is durable when it is answered (O_DSYNC). */
  readonly durable?: boolean
  /** A flush goes after every write; latencies are those of the flushes then. */
  readonly flushesEach?: boolean
  /** Bytes of the target that are used, from `offsetBytes` on, which is 0 unless given. */
  readonly dataBytes: number
  readonly offsetBytes?: number
  readonly seconds: number
}

export interface FioResult {
  readonly iops: number
  readonly operations: number
  readonly p50Micros: number
  readonly p99Micros: number
  readonly p999Micros: number
}

interface FioLatencies {
  readonly lat_ns: { readonly percentile?: Readonly<Record<string, number>> }
}

interface FioDirection extends FioLatencies {
  readonly iops: number
  readonly total_ios: number
}

interface FioJobReport {
  readonly error: number
  readonly read: FioDirection
  readonly write: FioDirection
  /** Instead of the two above, where they are asked for together. */
  readonly mixed: FioDirection
  readonly sync: FioLatencies
}

interface FioReport {
  readonly jobs: readonly FioJobReport[]
}

const BLOCK_BYTES = 4096
const MIX_READ_PERCENT = 70

function accessWords({ direction, isSequential = false }: FioJob): string[] {
  const order = isSequential ? '' : 'rand'
  if (direction !== 'mix') return [`--rw=${order}${direction}`]
  return [`--rw=${order}rw`, `--rwmixread=${MIX_READ_PERCENT}`, '--unified_rw_reporting=mixed']
}

export function fioArguments(job: FioJob): string[] {
  return [
    '--name=bench',
    // fio knows the words of an engine only after its name.
    `--ioengine=${job.engine}`,
    job.engine === 'nbd' ? `--uri=${job.target}` : `--filename=${job.target}`,
    ...accessWords(job),
    `--bs=${job.blockBytes ?? BLOCK_BYTES}`,
    `--size=${job.dataBytes}`,
    `--offset=${job.offsetBytes ?? 0}`,
    `--iodepth=${job.queueDepth}`,
    ...(job.flushesEach === true ? ['--fsync=1'] : []),
    '--direct=1',
    `--sync=${job.durable === true ? 'dsync' : 'none'}`,
    '--norandommap',
    '--randrepeat=0',
    '--allow_file_create=0',
    '--time_based',
    `--runtime=${job.seconds * 1000}ms`,
    '--clat_percentiles=0',
    '--lat_percentiles=1',
    '--percentile_list=50:99:99.9',
    '--output-format=json',
  ]
}

/** Throws when fio saw an I/O error or did nothing. */
export function parseFio(
  text: string,
  { direction, flushesEach }: Pick<FioJob, 'direction' | 'flushesEach'>,
): FioResult {
  const report = JSON.parse(text.slice(Math.max(0, text.indexOf('{')))) as FioReport
  const job = report.jobs[0]
  if (job === undefined || job.error !== 0) throw new Error(`fio met error ${job?.error ?? 'unknown'}`)
  const { iops, total_ios: operations, lat_ns } = job[direction === 'mix' ? 'mixed' : direction]
  if (operations === 0) throw new Error('fio did nothing')
  const latency = flushesEach === true ? job.sync.lat_ns : lat_ns
  const micros = (name: string): number => (latency.percentile?.[name] ?? Number.NaN) / 1000
  return {
    iops,
    operations,
    p50Micros: micros('50.000000'),
    p99Micros: micros('99.000000'),
    p999Micros: micros('99.900000'),
  }
}

/** Runs `program` to its end, out of reach of the terminal's Ctrl-C; `signal` kills it. Throws with what it said. */
export function runProgram(program: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let output = ''
    let complaint = ''
    // The whole group: fio works in processes of its own.
    const kill = (): void => void (child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'))
    signal?.addEventListener('abort', kill)
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)))
    child.on('error', reject)
    child.on('close', (status) => {
      signal?.removeEventListener('abort', kill)
      if (signal?.aborted === true) reject(new Error('interrupted'))
      else if (status === 0) resolve(output)
      else reject(new Error(`${program} ended with ${status}: ${complaint.trim() || output.trim().slice(-2000)}`))
    })
  })
}

/** `more`: words beside those of the job. Throws when fio saw an I/O error. */
export async function runFio(job: FioJob, signal: AbortSignal, more: readonly string[] = []): Promise<FioResult> {
  return parseFio(await runProgram('fio', [...fioArguments(job), ...more], signal), job)
}
