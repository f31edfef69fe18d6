// What each order makes of a volume's slot: pure functions from the durable slot and the log beside it to the slot that
// is to be written, or to the error that the order deserves. An order that changes nothing returns the slot itself.
import { CacheError } from '../../../base/errors.ts'
import type { BatchSeq, Bytes, Epoch, Ms, Run } from '../../../base/units.ts'
import type { LogBegin, LogName } from '../../protocol/stored-log.ts'
import type { LiveLog, LostLog } from './live-log.ts'
import { isLineage, namesFrom, withName } from './log-names.ts'
import { notHeld, notLegal } from './store-errors.ts'
import type { SlotLog, VolumeSlot } from './volume-slot.ts'

export interface VolumeUpdate {
  readonly promise?: Epoch
  readonly epoch?: Epoch
  readonly run?: Run
  readonly pending?: LogName | null
}

export interface LearnOrder {
  readonly lineage: readonly LogName[]
  readonly begin: LogBegin
  readonly logBytes: Bytes
  readonly epoch: Epoch
  readonly run: Run
}

export type SlotChange = VolumeSlot | CacheError

/** The next generation of the slot, with what has become durable beside it since the last one. */
export function nextGeneration(slot: VolumeSlot, live: LiveLog | null, wallMs: Ms): VolumeSlot {
  const next = { ...slot, generation: slot.generation + 1, wallMs }
  return slot.log === null || live === null ? next : { ...next, log: broughtUp(slot.log, live) }
}

function broughtUp(log: SlotLog, live: LiveLog): SlotLog {
  const tailPlace = live.index.placeOf(log.tail.batchSeq)
  return { ...log, tailPlace, headBatchSeq: live.index.next, headHash: live.lastHash, ackedSeq: live.ackedSeq }
}

/** As a start writes it once: another slot in any case, whose log is void behind what was found. */
export function begun(slot: VolumeSlot, live: LiveLog | null, lost: LostLog | null): VolumeSlot {
  const { log, generation } = slot
  if (log === null) return { ...slot }
  if (live === null) return { ...slot, log: lost === null ? log : knownLost(log, lost) }
  return { ...slot, log: cutAt(log, { batchSeq: live.index.next, previousHash: live.lastHash }, generation) }
}

/** Promise and (epoch, run) only grow; a pending name begins inside the log or right behind it. */
export function updated(slot: VolumeSlot, update: VolumeUpdate, live: LiveLog | null): SlotChange {
  const promise = update.promise ?? slot.promise
  const { epoch, run } = { epoch: slot.epoch, run: slot.run, ...update }
  if (promise < slot.promise) return notLegal(`promise only grows promise=${slot.promise} asked=${promise}`)
  if (isOlder({ epoch, run }, slot)) {
    return notLegal(`run only grows epoch=${slot.epoch} run=${slot.run} askedEpoch=${epoch} askedRun=${run}`)
  }
  const log = update.pending === undefined ? slot.log : withPending(slot.log, update.pending, live)
  if (log instanceof CacheError) return log
  const isSame = promise === slot.promise && epoch === slot.epoch && run === slot.run && log === slot.log
  return isSame ? slot : { ...slot, promise, epoch, run, log }
}

function isOlder(left: { epoch: Epoch; run: Run }, right: { epoch: Epoch; run: Run }): boolean {
  return left.epoch === right.epoch ? left.run < right.run : left.epoch < right.epoch
}

function withPending(log: SlotLog | null, pending: LogName | null, live: LiveLog | null): SlotLog | CacheError {
  if (log === null || live === null) return notHeld('there is no log to name')
  if (pending === null) return log.pending === null ? log : { ...log, pending }
  const { firstBatchSeq, logUuid } = pending
  if (log.pending?.logUuid === logUuid && log.pending.firstBatchSeq === firstBatchSeq) return log
  const isInside = firstBatchSeq >= log.tail.batchSeq && firstBatchSeq <= live.index.next
  if (!isInside || !/^[0-9a-f]{32}$/.test(logUuid)) {
    return notLegal(`pending name does not fit the log firstBatchSeq=${firstBatchSeq} next=${live.index.next}`)
  }
  return { ...log, pending }
}

