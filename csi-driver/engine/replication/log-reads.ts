// Reads of what only the log holds: from the own cache, and from a member's copy where the cache device fails or gives
// something else than was written (the readers verify every piece; invariant 9 asks for every copy before anything is
// called lost). Positions are those of the own cache: which batch stands there is known to the journal.
import { IoError } from '../../../base/errors.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import type { IoDone, Storage } from '../../io/storage.ts'
import type { Journal } from '../../journal/journal.ts'
import type { LogCopies } from '../log-copies.ts'

/** Frames kept: a destage reads the fragments of a batch one by one. */
const FRAMES_KEPT = 8

type Part = { readonly buffer: Buffer; readonly start: number; readonly length: Bytes; readonly position: Bytes }

export class LogReads {
  private readonly own: Storage
  private readonly journal: Journal
  private readonly copies: LogCopies
  private readonly frames = new Map<BatchSeq, Buffer>()
  private readonly waiting = new Map<BatchSeq, ((error: Error | null, frame: Buffer | null) => void)[]>()
  /** The own cache is not believed any more, as far as the log goes. */
  private distrusted = false

  constructor(own: Storage, journal: Journal, copies: LogCopies) {
    this.own = own
    this.journal = journal
    this.copies = copies
  }

  get alignmentBytes(): Bytes {
    return this.own.alignmentBytes
  }

  /** What the own log gave back was an error, or not what was written: from now on the copies are asked first. */
  distrust(): void {
    this.distrusted = true
  }

  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    if (this.copies.peers === null || !this.isLog(position)) {
      this.own.read(buffer, start, length, position, done)
      return
    }
    const part = { buffer, start, length, position }
    const own = (then: IoDone): void => this.own.read(buffer, start, length, position, then)
    const copy = (then: IoDone): void => this.readCopy(part, then)
    const [first, second] = this.distrusted ? [copy, own] : [own, copy]
    first((error) => {
      if (error === null) done(null)
      else second(done)
    })
  }

  private isLog(position: Bytes): boolean {
    const { logStart, logBytes } = this.journal.superblock.geometry
    return position >= logStart && position < logStart + logBytes
  }

  /** A transfer may cover fragments of several batches that follow each other. */
  private readCopy(part: Part, done: IoDone): void {
    const found = this.journal.batchAt(part.position)
    if (found === null) {
      done(new IoError('EIO', `the log holds no batch there position=${part.position}`))
      return
    }
    this.frame(found.batchSeq, (error, frame) => {
      if (frame === null) {
        done(new IoError('EIO', error?.message ?? 'no copy'))
        return
      }
      const from = part.position - found.position
      const length = Math.min(part.length, frame.length - from)
      if (length <= 0) {
        done(new IoError('EIO', `the copy of the batch is shorter batchSeq=${found.batchSeq}`))
        return
      }
      frame.copy(part.buffer, part.start, from, from + length)
      if (length === part.length) done(null)
      else this.readCopy(rest(part, length), done)
    })
  }

  private frame(batchSeq: BatchSeq, done: (error: Error | null, frame: Buffer | null) => void): void {
    const kept = this.frames.get(batchSeq)
    if (kept !== undefined) {
      done(null, kept)
      return
    }
    const waiting = this.waiting.get(batchSeq)
    if (waiting !== undefined) {
      waiting.push(done)
      return
    }
    this.waiting.set(batchSeq, [done])
    this.copies.peers?.fetchBatch(batchSeq, (error, frame) => this.fetched(batchSeq, error, frame))
  }

  private fetched(batchSeq: BatchSeq, error: Error | null, frame: Buffer | null): void {
    if (frame !== null) {
      const [oldest] = this.frames.keys()
      if (this.frames.size >= FRAMES_KEPT && oldest !== undefined) this.frames.delete(oldest)
      this.frames.set(batchSeq, frame)
    }
    const waiting = this.waiting.get(batchSeq) ?? []
    this.waiting.delete(batchSeq)
    for (const done of waiting) done(error, frame)
  }
}

function rest(part: Part, taken: Bytes): Part {
  return {
    buffer: part.buffer,
    start: part.start + taken,
    length: part.length - taken,
    position: part.position + taken,
  }
}
