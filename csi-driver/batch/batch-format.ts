// The batch frame: one group commit, one log write, the same bytes on the owner and on every peer.
// Described field by field in docs/formats/batch.md, whose tables are the ones declared here.
//
//   header (1 or 2 blocks of 4096: fixed part, descriptors, zeros) │ payload (data of the WRITE records, packed in
//   order, each a multiple of 512; then zeros up to the next multiple of 4096)
//
// Canonical: records are packed without gaps and every unused byte is zero, so that one set of records has one encoding
// and a flipped bit anywhere is found by the header hash, a data hash or the zero check.
import { bytes, defineLayout, u16, u32, u48, u64, u64big, u8, zeros } from '../../base/layout.ts'
import type { Bytes } from '../../base/units.ts'
import { BLOCK_BYTES, MIB, roundUp } from '../../base/units.ts'

/** "FBAT" in the file. */
export const BATCH_MAGIC = 0x54_41_42_46
export const BATCH_VERSION = 1

/** Bounds the header to two blocks; loop and FUSE queue less than this between two log writes (datapath §3.3). */
export const BATCH_RECORDS_MAX = 240
/** Data of one batch. Two of the largest records, so that a batch of one never starves its neighbour. */
export const BATCH_PAYLOAD_BYTES_MAX: Bytes = 2 * MIB
/** Data of one record; the engine splits longer writes. Equals the largest FUSE write. */
export const RECORD_PAYLOAD_BYTES_MAX: Bytes = MIB

export const HEADER_BLOCK_BYTES: Bytes = BLOCK_BYTES
export const HEADER_BLOCKS_MAX = 2
/** Where the payload stands in the buffer of a BatchBuilder; a header of one block begins at 4096, of two at 0. */
export const PAYLOAD_OFFSET: Bytes = HEADER_BLOCKS_MAX * HEADER_BLOCK_BYTES

/**
 * Numbers that another process has written (of batches, records, epochs) stay below: the next one, and the sum of two,
 * can then be computed, kept and sent without a thought. Half of what a number holds exactly.
 */
export const LOG_NUMBER_LIMIT = 2 ** 52

/** Sector numbers are 48 bits: 128 PiB. */
export const SECTOR_LIMIT = 2 ** 48

export const OP_WRITE = 1
export const OP_ZERO = 2
/** Record flag of a ZERO: space may be released (discard); otherwise it should stay allocated. */
export const FLAG_MAY_UNMAP = 1

export const BATCH_HEADER = defineLayout('batch header', {
  magic: u32('"FBAT"; finds frames among payload'),
  version: u16('of this format: 1'),
  headerBlocks: u16('1 for up to 124 records, else 2; the payload begins behind them'),
  volumeUuid: bytes(16, 'refuses frames of another volume on a re-used device'),
  logUuid: bytes(16, 'refuses frames of a log that was given up; first 8 bytes: its epoch, big-endian'),
  epoch: u64('ownership under which it was written'),
  run: u32('life of the engine inside the epoch; refuses what a dead engine left half-written'),
  count: u16('number of descriptors, 0 to 240'),
  flags: u16('none defined; not 0 is refused'),
  batchSeq: u64('1, 2, 3 …; refuses older laps of the ring'),
  firstSeq: u64('seq of record 0; record i has firstSeq + i; of the next record where count is 0'),
  ackedSeq: u64('every record up to it had been replied to when this was written; below firstSeq'),
  trimSeq: u64('every record up to it had been destaged and flushed; below firstSeq'),
  payloadBytes: u32('data without the padding to 4096; a multiple of 512'),
  reserved: zeros(4),
  previousHash: u64big('headerHash of batch batchSeq - 1; a chain, so that no batch can be exchanged'),
  wallMs: u64('wall clock when sealed, ms since 1970; says how old data at risk is'),
  session: u64big('FUSE connection whose `unique` values the descriptors carry; 0 = none'),
  headerHash: u64big('xxHash64 of the header blocks with this field as 0'),
})

export const BATCH_DESCRIPTOR = defineLayout('batch descriptor', {
  sector: u48('first 512-byte sector of the volume'),
  op: u8('1 WRITE, 2 ZERO'),
  flags: u8('bit 0: space may be released (ZERO only)'),
  sectors: u32('length in 512-byte sectors, not 0; WRITE at most 2048'),
  payloadStart: u32('where its data begins, in 512-byte sectors from the payload; the end of the record before'),
  dataHash: u64big('xxHash64 of the data; 0 for ZERO; finds a torn write'),
  unique: u64big('number of the request in its session; recognises a write that the kernel sends again'),
})

export const HEADER_BYTES = BATCH_HEADER.size
export const DESCRIPTOR_BYTES = BATCH_DESCRIPTOR.size
export const DESCRIPTORS_IN_ONE_BLOCK = Math.floor((HEADER_BLOCK_BYTES - HEADER_BYTES) / DESCRIPTOR_BYTES)

/** Header blocks of a batch with `count` records. */
export function headerBlocksFor(count: number): number {
  return count <= DESCRIPTORS_IN_ONE_BLOCK ? 1 : 2
}

/** Length of the frame of a batch on disk. */
export function frameBytesFor(count: number, payloadBytes: Bytes): Bytes {
  return headerBlocksFor(count) * HEADER_BLOCK_BYTES + roundUp(payloadBytes, BLOCK_BYTES)
}

/** Length of the longest frame whose payload stays within `payloadBytesMax`. */
export function frameBytesMaxFor(payloadBytesMax: Bytes): Bytes {
  return PAYLOAD_OFFSET + roundUp(payloadBytesMax, BLOCK_BYTES)
}

export const BATCH_FRAME_BYTES_MAX: Bytes = frameBytesMaxFor(BATCH_PAYLOAD_BYTES_MAX)
