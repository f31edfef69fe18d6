// The last thing that an engine does after a planned move: writes down what its read cache holds, and asks the replica
// store of its node to serve it to the new owner (PROTOCOL.md §9). Only a help: whatever fails here, the volume has moved.
import { promises as fs } from 'node:fs'
import { dirname } from 'node:path'
import type { EventLog } from '../../base/log.ts'
import type { Ms } from '../../base/units.ts'
import { ControlClient } from '../cli/control-client.ts'
import type { ServePlan } from '../cli/serve-settings.ts'
import { encodeCacheIndex } from '../engine/previous-cache/cache-index.ts'
import type { LeftBehind } from '../engine/previous-cache/leave-behind.ts'
import { peerSocketPath, previousIndexPath } from '../observe/state-paths.ts'

/** Who moves a volume waits for it. */
const ANSWER_LIMIT_MS: Ms = 10_000

export async function leaveCache(plan: ServePlan, left: LeftBehind | null, log: EventLog): Promise<void> {
  if (left === null || left.index.blocks.length === 0) return
  const path = previousIndexPath(plan.stateDirectory, plan.volume)
  try {
    const client = await ControlClient.connect(peerSocketPath(plan.stateDirectory, plan.node))
    if (client === null) return
    try {
      await fs.mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await fs.writeFile(path, encodeCacheIndex(left.index), { mode: 0o600 })
      const { volume, volumeUuid, movedTo, blocks } = left.index
      const call = { method: 'serve-cache', volume, volumeUuid, cache: plan.settings.cache } as const
      const signal = AbortSignal.timeout(ANSWER_LIMIT_MS)
      await client.call({ ...call, volumeKey: left.volumeKey.toString('hex') }, { signal })
      log.event('serve.cache_left', { movedTo, blocks: blocks.length, leftOut: left.leftOut })
    } finally {
      client.close()
    }
  } catch (error) {
    log.event('serve.cache_not_left', { reason: error instanceof Error ? error.message : String(error) }, 'warning')
    await fs.rm(path, { force: true }).catch(() => {})
  }
}
