// Metrics, declared in one place and read by a scraper (Prometheus text format 0.0.4).
// An instrument is a plain object with a numeric field: a hot path does `metric.value++` and nothing else. One name may
// be declared several times with different label values; kind and help must then agree. Names carry their unit
// (`_bytes`, `_seconds`) and counters end in `_total`, as Prometheus asks; both are asserted.
import { assert } from './assert.ts'

export interface MetricDeclaration {
  readonly name: string
  /** One sentence for the reader of a dashboard. */
  readonly help: string
  /** Constant label values of this series. */
  readonly labels?: Readonly<Record<string, string>>
}

/** Only grows while the process lives. */
export interface Counter {
  value: number
}

/** Goes up and down. */
export interface Gauge {
  value: number
}

/** Counts observations into buckets by upper bound. */
export interface Histogram {
  readonly count: number
  readonly sum: number
  observe(value: number): void
}

/** Series one registry may hold: a bug that puts a request into a label must not eat the memory. */
export const SERIES_MAX = 2_000

const NAME = /^[a-z][a-z0-9_]*$/
const LABEL_NAME = /^[a-z][a-z0-9_]*$/

type Kind = 'counter' | 'gauge' | 'histogram'

interface Series {
  readonly labels: string
  /** Lines of this series, each ending in a newline. */
  print(name: string): string
}

interface Family {
  readonly name: string
  readonly kind: Kind
  readonly help: string
  readonly series: Map<string, Series>
}

/** What the reference page of metrics is generated from. */
export interface MetricDescription {
  readonly name: string
  readonly kind: Kind
  readonly help: string
}

export class MetricsRegistry {
  private readonly families = new Map<string, Family>()
  private seriesCount = 0

  counter(declaration: MetricDeclaration): Counter {
    assert(declaration.name.endsWith('_total'), `a counter ends in _total name=${declaration.name}`)
    const counter = { value: 0 }
    this.add('counter', declaration, (labels) => valueSeries(labels, () => counter.value))
    return counter
  }

  gauge(declaration: MetricDeclaration): Gauge {
    const gauge = { value: 0 }
    this.add('gauge', declaration, (labels) => valueSeries(labels, () => gauge.value))
    return gauge
  }

  /** A gauge that is computed when somebody looks. */
  gaugeFrom(declaration: MetricDeclaration, read: () => number): void {
    this.add('gauge', declaration, (labels) => valueSeries(labels, read))
  }

  /** A counter kept elsewhere (a field of a hot object), read when somebody looks. */
  counterFrom(declaration: MetricDeclaration, read: () => number): void {
    assert(declaration.name.endsWith('_total'), `a counter ends in _total name=${declaration.name}`)
    this.add('counter', declaration, (labels) => valueSeries(labels, read))
  }

  /** `bounds`: inclusive upper bounds, ascending; the +Inf bucket is added. */
  histogram(declaration: MetricDeclaration, bounds: readonly number[]): Histogram {
    const histogram = new BucketHistogram(bounds)
    this.add('histogram', declaration, (labels) => ({ labels, print: (name) => histogram.print(name, labels) }))
    return histogram
  }

  describe(): MetricDescription[] {
    return [...this.families.values()].map(({ name, kind, help }) => ({ name, kind, help }))
  }

  /** Prometheus text format 0.0.4, families in the order of their declaration. */
  render(): string {
    let text = ''
    for (const { name, kind, help, series } of this.families.values()) {
      text += `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${kind}\n`
      for (const one of series.values()) text += one.print(name)
    }
    return text
  }

  private add(kind: Kind, declaration: MetricDeclaration, make: (labels: string) => Series): void {
    const { name, help } = declaration
    assert(NAME.test(name), `bad metric name name=${name}`)
    assert(this.seriesCount < SERIES_MAX, `too many metric series name=${name} limit=${SERIES_MAX}`)
    const family = this.families.get(name) ?? { name, kind, help, series: new Map<string, Series>() }
    assert(family.kind === kind && family.help === help, `metric declared twice with a difference name=${name}`)
    const labels = printLabels(declaration.labels ?? {})
    assert(!family.series.has(labels), `metric series declared twice name=${name} labels=${labels}`)
    family.series.set(labels, make(labels))
    this.families.set(name, family)
    this.seriesCount++
  }
}

class BucketHistogram implements Histogram {
  count = 0
  sum = 0
  private readonly bounds: Float64Array
  private readonly hits: Float64Array

  constructor(bounds: readonly number[]) {
    const ascending = bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] as number))
    assert(bounds.length > 0 && ascending, `histogram bounds must ascend bounds=${bounds.join(',')}`)
    this.bounds = Float64Array.from(bounds)
    this.hits = new Float64Array(bounds.length)
  }

  observe(value: number): void {
    this.count++
    this.sum += value
    const bounds = this.bounds
    for (let i = 0; i < bounds.length; i++) {
      if (value <= (bounds[i] as number)) {
        this.hits[i] = (this.hits[i] as number) + 1
        return
      }
    }
  }

  print(name: string, labels: string): string {
    const inner = labels === '' ? '' : `${labels.slice(1, -1)},`
    let text = ''
    let below = 0
    this.bounds.forEach((bound, i) => {
      below += this.hits[i] as number
      text += `${name}_bucket{${inner}le="${printValue(bound)}"} ${below}\n`
    })
    text += `${name}_bucket{${inner}le="+Inf"} ${this.count}\n`
    return `${text}${name}_sum${labels} ${printValue(this.sum)}\n${name}_count${labels} ${this.count}\n`
  }
}

function valueSeries(labels: string, read: () => number): Series {
  return { labels, print: (name) => `${name}${labels} ${printValue(read())}\n` }
}

function printLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels)
  if (pairs.length === 0) return ''
  const printed = pairs.map(([name, value]) => {
    assert(LABEL_NAME.test(name), `bad label name name=${name}`)
    return `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`
  })
  return `{${printed.join(',')}}`
}

function printValue(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}
