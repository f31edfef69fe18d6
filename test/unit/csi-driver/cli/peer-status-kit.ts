// A status of a replica store, as plain numbers, for the tests of what is made of it.
import type { PeerStatus } from '../../../../csi-driver/peer-process/control-protocol.ts'
import { zeroCounters } from '../../../../csi-driver/replica/receiver/volume-counters.ts'

export type VolumeLine = PeerStatus['volumes'][number]

export function volumeLine(
  given: Partial<Omit<VolumeLine, 'counters'>> & { counters?: Partial<VolumeLine['counters']> } = {},
): VolumeLine {
  return {
    ...{ volume: 'db1', volumeUuid: 'c1'.repeat(16), incarnation: 1, epoch: 3, run: 2, promise: 3 },
    log: {
      names: [{ logUuid: `${'0'.repeat(15)}3${'ab'.repeat(8)}`, firstBatchSeq: 1 }],
      ...{ pending: null, storedBytes: 2048, firstBatchSeq: 11, lastBatchSeq: 20, lastSeq: 40, ackedSeq: 40 },
      unackedRecords: 0,
    },
    ...{ lossReason: null, reservedBytes: 4096, engine: { node: 'host-a', purpose: 'owner' }, leaseRemainingMs: 0 },
    ...{ unwrittenBytes: 0, waitingOrders: 0, failure: null },
    ...given,
    counters: { ...zeroCounters(), ...given.counters },
  }
}

export function peerStatus(volumes: readonly VolumeLine[]): PeerStatus {
  return {
    ...{ node: 'host-b', storeUuid: 'd2'.repeat(16), resource: 'flash', capacityBytes: 4 * 1024 ** 3 },
    ...{
      freeBytes: 1024 ** 3,
      connections: 1,
      unwrittenBytes: 0,
      bodyBytes: 0,
      refused: { proof: 2, gap: 3 },
      volumes,
      leftCaches: [],
    },
    ...{ listen: '10.0.0.2:7070', path: '/var/store', pid: 7, version: '0.1.0', uptimeSeconds: 60, register: null },
    ...{ certificateEnd: new Date(1_800_000_000_000).toISOString(), tlsRefused: 0 },
  }
}
