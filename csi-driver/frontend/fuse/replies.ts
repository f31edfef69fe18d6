// Replies to everything but data: pure functions that write the body of a reply at buffer[start…] and return its length.
import type { Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, SECTOR_BYTES } from '../../../base/units.ts'
import {
  attrOut,
  entryOut,
  FILE_NODE,
  initOut,
  openOut,
  OPEN_DIRECT_IO,
  OPEN_NOFLUSH,
  OPEN_PARALLEL_DIRECT_WRITES,
  OUT_ERROR,
  OUT_HEADER_BYTES,
  OUT_LEN,
  OUT_UNIQUE_HIGH,
  OUT_UNIQUE_LOW,
  ROOT_NODE,
  statfsOut,
  FUSE_MAJOR,
} from './abi.ts'
import type { FuseSession } from './negotiate.ts'
import { BACKGROUND_REQUESTS_MAX } from './negotiate.ts'

/** Name and attributes change only through us, so the kernel may believe them for long. */
const VALID_SECONDS = 3600
const DIRECTORY_MODE = 0o40755
const FILE_MODE = 0o100600
const NO_TIMES = Buffer.alloc(36)

/** Longest reply that these functions make, header included. */
export const METADATA_REPLY_BYTES_MAX = OUT_HEADER_BYTES + entryOut.size

/** fuse_out_header: `errno` positive or 0; `uniqueHigh` exactly as it came, resend bit included. */
export function writeOutHeader(buffer: Buffer, start: number, length: Bytes, errno: number): void {
  buffer.writeUInt32LE(length, start + OUT_LEN)
  buffer.writeInt32LE(-errno, start + OUT_ERROR)
}

export function writeOutUnique(buffer: Buffer, start: number, uniqueLow: number, uniqueHigh: number): void {
  buffer.writeUInt32LE(uniqueLow, start + OUT_UNIQUE_LOW)
  buffer.writeUInt32LE(uniqueHigh, start + OUT_UNIQUE_HIGH)
}

export function encodeInit(buffer: Buffer, start: number, session: FuseSession): Bytes {
  initOut.encode(buffer, start, {
    major: FUSE_MAJOR,
    minor: session.minor,
    maxReadahead: 0,
    flags: session.flags,
    maxBackground: BACKGROUND_REQUESTS_MAX,
    congestionThreshold: (BACKGROUND_REQUESTS_MAX * 3) / 4,
    maxWrite: session.maxWrite,
    timeGranularity: 1,
    maxPages: session.maxWrite / BLOCK_BYTES,
    mapAlignment: 0,
    flags2: session.flags2,
  })
  return initOut.size
}

function attributesOf(node: number, sizeBytes: Bytes) {
  const directory = node === ROOT_NODE
  return {
    node,
    size: directory ? 0 : sizeBytes,
    blocks: directory ? 0 : sizeBytes / SECTOR_BYTES,
    times: NO_TIMES,
    mode: directory ? DIRECTORY_MODE : FILE_MODE,
    links: 1,
    uid: 0,
    gid: 0,
    device: 0,
    blockBytes: BLOCK_BYTES,
    attributeFlags: 0,
  }
}

/** Attributes of the directory (ROOT_NODE) or of the file. */
export function encodeAttributes(buffer: Buffer, start: number, node: number, sizeBytes: Bytes): Bytes {
  attrOut.encode(buffer, start, {
    validSeconds: VALID_SECONDS,
    validNanoseconds: 0,
    ...attributesOf(node, sizeBytes),
  })
  return attrOut.size
}

/** Answer to the look-up of the one file. */
export function encodeFileEntry(buffer: Buffer, start: number, sizeBytes: Bytes): Bytes {
  entryOut.encode(buffer, start, {
    nodeId: FILE_NODE,
    generation: 1,
    entryValidSeconds: VALID_SECONDS,
    validSeconds: VALID_SECONDS,
    entryValidNanoseconds: 0,
    validNanoseconds: 0,
    ...attributesOf(FILE_NODE, sizeBytes),
  })
  return entryOut.size
}

/** Direct I/O keeps everybody, also a stray reader of the file, out of the page cache. */
export function encodeOpenFile(buffer: Buffer, start: number): Bytes {
  const openFlags = OPEN_DIRECT_IO | OPEN_PARALLEL_DIRECT_WRITES | OPEN_NOFLUSH
  openOut.encode(buffer, start, { handle: 0, openFlags })
  return openOut.size
}

export function encodeOpenDirectory(buffer: Buffer, start: number): Bytes {
  openOut.encode(buffer, start, { handle: 0, openFlags: 0 })
  return openOut.size
}

/** Must be answered: loop enables discard only if it is, and takes the granularity from the block size. */
export function encodeStatfs(buffer: Buffer, start: number, sizeBytes: Bytes): Bytes {
  statfsOut.encode(buffer, start, {
    blocks: Math.floor(sizeBytes / BLOCK_BYTES),
    blocksFree: 0,
    blocksAvailable: 0,
    files: 1,
    filesFree: 0,
    blockBytes: BLOCK_BYTES,
    nameBytesMax: 255,
    fragmentBytes: BLOCK_BYTES,
  })
  return statfsOut.size
}
