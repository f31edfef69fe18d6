// How a VolumeState and the names of a log stand in a body: in WELCOME, SEALED, STATE_IS and LEARN.
// A state is a struct, then the names of its log, oldest first. A state without names has no log, which is not the same
// as an empty one. Offsets: docs/formats/wire.md.
import { assert } from '../../../base/assert.ts'
import { isZero } from '../../../base/bytes.ts'
import { bytes, defineLayout, u32, u64, u64big, u8, zeros } from '../../../base/layout.ts'
import type { Bytes } from '../../../base/units.ts'
import { LOG_NAMES_MAX, type LogName, type StoredLog, type VolumeState } from '../../protocol/stored-log.ts'
import { decodeStruct, demand, refuse, uuidBytes, uuidOf } from './body-codec.ts'

export const LOG_NAME = defineLayout('log name', {
  logUuid: bytes(16, 'first 8 bytes: the epoch that created it, big-endian'),
  firstBatchSeq: u64('first batch that carries it, at least 1; never falls from one name to the next'),
})

export const VOLUME_STATE = defineLayout('volume state', {
  promise: u64('engines of a smaller epoch are refused'),
  epoch: u64('of the newest engine that has written here'),
  run: u32('of that engine'),
  nameCount: u8('names behind this struct, 1 to 16; 0: no log of the volume is here, and all below is 0'),
  pendingCount: u8('1 where a pending name is held, else 0'),
  reserved: zeros(2),
  tailBatchSeq: u64('first un-trimmed batch, at least 1'),
  tailSeq: u64('number of its first record, at least 1'),
  tailPreviousHash: u64big('headerHash of the batch before it; 0: none'),
  lastBatchSeq: u64('last batch; tailBatchSeq - 1 where the log is empty'),
  lastSeq: u64('last record; at least tailSeq - 1'),
  lastHash: u64big('headerHash of the last batch; tailPreviousHash where the log is empty'),
  ackedSeq: u64('largest that any batch carried'),
  storedBytes: u64('what the batches take in the store'),
  pendingLogUuid: bytes(16, 'the pending name, or zeros'),
  pendingFirstBatchSeq: u64('its first batch, or 0'),
})

const NAMES_BYTES_MAX: Bytes = LOG_NAMES_MAX * LOG_NAME.size
export const STATE_BYTES_MIN: Bytes = VOLUME_STATE.size
export const STATE_BYTES_MAX: Bytes = VOLUME_STATE.size + NAMES_BYTES_MAX

/** What is wrong with the names of a log, or null. */
export function lineageProblem(lineage: readonly LogName[]): string | null {
  if (lineage.length < 1 || lineage.length > LOG_NAMES_MAX) return `names=${lineage.length} limit=${LOG_NAMES_MAX}`
  let before = 1
  for (const { firstBatchSeq } of lineage) {
    if (firstBatchSeq < before) return `names are out of order firstBatchSeq=${firstBatchSeq}`
    before = firstBatchSeq
  }
  return null
}

function logProblem({ lineage, pending, tail, lastBatchSeq, lastSeq, lastHash }: StoredLog): string | null {
  if (tail.batchSeq < 1 || tail.seq < 1) return `tail is before the first batch batchSeq=${tail.batchSeq}`
  if (lastBatchSeq < tail.batchSeq - 1 || lastSeq < tail.seq - 1)
    return `end is before the tail batchSeq=${lastBatchSeq}`
  const isEmpty = lastBatchSeq === tail.batchSeq - 1
  if (isEmpty && (lastSeq !== tail.seq - 1 || lastHash !== tail.previousHash)) return 'an empty log has no last record'
  if (pending !== null && pending.firstBatchSeq < 1) return 'pending name begins at batch 0'
  return lineageProblem(lineage)
}

export function writeNames(buffer: Buffer, start: number, names: readonly LogName[]): void {
  names.forEach(({ logUuid, firstBatchSeq }, index) =>
    LOG_NAME.encode(buffer, start + index * LOG_NAME.size, { logUuid: uuidBytes(logUuid), firstBatchSeq }),
  )
}

