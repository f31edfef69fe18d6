// FETCH: sends the batches of a log from a number on, as they were received, until the wanted bytes are reached or the
// log ends. One batch is read at a time, one ahead of what the other side has taken; who takes nothing for
// DRAIN_DEADLINE_MS is given up.
import type { Timer } from '../../../base/clock.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { fetchDecision } from '../../protocol/store-table.ts'
import type { BodyInMemory, MessageOf } from '../wire/messages.ts'
import type { EngineLink } from './engine-link.ts'
import { DRAIN_DEADLINE_MS } from './limits.ts'
import { refusalOf, storeRefusal } from './refusals.ts'
import type { OrderedVolume, RunningOrder } from './volume-host.ts'

export class FetchOrder implements RunningOrder {
  private readonly volume: OrderedVolume
  private readonly link: EngineLink
  private readonly from: BatchSeq
  private readonly bytesMax: Bytes
  /** The last batch of the log when the order began: what is appended meanwhile is no part of the answer. */
  private last: BatchSeq = 0
  private next: BatchSeq
  private sentBytes: Bytes = 0
  private buffer: Buffer | null = null
  private reading = false
  /** Was read, stands in the buffer, and goes out when the other side has taken the one before. */
  private ready: BodyInMemory | null = null
  private cancelled = false
  private ended = false
  private drainTimer: Timer | null = null

  constructor(volume: OrderedVolume, link: EngineLink, { fromBatchSeq, bytesMax }: MessageOf<'FETCH'>) {
    this.volume = volume
    this.link = link
    this.from = fromBatchSeq
    this.next = fromBatchSeq
    this.bytesMax = Math.min(bytesMax, volume.host.fetchBytesMax)
  }

  begin(): void {
    const { state } = this.volume.held
    const { label, then } = fetchDecision(this.link, state, this.from)
    if (typeof then === 'object') {
      this.volume.refuse(this.link, refusalOf(then, `fromBatchSeq=${this.from} row=${label}`))
      return
    }
    this.last = state.log?.lastBatchSeq ?? 0
    if (then === 'drop') this.end()
    else this.takeBuffer()
  }

  cancel(): void {
    this.cancelled = true
    if (!this.reading) this.end()
  }

  drained(): void {
    if (this.drainTimer === null) return
    this.drainTimer.cancel()
    this.drainTimer = null
    const { ready } = this
    this.ready = null
    if (ready !== null) this.send(ready)
    this.goOn()
  }

  private takeBuffer(): void {
    const { bodies } = this.volume.host
    this.buffer = bodies.take(bodies.bufferBytesMax)
    if (this.buffer !== null) return this.goOn()
    bodies.wait(bodies.bufferBytesMax, () => {
      if (this.cancelled) bodies.wake(bodies.bufferBytesMax)
      else this.takeBuffer()
    })
  }

  /** A loop and not a recursion: a store in memory reads within the call. */
  private goOn(): void {
    while (!this.cancelled && this.ready === null && !this.reading) {
      if (this.next <= this.last && this.sentBytes < this.bytesMax) this.read()
      else if (this.drainTimer === null) return this.finish()
      else return
    }
  }

  private read(): void {
    const { buffer } = this
    if (buffer === null) return
    let returned = false
    this.reading = true
    this.volume.held.read(this.next, buffer, (error, body) => {
      this.reading = false
      if (this.cancelled) return this.end()
      if (error !== null || body === null) {
        // Another member may hold it well (S3): this volume goes on.
        this.volume.refuse(this.link, storeRefusal(error ?? new Error('a batch is not there')))
        return
      }
      if (this.drainTimer === null) this.send(body)
      else this.ready = body
      if (returned) this.goOn()
    })
    returned = true
  }

  private send({ buffer, start, length, hash }: BodyInMemory): void {
    // A copy: the stream keeps what it is given until it has gone out, and the next batch is read meanwhile.
    const { volume } = this
    const copy = Buffer.allocUnsafeSlow(length)
    buffer.copy(copy, 0, start, start + length)
    this.next += 1
    this.sentBytes += length
    volume.counters.fetchedBatches += 1
    volume.counters.fetchedBytes += length
    if (this.link.sendBatch({ buffer: copy, start: 0, length, hash })) return
    this.drainTimer = volume.host.timers.after(DRAIN_DEADLINE_MS, () => {
      volume.refuse(this.link, { code: 'too-many', message: `nothing was taken for ${DRAIN_DEADLINE_MS} ms` })
    })
  }

  private finish(): void {
    const lastBatchSeq = this.next - 1
    this.link.send({ type: 'FETCH_END', lastBatchSeq, more: lastBatchSeq < this.last })
    this.end()
  }

  private end(): void {
    if (this.ended) return
    this.ended = true
    this.cancelled = true
    this.drainTimer?.cancel()
    if (this.buffer !== null) this.volume.host.bodies.give(this.buffer)
    this.buffer = null
    this.volume.orderEnded(this.link, null)
  }
}
