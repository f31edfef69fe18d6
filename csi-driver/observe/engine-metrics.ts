// The metrics of one engine, declared once: name with unit, help. Values are copied from the engine's own counters when
// somebody scrapes, so the data path does nothing for them. Those of the runtime are in runtime-watch.ts.
import { MetricsRegistry } from '../../base/metrics.ts'
import type { EngineStatus } from '../engine/engine-status.ts'
import { RuntimeWatch } from './runtime-watch.ts'
import type { VolumeStatus } from './status.ts'

interface Source {
  readonly name: string
  readonly help: string
  readonly kind: 'counter' | 'gauge'
  readonly value: (engine: EngineStatus, status: VolumeStatus) => number
}

const counter = (name: string, help: string, value: Source['value']): Source => ({ name, help, kind: 'counter', value })
const gauge = (name: string, help: string, value: Source['value']): Source => ({ name, help, kind: 'gauge', value })

export const ENGINE_METRICS: readonly Source[] = [
  counter('forebay_read_hits_total', 'Reads served without the backing.', ({ counters }) => counters.readHits),
  counter('forebay_read_misses_total', 'Reads that needed the backing.', ({ counters }) => counters.readMisses),
  counter('forebay_read_bytes_total', 'Bytes read by the front end.', ({ counters }) => counters.readBytes),
  counter(
    'forebay_read_ahead_bytes_total',
    'Bytes read from the backing ahead of sequential streams.',
    ({ counters }) => counters.readAheadBytes,
  ),
  counter(
    'forebay_read_ahead_used_bytes_total',
    'Bytes of these that were asked for in time.',
    ({ counters }) => counters.readAheadUsedBytes,
  ),
  counter(
    'forebay_previous_cache_hits_total',
    'Reads answered by the cache of the owner before.',
    ({ previousCache }) => previousCache?.hits ?? 0,
  ),
  counter(
    'forebay_previous_cache_misses_total',
    'Questions to the cache of the owner before that it could not answer in time.',
    ({ previousCache }) => (previousCache === null ? 0 : previousCache.misses + previousCache.late),
  ),
  counter(
    'forebay_previous_cache_bytes_total',
    'Bytes read from the cache of the owner before.',
    ({ previousCache }) => previousCache?.bytes ?? 0,
  ),
  gauge(
    'forebay_previous_cache_seconds',
    'What a read from the cache of the owner before takes on the average; 0 where there is none.',
    ({ previousCache }) => (previousCache?.latencyMs ?? 0) / 1000,
  ),
  counter('forebay_writes_total', 'Writes taken.', ({ counters }) => counters.writes),
  counter('forebay_written_bytes_total', 'Bytes written by the front end.', ({ counters }) => counters.writtenBytes),
  counter(
    'forebay_through_writes_total',
    'Writes acknowledged from the backing.',
    ({ counters }) => counters.throughWrites,
  ),
  counter('forebay_zeroes_total', 'Discards and zeroings taken.', ({ counters }) => counters.zeroes),
  counter('forebay_flushes_total', 'Flushes asked for by the front end.', ({ counters }) => counters.flushes),
  counter('forebay_batches_total', 'Group commits written to the log.', ({ counters }) => counters.batches),
  counter(
    'forebay_destaged_bytes_total',
    'Bytes written to the backing by destage.',
    ({ counters }) => counters.destagedBytes,
  ),
  counter('forebay_generations_total', 'Destage generations completed.', ({ counters }) => counters.generations),
  counter(
    'forebay_clean_mismatches_total',
    'Cached clean blocks dropped since they failed their check.',
    ({ counters }) => counters.cleanMismatches,
  ),
  counter(
    'forebay_dirty_mismatches_total',
    'Dirty blocks that failed their check.',
    ({ counters }) => counters.dirtyMismatches,
  ),
  counter('forebay_writer_stalls_total', 'Times that a write found the cache full.', (engine) => engine.writerStalls),
  counter(
    'forebay_writer_delay_seconds_total',
    'Smooth delay given to writers.',
    (engine) => engine.writerDelayMs / 1000,
  ),
  gauge('forebay_dirty_bytes', 'User data that only the cache holds.', (engine) => engine.dirtyBytes),
  gauge(
    'forebay_dirty_zeroed_bytes',
    'Zeroed ranges that are not on the backing yet.',
    (engine) => engine.dirtyZeroedBytes,
  ),
  gauge('forebay_dirty_limit_bytes', 'Limit of dirty bytes.', (engine) => engine.dirtyLimitBytes),
  gauge('forebay_oldest_dirty_seconds', 'Age of the oldest dirty data.', (engine) => engine.oldestDirtyMs / 1000),
  gauge('forebay_log_used_bytes', 'Un-trimmed log.', (engine) => engine.logUsedBytes),
  gauge('forebay_log_bytes', 'Log space for ordinary batches.', (engine) => engine.logBytes),
  gauge('forebay_cached_blocks', 'Read-cache slots in use.', (engine) => engine.cachedBlocks),
  gauge('forebay_cache_slots', 'Read-cache slots.', (engine) => engine.cacheSlots),
  gauge(
    'forebay_parked_requests',
    'Requests that wait for space or for a change of phase.',
    (engine) => engine.parkedRequests,
  ),
  gauge('forebay_write_back', '1 while writes are acknowledged from the log.', (engine) =>
    engine.effectiveWritePolicy === 'write-back' ? 1 : 0,
  ),
  gauge('forebay_backing_failing', '1 while the backing fails.', (engine) =>
    engine.backingFailingSinceMs === null ? 0 : 1,
  ),
  gauge('forebay_cache_failed', '1 after the cache device failed.', (engine) => (engine.cacheFailure === '' ? 0 : 1)),
  gauge('forebay_epoch', 'Ownership of the volume.', (engine) => engine.epoch),
  gauge('forebay_run', 'Life of the engine inside the epoch.', (engine) => engine.run),
]

export class EngineMetrics {
  /** Counts nothing until it is started. */
  readonly runtime: RuntimeWatch
  private readonly registry = new MetricsRegistry()
  private readonly metrics: readonly { readonly source: Source; readonly metric: { value: number } }[]

  constructor(volume: string) {
    this.metrics = ENGINE_METRICS.map((source) => {
      const options = { name: source.name, help: source.help, labels: { volume } }
      return {
        source,
        metric: source.kind === 'counter' ? this.registry.counter(options) : this.registry.gauge(options),
      }
    })
    this.runtime = new RuntimeWatch(this.registry, volume)
  }

  /** Prometheus text format 0.0.4. */
  render(engine: EngineStatus, status: VolumeStatus): string {
    for (const { source, metric } of this.metrics) metric.value = source.value(engine, status)
    return this.registry.render()
  }
}