export function readNames(buffer: Buffer, start: number, count: number): LogName[] {
  return Array.from({ length: count }, (_, index) => {
    const { logUuid, firstBatchSeq } = decodeStruct(LOG_NAME, buffer, start + index * LOG_NAME.size)
    return { logUuid: uuidOf(logUuid), firstBatchSeq }
  })
}

export function stateBytes({ log }: VolumeState): Bytes {
  return VOLUME_STATE.size + (log === null ? 0 : log.lineage.length * LOG_NAME.size)
}

type RawState = ReturnType<typeof VOLUME_STATE.decode>
type RawLog = Omit<RawState, 'promise' | 'epoch' | 'run'>

const NO_PENDING = { pendingCount: 0, pendingLogUuid: Buffer.alloc(16), pendingFirstBatchSeq: 0 }
const NO_LOG: RawLog = {
  ...NO_PENDING,
  nameCount: 0,
  tailBatchSeq: 0,
  tailSeq: 0,
  tailPreviousHash: 0n,
  lastBatchSeq: 0,
  lastSeq: 0,
  lastHash: 0n,
  ackedSeq: 0,
  storedBytes: 0,
}

function packLog(log: StoredLog): RawLog {
  const { lineage, pending, tail, lastBatchSeq, lastSeq, lastHash, ackedSeq, storedBytes } = log
  const problem = logProblem(log)
  assert(problem === null, `log is legal problem=${problem}`)
  const named =
    pending === null
      ? NO_PENDING
      : {
          pendingCount: 1,
          pendingLogUuid: uuidBytes(pending.logUuid),
          pendingFirstBatchSeq: pending.firstBatchSeq,
        }
  return {
    ...named,
    nameCount: lineage.length,
    tailBatchSeq: tail.batchSeq,
    tailSeq: tail.seq,
    tailPreviousHash: tail.previousHash,
    lastBatchSeq,
    lastSeq,
    lastHash,
    ackedSeq,
    storedBytes,
  }
}

export function writeState(buffer: Buffer, start: number, { promise, epoch, run, log }: VolumeState): void {
  VOLUME_STATE.encode(buffer, start, { promise, epoch, run, ...(log === null ? NO_LOG : packLog(log)) })
  if (log !== null) writeNames(buffer, start + VOLUME_STATE.size, log.lineage)
}

function pendingOf(raw: RawState): LogName | null {
  const { pendingCount, pendingLogUuid, pendingFirstBatchSeq } = raw
  demand(pendingCount <= 1, `pending names pendingCount=${pendingCount}`)
  if (pendingCount === 1) return { logUuid: uuidOf(pendingLogUuid), firstBatchSeq: pendingFirstBatchSeq }
  demand(pendingFirstBatchSeq === 0 && isZero(pendingLogUuid, 0, pendingLogUuid.length), 'no pending name is all zeros')
  return null
}

/** Reads the state that fills buffer[start, end). */
export function readState(buffer: Buffer, start: number, end: number): VolumeState {
  demand(end - start >= VOLUME_STATE.size, `state is too short bytes=${end - start}`)
  const raw = decodeStruct(VOLUME_STATE, buffer, start)
  const { promise, epoch, run, nameCount } = raw
  const namesStart = start + VOLUME_STATE.size
  demand(nameCount <= LOG_NAMES_MAX && end - namesStart === nameCount * LOG_NAME.size, `names nameCount=${nameCount}`)
  if (nameCount === 0) {
    const isClear = raw.pendingCount === 0 && isZero(buffer, start + VOLUME_STATE.offsets.tailBatchSeq, namesStart)
    return isClear ? { promise, epoch, run, log: null } : refuse('no log is all zeros')
  }
  const log: StoredLog = {
    lineage: readNames(buffer, namesStart, nameCount),
    pending: pendingOf(raw),
    tail: { batchSeq: raw.tailBatchSeq, seq: raw.tailSeq, previousHash: raw.tailPreviousHash },
    lastBatchSeq: raw.lastBatchSeq,
    lastSeq: raw.lastSeq,
    lastHash: raw.lastHash,
    ackedSeq: raw.ackedSeq,
    storedBytes: raw.storedBytes,
  }
  const problem = logProblem(log)
  return problem === null ? { promise, epoch, run, log } : refuse(`log is not legal: ${problem}`)
}
