// Follows one stored log from its tail to its end after a start, deciding each step by stored-log-cases.ts. It reads the
// un-trimmed batches once, in large pieces, checks chain, names and body hashes, and never writes: what a crash left
// behind the end is made void by the next generation of the slot (stored-volume.ts, begin).
import { assert } from '../../../base/assert.ts'
import { IoError } from '../../../base/errors.ts'
import type { BatchSeq, Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, MIB } from '../../../base/units.ts'
import { xxhash64 } from '../../../base/xxhash64.ts'
import type { AlignedMemory, Storage } from '../../io/storage.ts'
import { EnvelopeView } from '../wire/envelope-view.ts'
import { LiveLog, type LostLog } from './live-log.ts'
import { readStoredHeader, type StoredBatchHeader } from './segment-format.ts'
import { type FoundLog, type FoundSegment, type Mark, readRange } from './segment-scan.ts'
import {
  SEGMENT_HEADER_BYTES,
  segmentCount,
  segmentPosition,
  STORED_BODY_BYTES_MAX,
  STORED_HEADER_BYTES,
  storedBytesFor,
  type StoreGeometry,
} from './store-geometry.ts'
import { storedLogCase, type StoredCandidate } from './stored-log-cases.ts'
import type { LogPlace, SlotLog, VolumeSlot } from './volume-slot.ts'

const LONGEST_BYTES: Bytes = storedBytesFor(STORED_BODY_BYTES_MAX)
/** How far behind the last good batch a later one is looked for: the missing one, and one more that may be damaged. */
const SEARCH_BYTES: Bytes = 2 * LONGEST_BYTES
const WINDOW_BYTES: Bytes = 5 * MIB

export type RecoveredLog =
  | { readonly live: LiveLog; readonly lost: null; readonly label: string }
  | { readonly live: null; readonly lost: LostLog; readonly label: string }

/** Called for each good batch; the body is valid only during the call. */
export type StoredBatchVisitor = (header: StoredBatchHeader, batch: EnvelopeView, place: LogPlace) => void

/** A piece of the storage in memory. One serves all logs, one after the other. */
export class ReadWindow {
  readonly buffer: Buffer
  private readonly storage: Storage
  private position: Bytes = 0
  private length: Bytes = 0

  constructor(storage: Storage, memory: AlignedMemory, geometry: StoreGeometry) {
    this.storage = storage
    this.buffer = memory.allocate(Math.min(WINDOW_BYTES, geometry.segmentBytes))
  }

  /** Where [position, position+length) stands in `buffer`; read from there up to `end` where it was not in memory. */
  async hold(position: Bytes, length: Bytes, end: Bytes): Promise<number> {
    const offset = position - this.position
    if (offset >= 0 && offset + length <= this.length) return offset
    this.length = 0
    const wanted = Math.min(this.buffer.length, end - position)
    await readRange(this.storage, this.buffer, { start: 0, length: wanted, position })
    this.position = position
    this.length = wanted
    return 0
  }
}

interface Examined {
  readonly candidate: StoredCandidate
  readonly header: StoredBatchHeader | null
}

const ABSENT: Examined = { candidate: 'absent', header: null }

export class LogRecovery {
  private readonly geometry: StoreGeometry
  private readonly window: ReadWindow
  private readonly slot: VolumeSlot
  private readonly log: SlotLog
  private readonly found: FoundLog
  /** A segment that cannot be read at all may hold the batch; null: there is none. */
  private readonly blindness: string | null
  private readonly live: LiveLog
  private readonly batch = new EnvelopeView()
  /** Where the batch stands that `batch` looks at. */
  private looked: LogPlace | null = null
  private readonly onBatch: StoredBatchVisitor

  constructor(options: {
    geometry: StoreGeometry
    window: ReadWindow
    slot: VolumeSlot
    log: SlotLog
    found: FoundLog
    /** A segment that cannot be read at all. */
    unreadable?: number | undefined
    onBatch?: StoredBatchVisitor
  }) {
    this.geometry = options.geometry
    this.window = options.window
    this.slot = options.slot
    this.log = options.log
    this.found = options.found
    this.blindness = options.unreadable === undefined ? null : `unreadableSegment=${options.unreadable}`
    this.onBatch = options.onBatch ?? (() => undefined)
    this.live = new LiveLog(options.log, options.geometry.segmentBytes)
  }

