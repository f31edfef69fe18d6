// Whether several connections to a peer are worth having: batches over 1, 2 and 4 of them in turns, over a wire of 1 and
// of 10 Gbit/s between two network namespaces. docs/decisions/0009-one-connection-for-each-peer.md says what came of it.
import { fileURLToPath } from 'node:url'
import type { ConnectionsPlan, ConnectionsSample } from './connections-peers.ts'
import { GBIT_1, GBIT_10, LimitedLink, type LinkSpeed, LOOPBACK } from './limited-link.ts'
import { measureEnds } from './linked-ends.ts'
import { median, type PartResult, type Table } from './report.ts'
import { SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'

const PEERS = fileURLToPath(new URL('connections-peers.ts', import.meta.url))
const KIB = 1024

/** One line for each link, batch size and number of connections, with medians. */
function connectionsTable(samples: readonly ConnectionsSample[]): Table {
  const groups = Map.groupBy(samples, ({ link, batchBytes, connections }) => `${link} ${batchBytes} ${connections}`)
  const lines = [...groups.values()].map((group) => {
    const of = (figure: (sample: ConnectionsSample) => number): number => Math.round(median(group.map(figure)))
    const [{ link, batchBytes, connections }] = group as [ConnectionsSample]
    const figures = [
      of(({ megabytesPerSecond }) => megabytesPerSecond),
      of(({ p50Micros }) => p50Micros),
      of(({ cpuMicros }) => cpuMicros),
    ]
    return [link, `${batchBytes / KIB} KiB`, connections, ...figures]
  })
  return {
    title: 'Connections to a peer: one batch in flight, in stripes',
    columns: ['link', 'batch', 'connections', 'MB/s', 'p50 µs', 'CPU µs of the sender'],
    lines,
  }
}

/** Both links; without root the loopback, to see that it works. */
export async function measureConnections(scaffold: Scaffold): Promise<PartResult> {
  const isRoot = process.getuid?.() === 0
  const speeds: readonly (LinkSpeed | null)[] = isRoot ? [GBIT_1, GBIT_10] : [null]
  const samples: ConnectionsSample[] = []
  for (const speed of speeds) {
    const plan: ConnectionsPlan = {
      link: speed?.title ?? 'loopback',
      batchBytes: [4 * KIB, 64 * KIB, 1024 * KIB],
      connections: [1, 2, 4],
      rounds: SCALE.isQuick ? 1 : 3,
      secondsPerSample: SCALE.isQuick ? 0.3 : 0.6,
      patienceSeconds: SCALE.patienceSeconds,
    }
    // oxlint-disable-next-line eslint/no-await-in-loop -- one link after the other
    const hosts = speed === null ? LOOPBACK : await LimitedLink.open(scaffold, speed)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one link after the other
    samples.push(...(await measureEnds<ConnectionsSample>(scaffold, hosts, PEERS, plan)))
  }
  return { ratios: {}, ratioSpreads: {}, tables: [connectionsTable(samples)] }
}
