// The metrics of one replica store, of all its volumes together: what each volume holds is in `forebay peers`.
import { MetricsRegistry } from '../../base/metrics.ts'
import type { VolumeReplicaStatus } from '../replica/receiver/receiver-status.ts'
import type { PeerStatus } from './control-protocol.ts'

interface Source {
  readonly name: string
  readonly help: string
  readonly kind: 'counter' | 'gauge'
  readonly value: (status: PeerStatus, grown: (of: OfVolume) => number) => number
}

type OfVolume = (volume: VolumeReplicaStatus) => number

const counter = (name: string, help: string, value: Source['value']): Source => ({ name, help, kind: 'counter', value })
const gauge = (name: string, help: string, value: Source['value']): Source => ({ name, help, kind: 'gauge', value })

const sum =
  (of: OfVolume): Source['value'] =>
  ({ volumes }) =>
    volumes.reduce((total, volume) => total + of(volume), 0)

/** Counters of volumes go with them; a sum over those that are here would shrink. */
const ever =
  (of: OfVolume): Source['value'] =>
  (_status, grown) =>
    grown(of)

export const PEER_METRICS: readonly Source[] = [
  gauge('forebay_peer_capacity_bytes', 'Size of the replica store.', ({ capacityBytes }) => capacityBytes),
  gauge(
    'forebay_peer_free_bytes',
    'Neither used nor reserved. When it is low new learners are refused: raise --size.',
    ({ freeBytes }) => freeBytes,
  ),
  gauge('forebay_peer_volumes', 'Volumes with something in the store.', ({ volumes }) => volumes.length),
  gauge('forebay_peer_connections', 'Engines connected.', ({ connections }) => connections),
  gauge(
    'forebay_peer_unwritten_bytes',
    'Received and not yet durable. When it stays high the disk is too slow for the volumes.',
    ({ unwrittenBytes }) => unwrittenBytes,
  ),
  gauge(
    'forebay_peer_failed_volumes',
    'Volumes that refuse everybody after an error of the store: look at its disk.',
    sum(({ failure }) => (failure === null ? 0 : 1)),
  ),
  gauge(
    'forebay_peer_lost_logs',
    'Volumes whose log was damaged: their owners replace them by themselves.',
    sum(({ lossReason }) => (lossReason === null ? 0 : 1)),
  ),
  counter(
    'forebay_peer_appended_batches_total',
    'Batches made durable.',
    ever(({ counters }) => counters.appendedBatches),
  ),
  counter(
    'forebay_peer_appended_bytes_total',
    'Bytes made durable.',
    ever(({ counters }) => counters.appendedBytes),
  ),
  counter(
    'forebay_peer_received_bytes_total',
    'Bytes received.',
    ever(({ counters }) => counters.receivedBytes),
  ),
  counter(
    'forebay_peer_fetched_bytes_total',
    'Bytes sent to openers.',
    ever(({ counters }) => counters.fetchedBytes),
  ),
  counter(
    'forebay_peer_write_seconds_total',
    'Time in writes of the store.',
    ever(({ counters }) => counters.writeMs / 1000),
  ),
  counter(
    'forebay_peer_refused_total',
    'Engines refused. When it grows look at the log: replica.receiver.refused says who and why.',
    ({ refused }) => Object.values(refused).reduce((total, count) => total + count, 0),
  ),
  counter(
    'forebay_peer_tls_refused_total',
    'Connections without an acceptable certificate. When it grows look at the log: tls.refused.',
    ({ tlsRefused }) => tlsRefused,
  ),
  gauge(
    'forebay_peer_certificate_end_seconds',
    'End of the certificate, since 1970. Issue a new one before it.',
    ({ certificateEnd }) => Date.parse(certificateEnd) / 1000,
  ),
]

export class PeerMetrics {
  private readonly registry = new MetricsRegistry()
  private readonly metrics: readonly { readonly source: Source; readonly metric: { value: number } }[]
  private volumes: readonly VolumeReplicaStatus[] = []

  constructor(node: string) {
    this.metrics = PEER_METRICS.map((source) => {
      const options = { name: source.name, help: source.help, labels: { node } }
      return {
        source,
        metric: source.kind === 'counter' ? this.registry.counter(options) : this.registry.gauge(options),
      }
    })
  }

  /** Prometheus text format 0.0.4. */
  render(status: PeerStatus): string {
    const before = new Map(this.volumes.map((volume) => [volume.volumeUuid, volume]))
    for (const { source, metric } of this.metrics) {
      metric.value = source.value(status, (of) => metric.value + grownSince(before, status.volumes, of))
    }
    this.volumes = status.volumes
    return this.registry.render()
  }
}

/** What the volumes have counted since they were last looked at. */
function grownSince(
  before: ReadonlyMap<string, VolumeReplicaStatus>,
  now: readonly VolumeReplicaStatus[],
  of: OfVolume,
): number {
  return now.reduce((total, volume) => {
    const earlier = before.get(volume.volumeUuid)
    const since = of(volume) - (earlier === undefined ? 0 : of(earlier))
    // Discarded and created anew in between: it counts from zero.
    return total + (since >= 0 ? since : of(volume))
  }, 0)
}
