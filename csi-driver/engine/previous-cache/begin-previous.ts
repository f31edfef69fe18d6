// Decides, when a volume has been opened, whether the owner before may have left a cache behind, and begins to look for it.
// A move leaves a register that says so: closed by another node, or handed over to this one. Whether it really was a move
// is said by the node that serves the cache, for exactly that version of the register.
import { BLOCK_BYTES, MIB, SECTOR_BYTES } from '../../../base/units.ts'
import type { RegisterRecord } from '../../register/record.ts'
import type { EngineCore } from '../engine-core.ts'
import { PreviousCache } from './previous-cache.ts'

/** File systems leave traces in here when they are mounted; compared before anything is used. */
const EDGE_BYTES = MIB / 4

/** `base`: the record that this engine's claim has replaced, and nobody else's. Before the first request. */
export function beginPreviousCache(core: EngineCore, record: RegisterRecord, base: RegisterRecord): void {
  const { ports, settings, epoch, run } = core
  const { replication, node } = settings
  const { network, clock, timers, log, memory } = ports
  if (replication === null || network === null || settings.start !== 'first' || !mayHaveMoved(base, node)) return
  const identity = {
    volume: record.volume,
    volumeUuid: record.volumeUuid,
    volumeKey: Buffer.from(record.volumeKey, 'hex'),
    ...{ node, epoch, run },
  }
  const edgeBytes = Math.min(EDGE_BYTES, Math.floor(core.sizeBytes / BLOCK_BYTES) * BLOCK_BYTES)
  const previous = new PreviousCache(
    { network, clock, timers, log, memory, backing: core.backing },
    { identity, peers: replication.peers, registerRv: base.rv, edgeBytes },
  )
  markGathered(core, previous)
  core.previous = previous
}

function mayHaveMoved({ owner, phase }: RegisterRecord, node: string): boolean {
  if (phase === 'Detached') return owner !== node
  // Also after a crash of our own, which nobody has left a cache for.
  return owner === node && phase !== 'Opening'
}

/** What the log holds, or has held since the move, may be on its way to the backing. */
function markGathered({ index, zeros }: EngineCore, previous: PreviousCache): void {
  index.forEachFragment(({ block, dirty }) => {
    if (dirty) previous.written(block * BLOCK_BYTES, BLOCK_BYTES)
  })
  for (let i = 0; i < zeros.count; i += 1) {
    const start = zeros.startSector[i] as number
    previous.written(start * SECTOR_BYTES, ((zeros.endSector[i] as number) - start) * SECTOR_BYTES)
  }
}
