// What a scrape of an engine says: single values, and quantiles of its histograms, summed over several engines. Pure.

export interface Scrape {
  /** Of series without labels but `volume`, by name. */
  readonly values: ReadonlyMap<string, number>
  /** Observations up to each upper bound, by name; all series of a name together. */
  readonly buckets: Buckets
}

/** By name: upper bound in the metric's unit → observations up to it. */
export type Buckets = ReadonlyMap<string, ReadonlyMap<number, number>>

const LINE = /^([a-z_]+)\{([^}]*)\} (\S+)$/

export function parseScrape(text: string): Scrape {
  const values = new Map<string, number>()
  const buckets = new Map<string, Map<number, number>>()
  for (const line of text.split('\n')) {
    const [, name = '', labels = '', printed = ''] = LINE.exec(line) ?? []
    const bound = /\ble="([^"]+)"/.exec(labels)?.[1]
    if (name === '') continue
    if (bound === undefined) values.set(name, Number(printed))
    else addTo(buckets, name.replace(/_bucket$/, ''), bound === '+Inf' ? Infinity : Number(bound), Number(printed))
  }
  return { values, buckets }
}

function addTo(all: Map<string, Map<number, number>>, name: string, bound: number, count: number): void {
  const of = all.get(name) ?? new Map<number, number>()
  of.set(bound, (of.get(bound) ?? 0) + count)
  all.set(name, of)
}

/** Of engines that have counted one after the other. */
export function sumOfBuckets(parts: readonly Buckets[]): Buckets {
  const sum = new Map<string, Map<number, number>>()
  for (const part of parts) {
    for (const [name, of] of part) for (const [bound, count] of of) addTo(sum, name, bound, count)
  }
  return sum
}

/** The least upper bound below which lies this share of the observations; NaN where there are none. */
export function quantileOf(buckets: ReadonlyMap<number, number> | undefined, share: number): number {
  const ascending = [...(buckets ?? [])].toSorted(([a], [b]) => a - b)
  const all = ascending.at(-1)?.[1] ?? 0
  if (all === 0) return Number.NaN
  return ascending.find(([, count]) => count >= share * all)?.[0] ?? Number.NaN
}

export function countOf(buckets: ReadonlyMap<number, number> | undefined): number {
  return buckets?.get(Infinity) ?? 0
}
