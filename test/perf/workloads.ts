// The columns of the bench: what fio does to a subject. The rows are in subjects.ts.
import type { Direction, FioJob } from './fio.ts'

export type WorkloadName =
  | 'read1'
  | 'read32'
  | 'write1'
  | 'write32'
  | 'flushedWrite32'
  | 'mix1'
  | 'mix32'
  | 'sequentialRead'
  | 'sequentialWrite'

export interface Workload extends Pick<FioJob, 'queueDepth'> {
  readonly direction: Direction
  readonly isSequential: boolean
  readonly blockBytes: number
  /** Every write is followed by a flush, and the latencies are those of the flushes. */
  readonly flushesEach: boolean
}

const BLOCK_BYTES = 4096
const LARGE_BLOCK_BYTES = 1024 * 1024
/** As much as a reader ahead of a file system keeps in flight. */
const LARGE_QUEUE_DEPTH = 4

function random(direction: Direction, queueDepth: number, flushesEach = false): Workload {
  return { direction, queueDepth, isSequential: false, blockBytes: BLOCK_BYTES, flushesEach }
}

function sequential(direction: Direction): Workload {
  const shape = { isSequential: true, blockBytes: LARGE_BLOCK_BYTES, flushesEach: false }
  return { direction, queueDepth: LARGE_QUEUE_DEPTH, ...shape }
}

export const WORKLOADS: Readonly<Record<WorkloadName, Workload>> = {
  read1: random('read', 1),
  read32: random('read', 32),
  write1: random('write', 1),
  write32: random('write', 32),
  flushedWrite32: random('write', 32, true),
  mix1: random('mix', 1),
  mix32: random('mix', 32),
  sequentialRead: sequential('read'),
  sequentialWrite: sequential('write'),
}

const DIRECTION_TITLES: Readonly<Record<Direction, string>> = {
  read: 'read',
  write: 'write',
  mix: 'mix of 70 % reads and 30 % writes',
}

/** What the reader of the table is told. */
export function workloadTitle(name: WorkloadName): string {
  const { direction, isSequential, queueDepth, flushesEach } = WORKLOADS[name]
  const shape = isSequential ? '1 MiB sequential' : '4 KiB random'
  return `${shape} ${DIRECTION_TITLES[direction]} QD${queueDepth}${flushesEach ? ', a flush after each' : ''}`
}
