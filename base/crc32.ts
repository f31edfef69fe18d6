// CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320, as in zlib, gzip and PNG), for headers other than batch
// headers (DESIGN.md §7.12). Written here because nothing below the edge may import node:zlib.
// Slicing by eight: eight tables let the loop take eight bytes per step. Its test holds the check value
// crc32("123456789") = 0xCBF43926.

const POLYNOMIAL = 0xed_b8_83_20
const SLICES = 8

/** Table k at [k*256, (k+1)*256): the effect of a byte that is followed by k zero bytes. */
const TABLE = buildTable()

function buildTable(): Uint32Array {
  const table = new Uint32Array(SLICES * 256)
  for (let byte = 0; byte < 256; byte++) {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1
    table[byte] = value
  }
  for (let index = 256; index < table.length; index++) {
    const before = table[index - 256] as number
    table[index] = (before >>> 8) ^ (table[before & 0xff] as number)
  }
  return table
}

function lookUp(slice: number, byte: number): number {
  return TABLE[slice * 256 + byte] as number
}

/**
 * CRC-32 of buffer[start, end) as an unsigned 32-bit number. `previous` continues a checksum over several ranges.
 * Throws RangeError when the range is not inside the buffer.
 */
export function crc32(buffer: Buffer, start: number, end: number, previous = 0): number {
  if (start < 0 || end < start || end > buffer.length) throw new RangeError(`range start=${start} end=${end}`)
  let crc = ~previous
  let at = start
  for (; at + 8 <= end; at += 8) {
    const low = crc ^ word(buffer, at)
    const high = word(buffer, at + 4)
    crc =
      lookUp(7, low & 0xff) ^
      lookUp(6, (low >>> 8) & 0xff) ^
      lookUp(5, (low >>> 16) & 0xff) ^
      lookUp(4, low >>> 24) ^
      lookUp(3, high & 0xff) ^
      lookUp(2, (high >>> 8) & 0xff) ^
      lookUp(1, (high >>> 16) & 0xff) ^
      lookUp(0, high >>> 24)
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ lookUp(0, (crc ^ (buffer[at] as number)) & 0xff)
  return ~crc >>> 0
}

function word(buffer: Buffer, at: number): number {
  return (
    (buffer[at] as number) |
    ((buffer[at + 1] as number) << 8) |
    ((buffer[at + 2] as number) << 16) |
    ((buffer[at + 3] as number) << 24)
  )
}
