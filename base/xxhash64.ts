// xxHash64 (seed 0), the checksum of data and of batch headers in the log and on the wire (DESIGN.md §7.12).
// The only importer of xxhash-wasm. Loading the module instantiates the WebAssembly code (about 1 ms, once).
// Cost: about 0.4 µs per 4 KiB plus one small view and one BigInt per call; both die young.
import xxhash from 'xxhash-wasm'

const api = await xxhash()

/** Hash of buffer[start, end). Throws RangeError when the range is not inside the buffer. */
export function xxhash64(buffer: Buffer, start: number, end: number): bigint {
  if (start < 0 || end < start || end > buffer.length) throw new RangeError(`range start=${start} end=${end}`)
  return api.h64Raw(new Uint8Array(buffer.buffer, buffer.byteOffset + start, end - start))
}

/** The low 32 bits of xxhash64: what the index keeps for a clean cached block. */
export function xxhash64Low32(buffer: Buffer, start: number, end: number): number {
  return Number(BigInt.asUintN(32, xxhash64(buffer, start, end)))
}
