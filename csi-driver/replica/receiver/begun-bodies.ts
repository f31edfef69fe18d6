// Bodies that connections have begun to receive, in buffers of the pool: each node has a share, so that one which begins
// many and goes on with none keeps its own connections waiting and nobody else's. A whole body is its volume's business
// (byte-shares.ts).
import { assert } from '../../../base/assert.ts'
import type { Timers } from '../../../base/clock.ts'
import type { Bytes } from '../../../base/units.ts'
import type { BodyPool } from './body-pool.ts'

interface Share {
  begunBytes: Bytes
  readonly waiting: (() => void)[]
}

export class BegunBodies {
  private readonly pool: BodyPool
  private readonly timers: Timers
  private readonly nodeBytesMax: Bytes
  private readonly shares = new Map<string, Share>()

  constructor({ pool, timers }: { pool: BodyPool; timers: Timers }, nodeBytesMax: Bytes) {
    assert(nodeBytesMax >= pool.bufferBytesMax, `the largest body fits nodeBytesMax=${nodeBytesMax}`)
    this.pool = pool
    this.timers = timers
    this.nodeBytesMax = nodeBytesMax
  }

  /** As BodyPool.take; null also where the node has begun too much. `ended` takes it out of the share again. */
  take(node: string, bytes: Bytes): Buffer | null {
    const share = this.shareOf(node)
    if (this.isAbove(share, bytes)) return null
    const buffer = this.pool.take(bytes)
    if (buffer !== null) share.begunBytes += buffer.length
    else this.forget(node, share)
    return buffer
  }

  /** The body is whole, and whoever has the buffer gives it back to the pool. */
  ended(node: string, buffer: Buffer): void {
    const share = this.shareOf(node)
    share.begunBytes -= buffer.length
    assert(share.begunBytes >= 0, `no more ends than was begun node=${node}`)
    this.wakeShare(node, share)
  }

  /** The body will never be whole. */
  givenUp(node: string, buffer: Buffer): void {
    this.ended(node, buffer)
    this.pool.give(buffer)
  }

  /** As BodyPool.wait, for room in the pool or in the node's share, whichever is missing. */
  wait(node: string, bytes: Bytes, callback: () => void): void {
    const share = this.shareOf(node)
    if (this.isAbove(share, bytes)) share.waiting.push(callback)
    else this.pool.wait(bytes, callback)
  }

  /** Who was called back wants it no more. */
  passOn(node: string, bytes: Bytes): void {
    this.wakeShare(node, this.shareOf(node))
    this.pool.wake(bytes)
  }

  private isAbove({ begunBytes }: Share, bytes: Bytes): boolean {
    return begunBytes + bytes > this.nodeBytesMax
  }

  private wakeShare(node: string, share: Share): void {
    const next = share.waiting.shift()
    if (next !== undefined) this.timers.soon(next)
    else this.forget(node, share)
  }

  private shareOf(node: string): Share {
    let share = this.shares.get(node)
    if (share === undefined) {
      share = { begunBytes: 0, waiting: [] }
      this.shares.set(node, share)
    }
    return share
  }

  private forget(node: string, { begunBytes, waiting }: Share): void {
    if (begunBytes === 0 && waiting.length === 0) this.shares.delete(node)
  }
}
