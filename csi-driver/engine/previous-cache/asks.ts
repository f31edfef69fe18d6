// Questions to the cache of the owner before that are under way, by number, oldest first. Each has a time limit, after which
// its read goes to the backing; its answer is still waited for, to be measured, and keeps its place in the limit.
import type { BlockNumber, Bytes, Ms } from '../../../base/units.ts'
import type { IoDone } from '../../io/storage.ts'

/** Questions under way, late ones included: 4 MiB of answers. */
export const ASKS_MAX = 64

/** One question, and the read that it is for. */
export interface Ask {
  readonly number: number
  readonly firstBlock: BlockNumber
  readonly count: number
  readonly askedMs: Ms
  readonly deadlineMs: Ms
  /** As a read is, so that its time says what one costs. */
  readonly isTimed: boolean
  /** Null: nobody waits for the data, which are only measured and compared. */
  read: MissRead | null
  /** Hashes of what the backing has, of whole blocks by their number within the question; null before it has answered. */
  backingHashes: (number | null)[] | null
  /** What the cache said, where the backing had not answered yet. */
  saidHashes: (number | null)[] | null
}

/** A read that the own cache could not serve. */
export interface MissRead {
  readonly buffer: Buffer
  readonly start: number
  readonly length: Bytes
  readonly position: Bytes
  readonly done: IoDone
}

export class Asks {
  private readonly byNumber = new Map<number, Ask>()
  private last = 0

  get hasRoom(): boolean {
    return this.byNumber.size < ASKS_MAX
  }

  add(fields: Omit<Ask, 'number' | 'backingHashes' | 'saidHashes'>): Ask {
    this.last = (this.last + 1) >>> 0
    const ask: Ask = { ...fields, number: this.last, backingHashes: null, saidHashes: null }
    this.byNumber.set(ask.number, ask)
    return ask
  }

  take(number: number): Ask | null {
    const ask = this.byNumber.get(number)
    if (ask === undefined) return null
    this.byNumber.delete(number)
    return ask
  }

  /** When the next read has waited long enough; null: none waits. Limits differ little, so the oldest waits first. */
  get nextDeadlineMs(): Ms | null {
    let next: Ms | null = null
    for (const { read, deadlineMs } of this.byNumber.values()) {
      if (read !== null && (next === null || deadlineMs < next)) next = deadlineMs
    }
    return next
  }

  /** Reads that have waited long enough, taken off their questions. */
  overdue(nowMs: Ms): MissRead[] {
    const reads: MissRead[] = []
    for (const ask of this.byNumber.values()) {
      if (ask.read === null || ask.deadlineMs > nowMs) continue
      reads.push(ask.read)
      ask.read = null
    }
    return reads
  }

  /** All reads that wait; no question is left. */
  clear(): MissRead[] {
    const reads = this.overdue(Number.POSITIVE_INFINITY)
    this.byNumber.clear()
    return reads
  }
}
