// Single batches of the log read back from a member over its link: for reads and destage of what the own cache has lost.
// One after the other, in order of asking; what comes is verified like any frame. A connection that ends fails all.
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { BatchView, PAYLOAD_OK } from '../../batch/batch-view.ts'
import { restoreFrame } from '../wire/envelope.ts'
import type { RoomForBody } from '../wire/frame-reader.ts'
import type { EngineMessage, MessageFrom } from '../wire/messages.ts'
import { decompressPayload } from './payloads.ts'

/** Asked for and not answered, of one link. More fail at once: whoever asks tries again. */
export const BATCH_FETCHES_MAX = 64

/** The frame is whole and verified, at the start of `frame`; null with an error. The buffer is the taker's. */
export type FetchedBatch = (error: Error | null, frame: Buffer | null) => void

interface Asked {
  readonly batchSeq: BatchSeq
  readonly done: FetchedBatch
}

export class BatchFetches {
  private readonly volumeUuid: string
  private readonly send: (message: EngineMessage) => void
  private asked: Asked[] = []
  private found: Buffer | null = null
  private problem: string | null = null

  constructor(volumeUuid: string, send: (message: EngineMessage) => void) {
    this.volumeUuid = volumeUuid
    this.send = send
  }

  ask(batchSeq: BatchSeq, done: FetchedBatch): void {
    if (this.asked.length >= BATCH_FETCHES_MAX) {
      done(new Error(`too many batches are asked for limit=${BATCH_FETCHES_MAX}`), null)
      return
    }
    this.asked.push({ batchSeq, done })
    if (this.asked.length === 1) this.sendNext()
  }

  /** Room for a batch that was asked for. */
  room(bodyBytes: Bytes): RoomForBody | null {
    return this.asked.length === 0 ? null : { buffer: Buffer.alloc(bodyBytes), start: 0 }
  }

  /** False: nothing of that kind was asked for. */
  received(message: MessageFrom<'store'>): boolean {
    const [first] = this.asked
    if (first === undefined) return false
    if (message.type === 'BATCH') this.take(message, first.batchSeq)
    else if (message.type === 'FETCH_END') this.answer(first)
    else return false
    return true
  }

  /** The connection is over. */
  fail(reason: string): void {
    const { asked } = this
    this.asked = []
    this.found = null
    this.problem = null
    for (const { done } of asked) done(new Error(reason), null)
  }

  private sendNext(): void {
    const [next] = this.asked
    // A store sends at least one batch, however few bytes are asked for.
    if (next !== undefined) this.send({ type: 'FETCH', fromBatchSeq: next.batchSeq, bytesMax: 1 })
  }

  private take(message: MessageFrom<'store'> & { readonly type: 'BATCH' }, batchSeq: BatchSeq): void {
    const frame = Buffer.alloc(message.rawPayloadBytes + ROOM_FOR_HEADER)
    const length = restoreFrame(message, frame, decompressPayload)
    const view = new BatchView()
    const isGood =
      length !== null &&
      view.parse(frame, 0, length) === 'ok' &&
      view.isWhole &&
      view.checkPayload() === PAYLOAD_OK &&
      view.volumeUuid === this.volumeUuid &&
      view.batchSeq === batchSeq
    if (isGood) this.found = frame.subarray(0, length)
    else this.problem = `the peer's copy of a batch is damaged batchSeq=${batchSeq}`
  }

  private answer({ batchSeq, done }: Asked): void {
    const { found, problem } = this
    this.asked.shift()
    this.found = null
    this.problem = null
    this.sendNext()
    if (found === null) done(new Error(problem ?? `the peer does not hold the batch batchSeq=${batchSeq}`), null)
    else done(null, found)
  }
}

/** Two header blocks, and the padding of the payload. */
const ROOM_FOR_HEADER: Bytes = 3 * 4096
