// What the log of a writer's latencies says about a moment in it: the longest pause after it, and the latencies before it
// and after the pause. Pure.
import { percentile } from './report.ts'

/** One write: when it was answered (ms since 1970) and how long it took. */
export interface Written {
  readonly atMs: number
  readonly micros: number
}

export interface Pause {
  /** Longest time after the moment in which no write was answered. */
  readonly pauseSeconds: number
  readonly longestWriteSeconds: number
  readonly p999BeforeMicros: number
  /** Of the writes that began after the pause. */
  readonly p999AfterMicros: number
  readonly iopsBefore: number
  readonly iopsAfter: number
}

/** fio's --write_lat_log with --log_unix_epoch=1: `ms, ns, direction, bytes, …` per line. */
export function parseLatencyLog(text: string): Written[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [atMs = '', nanos = ''] = line.split(',')
      return { atMs: Number(atMs), micros: Number(nanos) / 1000 }
    })
    .toSorted((a, b) => a.atMs - b.atMs)
}

/** `fromMs`: what was answered before it is left out. Throws when nothing was written before or after the pause. */
export function pauseAt(written: readonly Written[], fromMs: number, momentMs: number): Pause {
  const before = written.filter(({ atMs }) => atMs >= fromMs && atMs < momentMs)
  const after = written.filter(({ atMs }) => atMs >= momentMs)
  const pause = longestGap(momentMs, after)
  const outside = after.filter(({ atMs, micros }) => atMs - micros / 1000 >= pause.toMs)
  const last = after.at(-1)
  if (before.length === 0 || outside.length === 0 || last === undefined) {
    throw new Error('the writer has written nothing before the moment or after the pause')
  }
  const micros = (some: readonly Written[]): number[] => some.map((one) => one.micros)
  return {
    pauseSeconds: (pause.toMs - pause.fromMs) / 1000,
    longestWriteSeconds: after.reduce((most, one) => Math.max(most, one.micros), 0) / 1e6,
    p999BeforeMicros: percentile(micros(before), 0.999),
    p999AfterMicros: percentile(micros(outside), 0.999),
    iopsBefore: (before.length * 1000) / (momentMs - fromMs),
    iopsAfter: (outside.length * 1000) / (last.atMs - pause.toMs),
  }
}

function longestGap(momentMs: number, after: readonly Written[]): { fromMs: number; toMs: number } {
  let longest = { fromMs: momentMs, toMs: momentMs }
  let lastMs = momentMs
  for (const { atMs } of after) {
    if (atMs - lastMs > longest.toMs - longest.fromMs) longest = { fromMs: lastMs, toMs: atMs }
    lastMs = atMs
  }
  return longest
}
