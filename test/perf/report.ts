// From samples to rows, ratios and the table: pure arithmetic. A ratio is taken of medians; its spread is that of the
// same ratio taken round by round, which is fair because the subjects take turns within a round.
import type { Direction, FioResult } from './fio.ts'
import type { SubjectName } from './subjects.ts'

/** One fio run. */
export interface Sample extends FioResult {
  readonly round: number
  readonly subject: SubjectName
  readonly title: string
  readonly direction: Direction
  readonly queueDepth: number
  readonly busyPollMicros: number
  /** CPU of the serving process per I/O; null where no process serves. */
  readonly cpuMicros: number | null
  /** Part of all cores that was busy with others right before or after. */
  readonly othersShare: number
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Row {
  readonly subject: SubjectName
  readonly title: string
  readonly workload: string
  readonly direction: Direction
  readonly queueDepth: number
  readonly busyPollMicros: number
  readonly rounds: number
  readonly iops: Spread
  readonly p50Micros: Spread
  readonly p99Micros: Spread
  readonly p999Micros: Spread
  readonly cpuMicros: Spread | null
  readonly othersShare: Spread
}

/** Figures that are no ratio but stand beside them. */
export interface Absolutes {
  /** Resident, with the index of the cached blocks taken off. */
  readonly engineRssMiB: number
  readonly engineRssWithIndexMiB: number
  readonly holderRssMiB: number
  readonly bytesPerCachedBlock: number
}

export interface Target {
  readonly key: string
  readonly meaning: string
  readonly bound: 'at least' | 'at most'
  readonly value: number
}

export interface Results {
  readonly machine: Readonly<Record<string, string | number>>
  readonly rows: readonly Row[]
  readonly ratios: Readonly<Record<string, number>>
  /** Least and greatest of each ratio over the rounds. */
  readonly ratioSpreads: Readonly<Record<string, readonly [number, number]>>
}

type Median = (subject: SubjectName, direction: Direction, queueDepth: number) => Sample

interface RatioRule extends Target {
  readonly of: (pick: Median) => number
}

const cpu = (sample: Sample): number => sample.cpuMicros ?? Number.NaN

export const RATIO_RULES: readonly RatioRule[] = [
  {
    key: 'readHitQd32',
    meaning: 'read hit in memory, QD32: IOPS / floor',
    bound: 'at least',
    value: 0.9,
    of: (pick) => pick('memory', 'read', 32).iops / pick('floor', 'read', 32).iops,
  },
  {
    key: 'readHitQd1P50',
    meaning: 'read hit in memory, QD1: p50 / floor',
    bound: 'at most',
    value: 1.15,
    of: (pick) => pick('memory', 'read', 1).p50Micros / pick('floor', 'read', 1).p50Micros,
  },
  {
    key: 'readHitQd1P50Polling',
    meaning: 'the same, polling: p50 / the faster of floor and polling floor',
    bound: 'at most',
    value: 1.15,
    // A floor that polls takes a core from the loop device; where it is the slower one, it is no floor.
    of: (pick) =>
      pick('memoryPolling', 'read', 1).p50Micros /
      Math.min(pick('floor', 'read', 1).p50Micros, pick('floorPolling', 'read', 1).p50Micros),
  },
  {
    key: 'readHitCpu',
    meaning: 'read hit in memory, QD32: CPU per I/O / floor, neither polling',
    bound: 'at most',
    value: 1.5,
    of: (pick) => cpu(pick('memory', 'read', 32)) / cpu(pick('floor', 'read', 32)),
  },
  {
    key: 'flashReadHitQd1P50',
    meaning: 'read hit on flash, QD1: p50 / (floor + O_DIRECT read of the disk)',
    bound: 'at most',
    value: 1.25,
    of: (pick) =>
      pick('flash', 'read', 1).p50Micros /
      (pick('floor', 'read', 1).p50Micros + pick('cacheDisk', 'read', 1).p50Micros),
  },
  {
    key: 'flashReadHitQd32',
    meaning: 'read hit on flash, QD32: IOPS / the smaller of floor and raw cache file',
    bound: 'at least',
    value: 0.6,
    of: (pick) =>
      pick('flash', 'read', 32).iops / Math.min(pick('floor', 'read', 32).iops, pick('cacheFile', 'read', 32).iops),
  },
  {
    key: 'localWriteQd1P50',
    meaning: 'write-back on flash, QD1: p50 / (floor + O_DIRECT|O_DSYNC write of the disk)',
    bound: 'at most',
    value: 1.25,
    of: (pick) =>
      pick('flash', 'write', 1).p50Micros /
      (pick('floor', 'write', 1).p50Micros + pick('cacheDisk', 'write', 1).p50Micros),
  },
  {
    key: 'localWriteQd32',
    meaning: 'write-back on flash, QD32: IOPS / floor',
    bound: 'at least',
    value: 0.6,
    of: (pick) => pick('flash', 'write', 32).iops / pick('floor', 'write', 32).iops,
  },
]

export const ABSOLUTE_TARGETS: readonly (Target & { readonly key: keyof Absolutes })[] = [
  { key: 'engineRssMiB', meaning: 'resident engine without its index, MiB', bound: 'at most', value: 90 },
  { key: 'holderRssMiB', meaning: 'resident holder, MiB', bound: 'at most', value: 2 },
  { key: 'bytesPerCachedBlock', meaning: 'index per cached 4 KiB block, bytes', bound: 'at most', value: 32 },
]

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** One row per subject and workload, in the order of their first samples. */
export function rowsOf(samples: readonly Sample[]): Row[] {
  const groups = Map.groupBy(samples, (sample) => `${sample.subject} ${sample.direction} ${sample.queueDepth}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { subject, title, direction, queueDepth, busyPollMicros } = first
    const cpus = group.flatMap(({ cpuMicros }) => (cpuMicros === null ? [] : [cpuMicros]))
    return {
      subject,
      title,
      workload: `4 KiB random ${direction} QD${queueDepth}`,
      direction,
      queueDepth,
      busyPollMicros,
      rounds: group.length,
      iops: spreadOf(group.map(({ iops }) => iops)),
      p50Micros: spreadOf(group.map(({ p50Micros }) => p50Micros)),
      p99Micros: spreadOf(group.map(({ p99Micros }) => p99Micros)),
      p999Micros: spreadOf(group.map(({ p999Micros }) => p999Micros)),
      cpuMicros: cpus.length === 0 ? null : spreadOf(cpus),
      othersShare: spreadOf(group.map(({ othersShare }) => othersShare)),
    }
  })
}

/** Throws when a subject was not measured under a workload that a ratio needs. */
function pickFrom(samples: readonly Sample[]): Median {
  return (subject, direction, queueDepth) => {
    const found = samples.filter(
      (sample) => sample.subject === subject && sample.direction === direction && sample.queueDepth === queueDepth,
    )
    const [first] = found
    if (first === undefined) throw new Error(`no sample of ${subject} ${direction} QD${queueDepth}`)
    const cpus = found.flatMap(({ cpuMicros }) => (cpuMicros === null ? [] : [cpuMicros]))
    return {
      ...first,
      iops: median(found.map(({ iops }) => iops)),
      p50Micros: median(found.map(({ p50Micros }) => p50Micros)),
      cpuMicros: cpus.length === 0 ? null : median(cpus),
    }
  }
}

export function ratiosOf(samples: readonly Sample[]): Pick<Results, 'ratios' | 'ratioSpreads'> {
  const all = pickFrom(samples)
  const rounds = [...Map.groupBy(samples, ({ round }) => round).values()].map((group) => pickFrom(group))
  const ratios: Record<string, number> = {}
  const ratioSpreads: Record<string, readonly [number, number]> = {}
  for (const { key, of } of RATIO_RULES) {
    const { min, max } = spreadOf(rounds.map((pick) => of(pick)))
    ratios[key] = of(all)
    ratioSpreads[key] = [min, max]
  }
  return { ratios, ratioSpreads }
}

export function isReached({ bound, value }: Pick<Target, 'bound' | 'value'>, figure: number): boolean {
  return bound === 'at least' ? figure >= value : figure <= value
}
