// Caches that engines of this host have left behind: opens one when the engine says so, over the control socket, and gives
// it to the receiver. The index file is deleted as soon as it is read, and unread ones when this process starts, so that
// nothing of an earlier life is ever served. While a cache is served its superblock is looked at every second: whoever opens
// the volume here again, or takes the file for something else, writes it first, and then the cache is let go. No lock is
// held on it: nobody waits for us, and a block that was written over does not pass for what its hash says.
import { promises as fs } from 'node:fs'
import { CacheError } from '../../base/errors.ts'
import type { Ms } from '../../base/units.ts'
import { BLOCK_BYTES } from '../../base/units.ts'
import { type CacheIndex, decodeCacheIndex, findBlock, INDEX_BYTES_MAX } from '../engine/previous-cache/cache-index.ts'
import type { AlignedMemory, Storage } from '../io/storage.ts'
import { FileStorage } from '../io/real/file-storage.ts'
import { openDescriptor } from '../io/real/open-descriptor.ts'
import { systemClock, systemTimers } from '../io/real/system-clock.ts'
import { probeCache, SUPERBLOCK_AREA_BYTES } from '../journal/journal.ts'
import { previousIndexPath, statePreviousDirectory } from '../observe/state-paths.ts'
import type { Receiver } from '../replica/receiver.ts'
import type { PeerCall } from './control-protocol.ts'

const WATCH_MS: Ms = 1_000

type ServeCache = Extract<PeerCall, { readonly method: 'serve-cache' }>

export interface LeftCacheFilesParts {
  readonly stateDirectory: string
  readonly memory: AlignedMemory
}

export class LeftCacheFiles {
  private readonly parts: LeftCacheFilesParts

  constructor(parts: LeftCacheFilesParts) {
    this.parts = parts
  }

  /** What an earlier life of this process has not read is worth nothing any more. */
  async forgetOld(): Promise<void> {
    await fs.rm(statePreviousDirectory(this.parts.stateDirectory), { recursive: true, force: true })
  }

  /** Throws CacheError where the cache cannot be served; nothing is kept then. */
  async serve(receiver: Receiver, { volume, volumeUuid, volumeKey, cache }: ServeCache): Promise<{ blocks: number }> {
    const index = await this.takeIndex(volume)
    if (index.volumeUuid !== volumeUuid || index.volume !== volume) throw unusable('its index is of another volume')
    const superblocks = await superblocksOf(cache)
    const storage = await this.openCache(cache)
    if (!(await this.isStillLeft(storage, index))) {
      storage.close(() => {})
      throw unusable('somebody has opened it since')
    }
    const watch = setInterval(() => {
      void superblocksOf(cache).then((now) => {
        if (now === null || superblocks === null || !now.equals(superblocks)) {
          receiver.letCacheGo(volumeUuid, 'somebody else has opened the cache, or it is gone')
        }
      })
    }, WATCH_MS)
    watch.unref()
    receiver.offerCache(
      {
        ...{ volume, volumeUuid, volumeKey: Buffer.from(volumeKey, 'hex'), storage },
        ...{ epochLeft: index.epochLeft, registerRv: index.registerRv, movedTo: index.movedTo },
        blocks: index.blocks.length,
        find: (block) => findBlock(index, block),
        positionAt: (place) => index.slotsStart + (index.slots[place] as number) * BLOCK_BYTES,
        hashAt: (place) => index.hashes[place] as number,
      },
      () => clearInterval(watch),
    )
    return { blocks: index.blocks.length }
  }

  private async takeIndex(volume: string): Promise<CacheIndex> {
    const path = previousIndexPath(this.parts.stateDirectory, volume)
    try {
      const { size } = await fs.stat(path)
      if (size > INDEX_BYTES_MAX) throw unusable(`its index is too long bytes=${size}`)
      return decodeCacheIndex(await fs.readFile(path))
    } catch (error) {
      throw error instanceof CacheError ? error : unusable(`its index cannot be read: ${String(error)}`)
    } finally {
      await fs.rm(path, { force: true })
    }
  }

  private async openCache(path: string): Promise<FileStorage> {
    const { memory } = this.parts
    const options = { path, access: 'read-only', durable: false, memory } as const
    // Memory file systems of older kernels know no O_DIRECT; what they hold is in memory anyway.
    const opened = await openDescriptor({ ...options, direct: true }).catch((error: unknown) => {
      if (error instanceof CacheError && error.code === 'CACHE_NO_DIRECT_IO')
        return openDescriptor({ ...options, direct: false })
      throw error
    })
    return new FileStorage({ ...opened, name: path, sync: 'never', clock: systemClock, timers: systemTimers })
  }

  private async isStillLeft(storage: Storage, index: CacheIndex): Promise<boolean> {
    const probe = await probeCache(storage, this.parts.memory)
    if (probe.kind !== 'forebay') return false
    const { volumeUuid, storeUuid, incarnation, epoch } = probe.superblock
    const isSame = volumeUuid === index.volumeUuid && storeUuid === index.storeUuid
    return isSame && incarnation === index.incarnation && epoch === index.epochLeft
  }
}

/** By the path, and not by an open file: another one may stand there by now. Null: none can be read. */
async function superblocksOf(path: string): Promise<Buffer | null> {
  try {
    const file = await fs.open(path, 'r')
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(SUPERBLOCK_AREA_BYTES), 0, SUPERBLOCK_AREA_BYTES, 0)
      return bytesRead === SUPERBLOCK_AREA_BYTES ? buffer : null
    } finally {
      await file.close()
    }
  } catch {
    return null
  }
}

function unusable(why: string): CacheError {
  return new CacheError('invalid', 'CACHE_LEFT_CACHE', `a cache that was left behind is not served: ${why}`)
}