  /** Never rejects for what is on the disk: what cannot be read or followed is a lost log. */
  async recover(): Promise<RecoveredLog> {
    const place = this.log.tailPlace
    if (place !== null && place.segment >= segmentCount(this.geometry))
      return this.loss('misplaced', 'tail is nowhere', false)
    try {
      for (;;) {
        const ended = await this.step()
        if (ended !== null) return ended
      }
    } catch (error) {
      if (error instanceof IoError) return this.loss('unreadable', `${error.code} ${error.message}`, false)
      throw error
    }
  }

  private async step(): Promise<RecoveredLog | null> {
    const { index } = this.live
    const batchSeq = index.next
    if (this.isOtherBranch()) {
      return this.loss('other_branch', `batch is not the one that was complete batchSeq=${batchSeq - 1}`)
    }
    const nextPlace = this.nextSegmentPlace()
    const next = await this.examine(nextPlace)
    const herePlace = index.headPlace
    const here = await this.examine(herePlace)
    const isMissing = here.candidate !== 'valid' && next.candidate !== 'valid'
    const proof = isMissing ? await this.findProof([herePlace, nextPlace]) : null
    const later = laterOf(here, next)
    const facts = { here: here.candidate, next: next.candidate, later, proven: proof !== null }
    const { label, then } = storedLogCase(facts)
    switch (then) {
      case 'take-here':
        return this.take(herePlace, here.header)
      case 'take-next':
        index.addSegment(nextPlace?.segment ?? 0)
        return this.take(nextPlace, next.header)
      case 'end':
        return { live: this.live, lost: null, label }
      case 'lost':
        return this.loss(label, `batch is lost batchSeq=${batchSeq} proof=${proof ?? 'none'}`, !this.isBlind(proof))
    }
  }

  /** The batches up to the head are whole, but not those that were. */
  private isOtherBranch(): boolean {
    const { headBatchSeq, headHash } = this.log
    return this.live.index.next === headBatchSeq && headHash !== 0n && this.live.lastHash !== headHash
  }

  private isBlind(proof: string | null): boolean {
    return proof !== null && proof === this.blindness
  }

  /** `isProven`: something on the disk says that a batch is missing; else the next start may find it. */
  private loss(label: string, what: string, isProven = true): RecoveredLog {
    const { tail, tailPlace } = this.log
    const from = tailPlace?.ordinal ?? 0
    const kept = this.found.segments.filter((each) => !this.isVoid(each) && (each.ordinal ?? from) >= from)
    const strays = this.found.strays.filter((each) => !this.isVoid(each) && each.batchSeq >= tail.batchSeq)
    const followed = this.live.index.segments
    const segments = [...new Set([...followed, ...kept, ...strays].map((each) => each.segment))]
    const reason = `${what} case=${label} tailBatchSeq=${tail.batchSeq} lastGoodBatchSeq=${this.live.lastBatchSeq}`
    return { live: null, lost: { reason, segments, batchSeq: isProven ? this.live.index.next : null }, label }
  }

  /** Written before the last cut, behind it. */
  private isVoid({ batchSeq, slotGeneration }: Mark): boolean {
    return batchSeq >= this.log.cutBatchSeq && slotGeneration < this.log.cutGeneration
  }

  /** The segment that begins with the batch that is looked for: of several the one that was written last. */
  private nextSegmentPlace(): LogPlace | null {
    const { next, nextOrdinal, segments } = this.live.index
    let best: FoundSegment | null = null
    for (const each of this.found.segments) {
      if (each.batchSeq !== next || (each.ordinal ?? nextOrdinal) !== nextOrdinal || this.isVoid(each)) continue
      // One whose header is damaged may be the segment that we are in.
      if (segments.some(({ segment }) => segment === each.segment)) continue
      if (best === null || each.slotGeneration > best.slotGeneration) best = each
    }
    return best === null ? null : { segment: best.segment, offset: SEGMENT_HEADER_BYTES, ordinal: nextOrdinal }
  }

