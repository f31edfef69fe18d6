// A cache that an owner has left behind on this node after a planned move, as the receiver serves it: blocks that were
// clean then, each with its place and hash. Opened and described by the peer's process (peer-process/left-cache-file.ts).
import type { BlockNumber, Bytes, Epoch, Ms } from '../../../base/units.ts'
import type { Storage } from '../../io/storage.ts'

export interface LeftCache {
  readonly volume: string
  readonly volumeUuid: string
  /** 32 bytes; never logged. */
  readonly volumeKey: Buffer
  /** Epoch of the owner that left it. */
  readonly epochLeft: Epoch
  /** Version of the register record once the volume had been left. */
  readonly registerRv: number
  /** The only node that may read it. */
  readonly movedTo: string
  readonly blocks: number
  /** Where the block stands in the index; -1: it was not clean, or not cached. */
  find(block: BlockNumber): number
  /** Byte of the cache storage at which it begins; `place` is what find gave. */
  positionAt(place: number): Bytes
  hashAt(place: number): number
  readonly storage: Pick<Storage, 'read' | 'close'>
}

export interface LeftCacheStatus {
  readonly volume: string
  readonly volumeUuid: string
  readonly movedTo: string
  readonly blocks: number
  /** The new owner is connected. */
  readonly reader: boolean
  /** Blocks that were asked for, and those among them that were here and as their hash says. */
  readonly askedBlocks: number
  readonly servedBlocks: number
  /** Blocks that were not what their hash says, or could not be read. */
  readonly badBlocks: number
  readonly remainingMs: Ms
}

/** From the move on; the new owner has what it needs by then. */
export const LEFT_CACHE_MS: Ms = 10 * 60_000
/** Volumes whose caches are served at once; the oldest goes first. */
export const LEFT_CACHES_MAX = 16
/** READs of one reader that are read at once, a buffer of READ_BLOCKS_MAX blocks each. */
export const LEFT_READS_AT_ONCE = 8
/** READs that wait besides; more end the connection. */
export const LEFT_READS_WAITING_MAX = 256
