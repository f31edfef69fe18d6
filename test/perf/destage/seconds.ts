// What each second of a fio run was like, from its log with a line for every write. Pure.

/** One second of a run. Latencies in milliseconds, as the application sees them; NaN where nothing was answered. */
export interface Second {
  /** Writes that were answered in it. */
  readonly writes: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly longestMs: number
}

/** A line of `--write_lat_log` without averages: time in ms (of the epoch), latency in ns, direction, bytes, … */
const LINE = /^(\d+), (\d+), /

/** `secondsTotal` of them, from `beginMs` of the epoch on; what was answered before or behind is left out. */
export function secondsOf(latencyLog: string, beginMs: number, secondsTotal: number): Second[] {
  const latencies = Array.from({ length: secondsTotal }, (): number[] => [])
  for (const line of latencyLog.split('\n')) {
    const [, atMs = '', nanos = ''] = LINE.exec(line) ?? []
    if (atMs !== '') latencies[Math.floor((Number(atMs) - beginMs) / 1000)]?.push(Number(nanos) / 1e6)
  }
  return latencies.map((ofSecond) => secondOf(Float64Array.from(ofSecond).toSorted()))
}

function secondOf(sorted: Float64Array): Second {
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
  return { writes: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999), longestMs: at(1) }
}
