// What the JavaScript runtime costs an engine: how late the event loop comes round, and how long garbage collections
// stop it. Both are histograms, since a quantile of one process can neither be added to another's nor be taken over a
// shorter time.
//
// Watched only while somebody may scrape: a timer that wakes the process 20 times a second, below 0.5 % of a core where
// it is otherwise idle, and one callback for each collection.
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks'
import type { Histogram, MetricsRegistry } from '../../base/metrics.ts'

/** A stall shorter than this is seen in proportion to its length. */
const LOOK_MS = 50
/** From what a timer's own granularity hides to what a front end would call hung. */
const BOUNDS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5]

const {
  NODE_PERFORMANCE_GC_MINOR: MINOR,
  NODE_PERFORMANCE_GC_MAJOR: MAJOR,
  NODE_PERFORMANCE_GC_INCREMENTAL: INCREMENTAL,
  NODE_PERFORMANCE_GC_WEAKCB: WEAK_CALLBACKS,
} = constants

/** Kinds of collections as V8 tells them apart. */
const GC_KINDS: readonly (readonly [kind: number, name: string])[] = [
  [MINOR, 'minor'],
  [MAJOR, 'major'],
  [INCREMENTAL, 'incremental'],
  [WEAK_CALLBACKS, 'weak_callbacks'],
]

/** What an observer of `gc` is given, in milliseconds. */
interface Collection extends PerformanceEntry {
  readonly detail: { readonly kind: number }
}

export const EVENT_LOOP_DELAY = 'forebay_event_loop_delay_seconds'
export const GC_PAUSE = 'forebay_gc_pause_seconds'

export class RuntimeWatch {
  private readonly delay: Histogram
  private readonly pauses: ReadonlyMap<number, Histogram>
  private readonly collections = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as Collection[]) {
      this.pauses.get(entry.detail.kind)?.observe(entry.duration / 1000)
    }
  })
  private timer: NodeJS.Timeout | null = null

  /** Declares its metrics in `registry` with the volume as their label. */
  constructor(registry: MetricsRegistry, volume: string) {
    const delay = {
      name: EVENT_LOOP_DELAY,
      help: 'How late a timer came. When it is high the engine lacks processor time, or something holds up its loop.',
      labels: { volume },
    }
    this.delay = registry.histogram(delay, BOUNDS_SECONDS)
    const pause = { name: GC_PAUSE, help: 'Pauses for garbage collection. Long ones show as latency of everything.' }
    this.pauses = new Map(
      GC_KINDS.map(([kind, name]) => {
        const labels = { volume, kind: name }
        return [kind, registry.histogram({ ...pause, labels }, BOUNDS_SECONDS)]
      }),
    )
  }

  /** Keeps no process alive. */
  start(): void {
    let lastMs = performance.now()
    this.timer = setInterval(() => {
      const nowMs = performance.now()
      this.delay.observe(Math.max(0, nowMs - lastMs - LOOK_MS) / 1000)
      lastMs = nowMs
    }, LOOK_MS)
    this.timer.unref()
    this.collections.observe({ entryTypes: ['gc'] })
  }

  /** Idempotent. */
  stop(): void {
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
    this.collections.disconnect()
  }
}
