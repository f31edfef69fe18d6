// How long the disk that the caches of the demo are on takes for a synced write: the figures of the demo cannot be
// understood without it.
import { constants } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Ms } from '../../../base/units.ts'

const BLOCK_BYTES = 4096
const WRITES_MAX = 400
const LIMIT_MS: Ms = 1000

/** Half of the synced writes take no longer. */
export async function syncedWriteMs(directory: string): Promise<Ms> {
  const name = path.join(directory, 'disk-speed')
  const file = await open(name, constants.O_RDWR | constants.O_CREAT | constants.O_DSYNC, 0o600)
  const tookMs: Ms[] = []
  try {
    await file.write(Buffer.alloc(WRITES_MAX * BLOCK_BYTES))
    const block = Buffer.alloc(BLOCK_BYTES, 1)
    const endMs = performance.now() + LIMIT_MS
    for (let i = 0; i < WRITES_MAX && performance.now() < endMs; i++) {
      const begunMs = performance.now()
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await file.write(block, 0, BLOCK_BYTES, i * BLOCK_BYTES)
      tookMs.push(performance.now() - begunMs)
    }
  } finally {
    await file.close()
    await rm(name, { force: true })
  }
  return tookMs.toSorted((a, b) => a - b)[Math.floor(tookMs.length / 2)] ?? 0
}
