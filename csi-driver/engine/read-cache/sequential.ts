// Which reads belong to a long sequential stream: those bypass the cache, since a scan would fill it with blocks that
// nobody reads twice and the backing is at its best with them. Up to 16 streams are followed at once; a stream is
// sequential once 4 MiB of it were read without a gap (the default of bcache).
//
// Requests of one stream may arrive a little out of order (several are in flight), so a request belongs to a stream when
// it starts within REORDER_BYTES of the stream's front, and gaps may add up to as much. A stream that skips more starts
// again from nothing.
import type { Bytes } from '../../../base/units.ts'

export const STREAMS = 16
export const BYPASS_AFTER_BYTES = 4 * 1024 * 1024
export const REORDER_BYTES = 1024 * 1024

export class SequentialDetector {
  /** End of the farthest request of each stream; -1 = unused. */
  private readonly front = new Float64Array(STREAMS).fill(-1)
  /** How far the front has come since the stream began. */
  private readonly advanced = new Float64Array(STREAMS)
  /** Bytes asked for since the stream began; less than `advanced` by the gaps. */
  private readonly read = new Float64Array(STREAMS)
  private readonly lastUse = new Float64Array(STREAMS)
  /** Bytes that each followed exactly on those before, up to the newest read; 0 after a gap. */
  private readonly inARow = new Float64Array(STREAMS)
  private readonly began = new Float64Array(STREAMS)
  private uses = 0
  private observed = 0

  /** Of the stream that the read observed last belongs to: its place, below STREAMS. */
  get stream(): number {
    return this.observed
  }

  /** A name of it that no other has, also none at the same place. */
  get streamBegan(): number {
    return this.began[this.observed] as number
  }

  /** The end of its farthest request. */
  get streamFront(): Bytes {
    return this.front[this.observed] as number
  }

  /** How much its newest reads have brought without any gap or overlap between them, the first one not counted. */
  get streamInARow(): Bytes {
    return this.inARow[this.observed] as number
  }

  /** Takes note of a read of `length` bytes at `position`; true when it belongs to a sequential stream. */
  observe(position: Bytes, length: Bytes): boolean {
    this.uses++
    const stream = this.streamAt(position)
    const end = position + length
    const front = this.front[stream] as number
    this.lastUse[stream] = this.uses
    this.observed = stream
    if (front < 0 || Math.abs(position - front) > REORDER_BYTES) return this.restart(stream, end, length)
    if (end > front) {
      this.front[stream] = end
      this.advanced[stream] = (this.advanced[stream] as number) + end - front
    }
    this.read[stream] = (this.read[stream] as number) + length
    this.inARow[stream] = position === front ? (this.inARow[stream] as number) + length : 0
    const advanced = this.advanced[stream] as number
    const read: number = this.read[stream]
    if (advanced - read > REORDER_BYTES) return this.restart(stream, end, length)
    return Math.min(advanced, read) >= BYPASS_AFTER_BYTES
  }

  clear(): void {
    this.front.fill(-1)
  }

  private restart(stream: number, end: Bytes, length: Bytes): boolean {
    this.front[stream] = end
    this.advanced[stream] = length
    this.read[stream] = length
    this.inARow[stream] = 0
    this.began[stream] = this.uses
    return length >= BYPASS_AFTER_BYTES
  }

  /** The stream whose front is nearest within reach; else an unused one, else the one idle for longest. */
  private streamAt(position: Bytes): number {
    let nearest = -1
    let distanceMin = REORDER_BYTES
    let idle = 0
    for (let stream = 0; stream < STREAMS; stream++) {
      const front = this.front[stream] as number
      const distance = Math.abs(position - front)
      if (front >= 0 && distance <= distanceMin) {
        if (distance === 0) return stream
        nearest = stream
        distanceMin = distance
      }
      if (this.idleSince(stream) < this.idleSince(idle)) idle = stream
    }
    return nearest >= 0 ? nearest : idle
  }

  private idleSince(stream: number): number {
    return (this.front[stream] as number) < 0 ? 0 : (this.lastUse[stream] as number)
  }
}