/** An empty log in place of whatever was there. */
export function learned(
  slot: VolumeSlot,
  order: LearnOrder,
  { logId, reservedSegments }: { logId: bigint; reservedSegments: number },
): SlotChange {
  const { lineage, begin, logBytes, epoch, run } = order
  const moved = updated(slot, { epoch, run, promise: Math.max(slot.promise, epoch) }, null)
  if (moved instanceof CacheError) return moved
  if (!isLineage(lineage, begin.batchSeq)) return notLegal('lineage is not one of a log that begins there')
  if (begin.batchSeq < 1 || begin.seq < 1) return notLegal('numbers begin at 1')
  const { generation } = slot
  const log: SlotLog = {
    logId,
    logBytes,
    reservedSegments,
    lineage: namesFrom(lineage, begin.batchSeq),
    pending: null,
    tail: begin,
    tailPlace: null,
    ackedSeq: 0,
    headBatchSeq: begin.batchSeq,
    headHash: begin.previousHash,
    cutBatchSeq: begin.batchSeq,
    cutGeneration: generation,
  }
  return { ...moved, log }
}

/** The tail behind `batchSeq`. A pending name that would begin before it was given up long ago. */
export function trimmed(slot: VolumeSlot, batchSeq: BatchSeq, live: LiveLog | null): SlotChange {
  const { log } = slot
  if (log === null || live === null) return notHeld('there is no log to trim')
  if (batchSeq < log.tail.batchSeq) return slot
  const tail = live.beginAfter(batchSeq)
  if (tail === null) return notHeld(`batch is not held batchSeq=${batchSeq} lastBatchSeq=${live.lastBatchSeq}`)
  const pending = log.pending !== null && log.pending.firstBatchSeq < tail.batchSeq ? null : log.pending
  const tailPlace = live.index.placeOf(tail.batchSeq)
  return { ...slot, log: { ...log, tail, tailPlace, pending, lineage: namesFrom(log.lineage, tail.batchSeq) } }
}

/**
 * The pending name becomes the last one; batches from its first on are cut: they were written under an older generation
 * than the one that this slot gets, which makes them void whatever happens next.
 */
export function promoted(slot: VolumeSlot, logUuid: string, live: LiveLog | null): SlotChange {
  const { log } = slot
  if (log === null || live === null) return notHeld('there is no log to promote')
  const { pending, lineage } = log
  if (pending === null || pending.logUuid !== logUuid) {
    return lineage.at(-1)?.logUuid === logUuid ? slot : notHeld(`no pending log of that name logUuid=${logUuid}`)
  }
  const begin = live.beginAfter(pending.firstBatchSeq - 1) ?? log.tail
  const named = { ...cutAt(log, begin, slot.generation), pending: null, lineage: withName(lineage, pending) }
  const isEmptied = begin.batchSeq === log.tail.batchSeq
  const tailPlace = isEmptied ? live.index.placeAfterCut(begin.batchSeq) : log.tailPlace
  return { ...slot, log: { ...named, tailPlace, ackedSeq: Math.min(log.ackedSeq, begin.seq - 1) } }
}

/** The log goes on with batch `begin.batchSeq`: what stands there or behind it now is void. */
export function cutAt(log: SlotLog, begin: Omit<LogBegin, 'seq'>, generation: number): SlotLog {
  const { batchSeq, previousHash } = begin
  return { ...log, headBatchSeq: batchSeq, headHash: previousHash, cutBatchSeq: batchSeq, cutGeneration: generation }
}

/** What proved the loss may be overwritten one day: from now on the slot says it. */
function knownLost(log: SlotLog, { batchSeq }: LostLog): SlotLog {
  if (batchSeq === null || batchSeq < log.headBatchSeq) return log
  return { ...log, headBatchSeq: batchSeq + 1, headHash: 0n }
}
