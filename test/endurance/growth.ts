// Whether something grows: a rule that sees a leak below the noise of single samples and is not misled by a peak, an early
// step or a plateau. Pure.
//
// A series is cut into quarters, and of each the median is taken, which no peak moves. It has grown when the last median
// lies above the first by more than what is allowed, and above the third by more than a quarter of that: what leaks goes on
// leaking, what was only being warmed up has come to an end. A leak that begins in the last quarter is not seen.

/** What a series may gain: the greater of a share of its beginning and a fixed amount. */
export interface Allowance {
  readonly share: number
  readonly least: number
}

export interface Growth {
  /** Medians of the first and the last quarter. */
  readonly first: number
  readonly last: number
  readonly allowed: number
  /** False where there are too few samples to say. */
  readonly isJudged: boolean
  readonly grew: boolean
}

/** Fewer samples prove nothing. */
export const SAMPLES_LEAST = 4

/** `values`: in the order of time, at equal distances or nearly so. */
export function growthOf(values: readonly number[], { share, least }: Allowance): Growth {
  const at = (quarter: number): number => Math.floor((quarter * values.length) / 4)
  const [first = 0, , third = 0, last = 0] = [0, 1, 2, 3].map((quarter) =>
    medianOf(values.slice(at(quarter), at(quarter + 1))),
  )
  const allowed = Math.max(least, share * first)
  const isJudged = values.length >= SAMPLES_LEAST
  const grew = isJudged && last - first > allowed && last - third > allowed / 4
  return { first, last, allowed, isJudged, grew }
}

/** NaN of nothing. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >>> 1
  if (sorted.length % 2 === 1) return sorted[middle] as number
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}
