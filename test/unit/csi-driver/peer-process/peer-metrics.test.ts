// Proves that every metric of a replica store has its value, its unit and a node.
import { PEER_METRICS, PeerMetrics } from '../../../../csi-driver/peer-process/peer-metrics.ts'
import { peerStatus, volumeLine } from '../cli/peer-status-kit.ts'

test('every metric is printed with its value', () => {
  const metrics = new PeerMetrics('host-b')
  const text = metrics.render(
    peerStatus([
      volumeLine({ failure: 'EIO', counters: { appendedBytes: 1000, writeMs: 2500 } }),
      volumeLine({ volumeUuid: 'c2'.repeat(16), lossReason: 'torn', counters: { appendedBytes: 24 } }),
    ]),
  )
  for (const { name } of PEER_METRICS) expect(text).toMatch(new RegExp(`^${name}\\{node="host-b"\\} \\d`, 'm'))
  for (const line of [
    'forebay_peer_volumes{node="host-b"} 2',
    'forebay_peer_failed_volumes{node="host-b"} 1',
    'forebay_peer_lost_logs{node="host-b"} 1',
    'forebay_peer_appended_bytes_total{node="host-b"} 1024',
    'forebay_peer_write_seconds_total{node="host-b"} 2.5',
    'forebay_peer_refused_total{node="host-b"} 5',
    'forebay_peer_certificate_end_seconds{node="host-b"} 1800000000',
  ]) {
    expect(text).toContain(`${line}\n`)
  }
})

test('counters grow, whatever becomes of the volumes', () => {
  const metrics = new PeerMetrics('host-b')
  const appended = (...volumes: ReturnType<typeof volumeLine>[]): number =>
    Number(/^forebay_peer_appended_batches_total\{.*\} (\d+)$/m.exec(metrics.render(peerStatus(volumes)))?.[1])
  const one = (appendedBatches: number): ReturnType<typeof volumeLine> => volumeLine({ counters: { appendedBatches } })
  const other = volumeLine({ volumeUuid: 'c2'.repeat(16), counters: { appendedBatches: 100 } })
  expect(appended(one(5))).toBe(5)
  expect(appended(one(8), other)).toBe(108)
  expect(appended(other)).toBe(108)
  expect(appended(one(2), other)).toBe(110)
  expect(appended(one(1), other)).toBe(111)
})
