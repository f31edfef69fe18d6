// How a replica store is divided, and how much of it a log may need. Numbers only.
//
//   0             64 KiB                                     segmentsStart
//   │ superblocks │ slots, copy 0 … │ slots, copy 1 …        │ segment 0 │ segment 1 │ …
//
// Format: docs/formats/replica-store.md.
import { assert } from '../../../base/assert.ts'
import type { Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, KIB, MIB, roundUp } from '../../../base/units.ts'
import { ENVELOPE_BYTES_MAX } from '../wire/envelope.ts'

export const STORE_SUPERBLOCK_AREA_BYTES: Bytes = 64 * KIB
export const VOLUME_SLOT_BYTES: Bytes = BLOCK_BYTES
export const VOLUME_SLOT_COPIES = 2
/** Volumes of one store. */
export const STORE_VOLUMES_MAX = 256
const SEGMENT_BYTES_DEFAULT: Bytes = 8 * MIB
/** Of a store that would have few of them; the longest batch still fits. */
const SEGMENT_BYTES_SMALL: Bytes = 4 * MIB
const SMALL_STORE_BYTES: Bytes = 512 * MIB
/** Larger ones would only make a store coarser. */
const SEGMENT_BYTES_MAX: Bytes = 1024 * MIB
export const SEGMENT_HEADER_BYTES: Bytes = BLOCK_BYTES
/** In front of each batch in a segment. */
export const STORED_HEADER_BYTES: Bytes = 64
/** Longest body of an APPEND. */
export const STORED_BODY_BYTES_MAX: Bytes = ENVELOPE_BYTES_MAX
/** Segments are named by 32 bits in the slots, and by the owner table in memory. */
const SEGMENTS_MAX = 2 ** 24

export interface StoreGeometry {
  readonly capacityBytes: Bytes
  /** A multiple of 4096. Bodies that do not fit into one segment are refused. */
  readonly segmentBytes: Bytes
  readonly slotCount: number
}

/** Bytes that a batch whose body is so long takes in its segment. */
export function storedBytesFor(bodyBytes: Bytes): Bytes {
  return roundUp(STORED_HEADER_BYTES + bodyBytes, BLOCK_BYTES)
}

export function slotPosition(geometry: StoreGeometry, index: number, copy: number): Bytes {
  assert(index >= 0 && index < geometry.slotCount && copy < VOLUME_SLOT_COPIES, `slot exists index=${index}`)
  return STORE_SUPERBLOCK_AREA_BYTES + (copy * geometry.slotCount + index) * VOLUME_SLOT_BYTES
}

export function segmentsStart(geometry: StoreGeometry): Bytes {
  return STORE_SUPERBLOCK_AREA_BYTES + VOLUME_SLOT_COPIES * geometry.slotCount * VOLUME_SLOT_BYTES
}

export function segmentCount(geometry: StoreGeometry): number {
  return Math.max(0, Math.floor((geometry.capacityBytes - segmentsStart(geometry)) / geometry.segmentBytes))
}

export function segmentPosition(geometry: StoreGeometry, segment: number): Bytes {
  return segmentsStart(geometry) + segment * geometry.segmentBytes
}

/** Length of the segments of a new store. */
export function segmentBytesFor(capacityBytes: Bytes): Bytes {
  return capacityBytes < SMALL_STORE_BYTES ? SEGMENT_BYTES_SMALL : SEGMENT_BYTES_DEFAULT
}

/** First rule that the numbers break, in words, or null. */
export function geometryProblem(geometry: StoreGeometry): string | null {
  const { capacityBytes, segmentBytes, slotCount } = geometry
  if (!Number.isSafeInteger(capacityBytes) || capacityBytes % BLOCK_BYTES !== 0) return 'capacity is not in blocks'
  if (!Number.isSafeInteger(segmentBytes) || segmentBytes % BLOCK_BYTES !== 0) return 'segments are not in blocks'
  if (segmentBytes < 3 * BLOCK_BYTES || segmentBytes > SEGMENT_BYTES_MAX) return 'segment length is out of range'
  if (!Number.isInteger(slotCount) || slotCount < 1 || slotCount > STORE_VOLUMES_MAX) return 'slots are out of range'
  const segments = segmentCount(geometry)
  return segments >= 1 && segments <= SEGMENTS_MAX ? null : 'number of segments is out of range'
}

/**
 * Segments that hold every log that fits into `logBytes` on its owner, wherever in its first segment it begins.
 *
 * In 4096-byte blocks: a batch takes f ≥ 1 blocks in the owner's log (header blocks, then the data rounded up) and
 * s blocks here (64 + 32 + used header + data, rounded up). The used header is 128 + 32 × records; it ends more than 96
 * bytes before its block does, except with 122 to 124 records. So s ≤ f, and with such a number of records s ≤ f + 1;
 * in any case s ≤ 2f and f ≥ s - 1.
 *
 * A segment has D blocks behind its header. It is left when the next batch does not fit, with w < s(next) blocks
 * unused, hence w ≤ s(next) - 1 ≤ f(next). Let a log use n segments. Segment i (1 < i < n) holds its first batch and
 * others: D - w(i) = s(first) + s(others), so its f is at least s(first) - 1 + (D - w(i) - s(first)) / 2 =
 * (D - w(i) + s(first)) / 2 - 1 ≥ (D - w(i) + w(i-1) + 1) / 2 - 1. Summed over i = 2 … n-1 the w cancel except the first
 * and the last, and the batch that begins segment n brings at least the last one:
 *
 *   logBytes / 4096 ≥ Σ f ≥ (n - 2)(D - 1) / 2      ⇒      n ≤ 2 + 2 × logBytes / 4096 / (D - 1)
 *
 * The bound is met by logs of ZERO records in batches of 122 to 124, and nearly so by a longest batch at the start of
 * each segment; other logs need about half of it. What a log does not use of it no other log can take.
 */
export function segmentsForLog(logBytes: Bytes, segmentBytes: Bytes): number {
  const dataBlocks = segmentBytes / BLOCK_BYTES - 1
  return 2 + Math.floor((2 * Math.ceil(logBytes / BLOCK_BYTES)) / (dataBlocks - 1))
}
