// The cache of the owner before, as the paths of the engine see it. Types only.
import type { Bytes, Ms } from '../../../base/units.ts'
import type { IoDone } from '../../io/storage.ts'

export interface PreviousCacheStatus {
  /** searching: nobody has said yet to have it. trial: compared only. open: used where it is faster. over: let go. */
  readonly state: 'searching' | 'trial' | 'open' | 'over'
  /** The node that serves it; null before it is found. */
  readonly node: string | null
  /** Why it is over; empty before. */
  readonly reason: string
  /** Reads that it has answered; questions that it could not answer, or not in time. */
  readonly hits: number
  readonly misses: number
  readonly late: number
  readonly bytes: Bytes
  /** Averages; null where nothing was measured. */
  readonly latencyMs: Ms | null
  readonly backingLatencyMs: Ms | null
}

export interface PreviousSource {
  /** A read that the own cache cannot serve: from there or from the backing. `permitted`: caches may be read (8.4). */
  read(permitted: boolean, buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void
  /** Writes of [position, position+length) may reach the backing from now on: nothing of it is read from there any more. */
  written(position: Bytes, length: Bytes): void
  /** What is under way is asked of the backing, and nothing else from there any more. */
  stop(): void
  status(): PreviousCacheStatus
}
