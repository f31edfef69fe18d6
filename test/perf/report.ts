// From samples to rows, ratios and results: pure arithmetic. A ratio is taken of medians; its spread is that of the
// same ratio taken round by round, which is fair because the subjects take turns within a round.
import type { Direction } from './fio.ts'
import type { PickMedian, Sample } from './sample.ts'
import type { EarlyAcknowledgement, SubjectName } from './subjects.ts'
import type { RatioRule } from './targets.ts'
import { type WorkloadName, WORKLOADS, workloadTitle } from './workloads.ts'

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Row {
  readonly subject: SubjectName
  readonly title: string
  readonly workload: string
  readonly name: WorkloadName
  readonly direction: Direction
  readonly queueDepth: number
  readonly busyPollMicros: number
  readonly acknowledgesEarly: EarlyAcknowledgement
  readonly rounds: number
  readonly iops: Spread
  readonly megabytesPerSecond: Spread
  readonly p50Micros: Spread
  readonly p99Micros: Spread
  readonly p999Micros: Spread
  readonly cpuMicros: Spread | null
  readonly residentMiB: Spread | null
  readonly othersShare: Spread
}

/** A table that a part prints beside its figures. */
export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly lines: readonly (readonly (string | number)[])[]
}

/** What one part of the bench has found. */
export interface PartResult {
  /** By the keys of targets.ts. */
  readonly ratios: Readonly<Record<string, number>>
  /** Least and greatest of each ratio over the rounds. */
  readonly ratioSpreads: Readonly<Record<string, readonly [number, number]>>
  readonly rows?: readonly Row[]
  readonly tables?: readonly Table[]
}

export interface Results {
  readonly machine: Readonly<Record<string, string | number>>
  readonly rows: readonly Row[]
  /** Null: not measured in this run. */
  readonly ratios: Readonly<Record<string, number | null>>
  readonly ratioSpreads: Readonly<Record<string, readonly [number, number]>>
  readonly tables: readonly Table[]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** `part`: 0.999 for the 99.9th. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * part) - 1] ?? Number.NaN
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}

/** One row per subject and workload, in the order of their first samples. */
export function rowsOf(samples: readonly Sample[]): Row[] {
  const groups = Map.groupBy(samples, ({ subject, workload }) => `${subject} ${workload}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { subject, title, workload, busyPollMicros, acknowledgesEarly } = first
    const { direction, queueDepth, blockBytes } = WORKLOADS[workload]
    const of = (figure: (sample: Sample) => number): Spread => spreadOf(group.map(figure))
    return {
      ...{ subject, title, workload: workloadTitle(workload), name: workload, direction, queueDepth },
      ...{ busyPollMicros, acknowledgesEarly, rounds: group.length },
      iops: of(({ iops }) => iops),
      megabytesPerSecond: of(({ iops }) => (iops * blockBytes) / 1e6),
      p50Micros: of(({ p50Micros }) => p50Micros),
      p99Micros: of(({ p99Micros }) => p99Micros),
      p999Micros: of(({ p999Micros }) => p999Micros),
      cpuMicros: servedSpread(group, ({ cpuMicros }) => cpuMicros),
      residentMiB: servedSpread(group, ({ residentMiB }) => residentMiB),
      othersShare: of(({ othersShare }) => othersShare),
    }
  })
}

/** Null where no process serves. */
function servedSpread(group: readonly Sample[], figure: (sample: Sample) => number | null): Spread | null {
  const figures = group.map(figure).filter((value) => value !== null)
  return figures.length === 0 ? null : spreadOf(figures)
}

/** Throws when a subject was not measured under a workload that a ratio needs. */
function pickFrom(samples: readonly Sample[]): PickMedian {
  return (subject, workload) => {
    const found = samples.filter((sample) => sample.subject === subject && sample.workload === workload)
    const [first] = found
    if (first === undefined) throw new Error(`no sample of ${subject} ${workload}`)
    return {
      ...first,
      iops: median(found.map(({ iops }) => iops)),
      p50Micros: median(found.map(({ p50Micros }) => p50Micros)),
      cpuMicros: servedSpread(found, ({ cpuMicros }) => cpuMicros)?.median ?? null,
    }
  }
}

/** The ratios of `rules` over all rounds. */
export function ratiosOf(samples: readonly Sample[], rules: readonly RatioRule[]): PartResult {
  const all = pickFrom(samples)
  const rounds = [...Map.groupBy(samples, ({ round }) => round).values()].map((group) => pickFrom(group))
  const spreads = rules.map(({ key, of }) => [key, { ...spreadOf(rounds.map((pick) => of(pick))), median: of(all) }])
  return figuresOf(Object.fromEntries(spreads) as Record<string, Spread>)
}

/** Figures of a part from the spread of each key. */
export function figuresOf(spreads: Readonly<Record<string, Spread>>): PartResult {
  const entries = Object.entries(spreads)
  return {
    ratios: Object.fromEntries(entries.map(([key, { median: middle }]) => [key, middle])),
    ratioSpreads: Object.fromEntries(entries.map(([key, { min, max }]) => [key, [min, max] as const])),
  }
}

/** Everything that the parts have found; `keys` are those that a whole run would have. */
export function joined(parts: readonly PartResult[], keys: readonly string[]): Omit<Results, 'machine'> {
  const ratios: Record<string, number | null> = Object.fromEntries(keys.map((key) => [key, null]))
  const ratioSpreads: Record<string, readonly [number, number]> = {}
  for (const part of parts) {
    Object.assign(ratios, part.ratios)
    Object.assign(ratioSpreads, part.ratioSpreads)
  }
  return {
    rows: parts.flatMap(({ rows = [] }) => rows),
    ratios,
    ratioSpreads,
    tables: parts.flatMap(({ tables = [] }) => tables),
  }
}
