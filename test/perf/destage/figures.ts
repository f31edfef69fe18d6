// What the runs say about destage, as figures and as the text of the page. Pure.
import type { Run } from './run.ts'
import type { Second } from './seconds.ts'

export interface Runs {
  /** The bare disk. */
  readonly alone: Run
  readonly fits: Run
  readonly crosses: Run
}

export interface Smoothness {
  readonly writesPerSecond: number
  /** Of the worst and the best second, to the mean. */
  readonly worstShare: number
  readonly bestShare: number
  readonly p99Ms: number
  readonly worstP99Ms: number
  /** Largest factor by which the p99 of a second is that of the second before. */
  readonly p99Step: number
  readonly secondsWithoutAnswer: number
}

export interface Coalescing {
  readonly writes: number
  readonly diskWrites: number
  readonly meanKiB: number
  /** Of the writes to the disk: those that go forward. */
  readonly forwardShare: number
}

/** The first and the last second are not whole: fio starts and ends in them. */
function whole(seconds: readonly Second[]): readonly Second[] {
  return seconds.slice(1, -1)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

export function smoothnessOf(seconds: readonly Second[]): Smoothness {
  const counts = seconds.map(({ writes }) => writes)
  const p99s = seconds.map(({ p99Ms }) => p99Ms).filter((ms) => !Number.isNaN(ms))
  const writesPerSecond = mean(counts)
  return {
    writesPerSecond,
    worstShare: Math.min(...counts) / writesPerSecond,
    bestShare: Math.max(...counts) / writesPerSecond,
    p99Ms: median(p99s),
    worstP99Ms: Math.max(...p99s),
    p99Step: Math.max(...p99s.slice(1).map((ms, i) => ms / (p99s[i] ?? ms))),
    secondsWithoutAnswer: counts.filter((count) => count === 0).length,
  }
}

/** From the beginning until nothing is dirty. */
export function coalescingOf({ looks, drained, writes }: Run): Coalescing {
  const begin = looks[0] ?? drained
  const diskWrites = drained.diskWrites - begin.diskWrites
  return {
    writes,
    diskWrites,
    meanKiB: (drained.diskBytes - begin.diskBytes) / diskWrites / 1024,
    forwardShare: (drained.forwardWrites - begin.forwardWrites) / diskWrites,
  }
}

/** The second half of a run: the cache has filled long before. */
export function steadyOf({ seconds }: Run): readonly Second[] {
  return whole(seconds).slice(Math.floor(seconds.length / 2))
}

function figure(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(value >= 10 ? 1 : 2)
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

export function pageText({ alone, fits, crosses }: Runs, machine: string): string {
  const disk = smoothnessOf(whole(alone.seconds))
  const rows = [
    ['', 'bare disk', 'a load that fits', 'a load that crosses, second half'],
    ['---', '---:', '---:', '---:'],
    ...smoothnessRows([disk, smoothnessOf(whole(fits.seconds)), smoothnessOf(steadyOf(crosses))]),
    ...coalescingRows([alone, fits, crosses].map((run) => coalescingOf(run))),
    ['cores busy with others before', ...[alone, fits, crosses].map(({ othersShare }) => percent(othersShare))],
  ]
  return `${rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n\n${machine}\n`
}

function smoothnessRows(all: readonly Smoothness[]): string[][] {
  return [
    ['writes a second', ...all.map(({ writesPerSecond }) => figure(writesPerSecond))],
    [
      'of them in the worst and the best second',
      ...all.map((of) => `${percent(of.worstShare)}–${percent(of.bestShare)}`),
    ],
    ['p99 of a second, median, ms', ...all.map(({ p99Ms }) => figure(p99Ms))],
    ['p99 of the worst second, ms', ...all.map(({ worstP99Ms }) => figure(worstP99Ms))],
    ['largest step of p99 from one second to the next', ...all.map(({ p99Step }) => `× ${figure(p99Step)}`)],
    ['seconds without an answer', ...all.map(({ secondsWithoutAnswer }) => String(secondsWithoutAnswer))],
  ]
}

function coalescingRows(all: readonly Coalescing[]): string[][] {
  return [
    ['writes of the application', ...all.map(({ writes }) => figure(writes))],
    ['writes to the disk, until nothing is dirty', ...all.map(({ diskWrites }) => figure(diskWrites))],
    ['saved', ...all.map(({ writes, diskWrites }) => percent(Math.max(0, 1 - diskWrites / writes)))],
    ['mean size at the disk, KiB', ...all.map(({ meanKiB }) => figure(meanKiB))],
    ['going forward at the disk', ...all.map(({ forwardShare }) => percent(forwardShare))],
  ]
}
