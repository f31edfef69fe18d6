// How much of the host's CPUs was idle lately: the first line of /proc/stat, times of all CPUs together in ticks since
// boot (proc(5)): user nice system idle iowait irq softirq steal …
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import type { SpareCpus } from './busy-poll.ts'

const STAT_FILE = '/proc/stat'
/** Idle and iowait; and how many fields make up the whole (guest times are part of the others). */
const IDLE_FIELDS: readonly number[] = [3, 4]
const ALL_FIELDS = 8

export interface CpuTicks {
  readonly idle: number
  readonly all: number
}

/** Reads the text of /proc/stat; null when it is not what it should be. */
export function parseCpuTicks(text: string): CpuTicks | null {
  const [line = ''] = text.split('\n', 1)
  const [name, ...fields] = line.trim().split(/\s+/)
  const ticks = fields.slice(0, ALL_FIELDS).map(Number)
  if (name !== 'cpu' || ticks.length < ALL_FIELDS || ticks.some((value) => !Number.isFinite(value))) return null
  return {
    idle: IDLE_FIELDS.reduce((sum, field) => sum + (ticks[field] as number), 0),
    all: ticks.reduce((sum, value) => sum + value, 0),
  }
}

/** Counts from now on. NaN for a host that does not tell, and for less than a tick. */
export function systemSpareCpus(): SpareCpus {
  const count = cpus().length
  let last = readTicks()
  return () => {
    const now = readTicks()
    const before = last
    last = now
    if (now === null || before === null || now.all <= before.all) return Number.NaN
    return ((now.idle - before.idle) / (now.all - before.all)) * count
  }
}

function readTicks(): CpuTicks | null {
  try {
    return parseCpuTicks(readFileSync(STAT_FILE, 'latin1'))
  } catch {
    return null
  }
}
