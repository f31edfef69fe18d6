// At most one backing write per 4 KiB block is in flight (PROTOCOL.md 2.3): destage, through-writes and zeroes alike.
// Two writes of one block in flight could land in either order, and the older one would win.
// Pure and synchronous: who holds, who waits, who is next. A request waits for every earlier request that overlaps it,
// held or waiting, so the order of overlapping requests is the order of their arrival and none starves; requests that
// overlap nothing pass. Each waiting request counts its `blockers`; a release counts them down. (A waiting request
// that overlaps a released one always came after it, because a later request cannot be granted before an earlier one
// that it overlaps.) Both lists run through the requests themselves: nothing is allocated.
import { assert } from '../../base/assert.ts'
import { BLOCK_BYTES } from '../../base/units.ts'
import type { Bytes } from '../../base/units.ts'
import type { ByteRange } from '../io/storage.ts'

/** Writes that may be at the device at once; more wait. Far above what any backing needs to be busy. */
export const LOCKS_HELD_MAX = 256

export class LockRequest {
  /** Hull of what is locked, in blocks. */
  firstBlock = 0
  endBlock = 0
  /** The parts inside the hull; null when the hull itself is locked. */
  ranges: readonly ByteRange[] | null = null
  /** Earlier requests in the way; owned by RangeLocks like the three below. */
  blockers = 0
  slot = -1
  next: LockRequest | null = null
  previous: LockRequest | null = null

  lockRange(position: Bytes, length: Bytes): void {
    this.firstBlock = Math.floor(position / BLOCK_BYTES)
    this.endBlock = Math.ceil((position + length) / BLOCK_BYTES)
    this.ranges = null
  }

  lockRanges(ranges: readonly ByteRange[]): void {
    this.firstBlock = Infinity
    this.endBlock = 0
    for (const { position, length } of ranges) {
      this.firstBlock = Math.min(this.firstBlock, Math.floor(position / BLOCK_BYTES))
      this.endBlock = Math.max(this.endBlock, Math.ceil((position + length) / BLOCK_BYTES))
    }
    this.ranges = ranges
  }

  overlapsBlocks(firstBlock: number, endBlock: number): boolean {
    if (this.firstBlock >= endBlock || firstBlock >= this.endBlock) return false
    if (this.ranges === null) return true
    for (const { position, length } of this.ranges) {
      if (Math.floor(position / BLOCK_BYTES) < endBlock && firstBlock < Math.ceil((position + length) / BLOCK_BYTES)) {
        return true
      }
    }
    return false
  }

  overlaps(other: LockRequest): boolean {
    if (other.ranges === null) return this.overlapsBlocks(other.firstBlock, other.endBlock)
    if (this.firstBlock >= other.endBlock || other.firstBlock >= this.endBlock) return false
    return other.ranges.some(({ position, length }) =>
      this.overlapsBlocks(Math.floor(position / BLOCK_BYTES), Math.ceil((position + length) / BLOCK_BYTES)),
    )
  }
}

export class RangeLocks<R extends LockRequest> {
  private readonly heldMax: number
  private readonly held: R[] = []
  private firstWaiting: R | null = null
  private lastWaiting: R | null = null
  private waiting = 0

  constructor(heldMax: number = LOCKS_HELD_MAX) {
    this.heldMax = heldMax
  }

  get heldCount(): number {
    return this.held.length
  }

  get waitingCount(): number {
    return this.waiting
  }

  /** True: the lock is held. False: it waits, and a later takeGranted returns it. */
  acquire(request: R): boolean {
    assert(request.slot === -1 && request.endBlock > request.firstBlock, 'a lock request is used twice or is empty')
    let blockers = 0
    for (const one of this.held) if (one.overlaps(request)) blockers++
    for (let one = this.firstWaiting; one !== null; one = one.next as R | null) if (one.overlaps(request)) blockers++
    request.blockers = blockers
    if (blockers === 0 && this.held.length < this.heldMax) {
      this.hold(request)
      return true
    }
    this.append(request)
    return false
  }

  /** Gives a held lock back. Call takeGranted afterwards. */
  release(request: R): void {
    const slot = request.slot
    assert(this.held[slot] === request, 'released a lock that is not held')
    const last = this.held.pop() as R
    if (last !== request) {
      this.held[slot] = last
      last.slot = slot
    }
    request.slot = -1
    for (let one = this.firstWaiting; one !== null; one = one.next as R | null) {
      if (one.overlaps(request)) one.blockers--
    }
  }

  /** The oldest waiting request that may go now, held from here on; null when there is none. */
  takeGranted(): R | null {
    if (this.held.length >= this.heldMax) return null
    for (let one = this.firstWaiting; one !== null; one = one.next as R | null) {
      if (one.blockers > 0) continue
      this.remove(one)
      this.hold(one)
      return one
    }
    return null
  }

  /** Does a held lock touch these blocks? */
  overlapsHeld(firstBlock: number, endBlock: number): boolean {
    for (const one of this.held) if (one.overlapsBlocks(firstBlock, endBlock)) return true
    return false
  }

  private hold(request: R): void {
    request.slot = this.held.length
    this.held.push(request)
  }

  private append(request: R): void {
    request.previous = this.lastWaiting
    request.next = null
    if (this.lastWaiting === null) this.firstWaiting = request
    else this.lastWaiting.next = request
    this.lastWaiting = request
    this.waiting++
  }

  private remove(request: R): void {
    const previous = request.previous as R | null
    const next = request.next as R | null
    if (previous === null) this.firstWaiting = next
    else previous.next = next
    if (next === null) this.lastWaiting = previous
    else next.previous = previous
    request.next = null
    request.previous = null
    this.waiting--
  }
}
