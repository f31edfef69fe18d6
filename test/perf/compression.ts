// What adaptive compression gains and costs: batches over TLS between two network namespaces with a wire of 1 and of
// 10 Gbit/s between them, compression auto and off in turns. The sender keeps one batch in flight and its peer answers
// from memory: the wire and the compression are measured, not an engine. docs/decisions/0008-compression.md says what
// came of it.
import { fileURLToPath } from 'node:url'
import { PAYLOAD_KINDS } from './compression-payloads.ts'
import type { CompressionPlan } from './compression-peers.ts'
import { compressionPart, compressionRows, type CompressionSample } from './compression-report.ts'
import { GBIT_1, GBIT_10, LimitedLink, type LinkSpeed, LOOPBACK } from './limited-link.ts'
import { measureEnds } from './linked-ends.ts'
import type { PartResult } from './report.ts'
import { SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'

const PEERS = fileURLToPath(new URL('compression-peers.ts', import.meta.url))
const KIB = 1024

/** Both links; without root the loopback, to see that it works. */
export async function measureCompression(scaffold: Scaffold): Promise<PartResult> {
  const isRoot = process.getuid?.() === 0
  const speeds: readonly (LinkSpeed | null)[] = isRoot ? [GBIT_1, GBIT_10] : [null]
  const samples: CompressionSample[] = []
  for (const speed of speeds) {
    const plan: CompressionPlan = {
      link: speed?.title ?? 'loopback',
      payloads: PAYLOAD_KINDS,
      batchBytes: SCALE.isQuick ? [64 * KIB] : [4 * KIB, 64 * KIB, 1024 * KIB],
      // Many short turns: the worst of 18 ratios is wanted, and that is the noisiest one.
      rounds: SCALE.isQuick ? 1 : 12,
      secondsPerSample: 0.3,
      patienceSeconds: SCALE.patienceSeconds,
    }
    // oxlint-disable-next-line eslint/no-await-in-loop -- one link after the other
    const hosts = speed === null ? LOOPBACK : await LimitedLink.open(scaffold, speed)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one link after the other
    samples.push(...(await measureEnds<CompressionSample>(scaffold, hosts, PEERS, plan)))
  }
  return compressionPart(compressionRows(samples), isRoot ? GBIT_1.title : 'loopback')
}