  private async examine(place: LogPlace | null): Promise<Examined> {
    const { segmentBytes } = this.geometry
    if (place === null || place.offset + BLOCK_BYTES > segmentBytes) return ABSENT
    const header = await this.headerAt(place)
    if (header === null || header.batchSeq !== this.live.index.next || this.isVoid(header)) return ABSENT
    if (place.offset + storedBytesFor(header.bodyBytes) > segmentBytes) return { candidate: 'contradicting', header }
    const { buffer } = this.window
    const start = (await this.holdWhole(place, header)) + STORED_HEADER_BYTES
    const end = start + header.bodyBytes
    this.looked = place
    if (xxhash64(buffer, start, end) !== header.bodyHash) return { candidate: 'torn', header }
    const fits = this.batch.read(buffer, start, header.bodyBytes) === 'ok' && this.follows(header)
    return { candidate: fits ? 'valid' : 'contradicting', header }
  }

  private follows(header: StoredBatchHeader): boolean {
    const { batch } = this
    if (batch.volumeUuid !== this.slot.volumeUuid || batch.headerHash !== header.headerHash) return false
    return this.live.problemOf(batch, this.log) === null
  }

  /** The header of any batch of this log that stands there. */
  private async headerAt(place: LogPlace): Promise<StoredBatchHeader | null> {
    const { position, end } = this.bounds(place)
    // The window may move under the batch that was looked at before.
    this.looked = null
    const at = await this.window.hold(position, BLOCK_BYTES, end)
    const header = readStoredHeader(this.window.buffer, at)
    return header?.logId === this.log.logId ? header : null
  }

  private async holdWhole(place: LogPlace, header: StoredBatchHeader): Promise<number> {
    const { position, end } = this.bounds(place)
    return this.window.hold(position, storedBytesFor(header.bodyBytes), end)
  }

  private bounds({ segment, offset }: LogPlace): { position: Bytes; end: Bytes } {
    const start = segmentPosition(this.geometry, segment)
    return { position: start + offset, end: start + this.geometry.segmentBytes }
  }

  /** The batch at `place` is good. It was examined, but perhaps not last. */
  private async take(place: LogPlace | null, header: StoredBatchHeader | null): Promise<null> {
    assert(place !== null && header !== null, 'a batch was found')
    if (this.looked !== place) {
      const start = (await this.holdWhole(place, header)) + STORED_HEADER_BYTES
      if (this.batch.read(this.window.buffer, start, header.bodyBytes) !== 'ok' || !this.follows(header)) {
        throw new IoError('EIO', `a batch does not read the same twice batchSeq=${header.batchSeq}`)
      }
    }
    this.onBatch(header, this.batch, place)
    this.live.push(this.batch, header.bodyBytes)
    return null
  }

  /** What proves that the batch that is looked for was complete, or null. */
  private async findProof(places: readonly (LogPlace | null)[]): Promise<string | null> {
    const { next } = this.live.index
    const { headBatchSeq, ackedSeq } = this.log
    if (headBatchSeq > next) return `head=${headBatchSeq}`
    if (Math.max(ackedSeq, this.live.ackedSeq) > this.live.lastSeq) return `ackedSeq=${ackedSeq}`
    const isLater = (mark: Mark): boolean => mark.batchSeq > next && !this.isVoid(mark)
    const later = this.found.segments.find(isLater) ?? this.found.strays.find(isLater)
    if (later !== undefined) return `later=${later.batchSeq}`
    for (const place of places) {
      const seen = place === null ? null : await this.searchFrom(place, isLater)
      if (seen !== null) return `later=${seen}`
    }
    return this.blindness
  }

  /** Any block may be a header: the length of the missing batch is not known. */
  private async searchFrom(place: LogPlace, isLater: (mark: Mark) => boolean): Promise<BatchSeq | null> {
    const stop = Math.min(this.geometry.segmentBytes, place.offset + SEARCH_BYTES)
    for (let offset = place.offset; offset < stop; offset += BLOCK_BYTES) {
      const header = await this.headerAt({ ...place, offset })
      if (header !== null && isLater(header)) return header.batchSeq
    }
    return null
  }
}

function laterOf(here: Examined, next: Examined): 'here' | 'next' | 'same' {
  const order = (here.header?.slotGeneration ?? 0) - (next.header?.slotGeneration ?? 0)
  if (order === 0) return 'same'
  return order > 0 ? 'here' : 'next'
}
