// Who may write to the store next. Volumes that have a batch to write stand in a ring; each turn lets one batch of one
// volume go, so that a volume waits for at most one batch of each other volume, however much they have queued. The bytes
// in flight are bounded, so that the queue is here, where it is fair, and not in the device.
import type { Bytes } from '../../../base/units.ts'

export interface Writer {
  /** Length of the write that it wants to begin. */
  readonly writeBytes: Bytes
  /** Its turn: begins exactly one write, and calls `ended` when that is over, perhaps before it returns. */
  beginWrite(): void
}

export class FairWrites {
  writingBytes: Bytes = 0
  private readonly writingBytesMax: Bytes
  private readonly waiting: Writer[] = []
  private running = false

  constructor(writingBytesMax: Bytes) {
    this.writingBytesMax = writingBytesMax
  }

  get waitingWriters(): number {
    return this.waiting.length
  }

  /** Puts the writer at the end of the ring; it must not stand there already. */
  request(writer: Writer): void {
    this.waiting.push(writer)
    this.run()
  }

  /** It has nothing to write any more. */
  withdraw(writer: Writer): void {
    const index = this.waiting.indexOf(writer)
    if (index >= 0) this.waiting.splice(index, 1)
  }

  /** A write that a turn began, of so many bytes, is over. */
  ended(bytes: Bytes): void {
    this.writingBytes -= bytes
    this.run()
  }

  /** A loop and not a recursion: a store in memory ends each write within the call. */
  private run(): void {
    if (this.running) return
    this.running = true
    for (;;) {
      const next = this.waiting[0]
      if (next === undefined) break
      // One write is always allowed, however long.
      if (this.writingBytes > 0 && this.writingBytes + next.writeBytes > this.writingBytesMax) break
      this.waiting.shift()
      this.writingBytes += next.writeBytes
      next.beginWrite()
    }
    this.running = false
  }
}
