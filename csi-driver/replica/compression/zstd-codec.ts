// Codec 2 of the envelope: one zstd frame (RFC 8878) at level 1, by the zstd that is built into Node. The one file of the
// data path that imports node:zlib besides io/real: its synchronous calls are pure functions of their bytes.
//
// Node allocates the result of each call. Left to the garbage collector these buffers stand at 60 to 100 MiB when
// batches follow one another (measured, docs/decisions/0008), so each result is copied out and given back at once.
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { assert } from '../../../base/assert.ts'
import type { Bytes } from '../../../base/units.ts'
import { BATCH_PAYLOAD_BYTES_MAX } from '../../batch/batch-format.ts'
import type { PayloadCompressor } from '../wire/envelope-buffer.ts'

export interface Codec extends PayloadCompressor {
  /**
   * Unpacks `payload` into exactly the whole of `output`. False where the bytes are no such packing, whatever they are;
   * `output` is then undefined. Takes no more memory than a small multiple of the largest payload.
   */
  decompress(payload: Buffer, output: Buffer): boolean
}

const CODE = 2
const LEVEL = 1
/** Window that a frame may ask for: every payload fits. Without this limit a few bytes would cost 128 MiB. */
const WINDOW_LOG_MAX = Math.ceil(Math.log2(BATCH_PAYLOAD_BYTES_MAX))

const compressing = { params: { [constants.ZSTD_c_compressionLevel]: LEVEL }, pledgedSrcSize: 0, chunkSize: 0 }
const decompressing = { params: { [constants.ZSTD_d_windowLogMax]: WINDOW_LOG_MAX }, maxOutputLength: 0, chunkSize: 0 }

/**
 * Room for a result of `bytes`: one byte more, so that it comes in one piece and is known to be complete; and more than
 * the pool that Node cuts all small buffers from.
 */
function resultBytesFor(bytes: Bytes): Bytes {
  return Math.max(bytes, Buffer.poolSize) + 1
}

/** Frees the memory of a result; the length tells that nothing else lives in it, least of all that pool. */
function giveBack({ buffer }: Buffer<ArrayBuffer>, resultBytes: Bytes): void {
  if (buffer.byteLength === resultBytes) buffer.transfer(0)
}

export const zstdCodec: Codec = {
  code: CODE,

  compress(input: Buffer, start: number, length: Bytes, output: Buffer): number {
    assert(start >= 0 && start + length <= input.length, `a range of the input start=${start} length=${length}`)
    compressing.pledgedSrcSize = length
    compressing.chunkSize = resultBytesFor(output.length)
    // oxlint-disable-next-line node/no-sync -- microseconds of computing; the way to the thread pool costs more
    const result = zstdCompressSync(input.subarray(start, start + length), compressing)
    const packedBytes = result.length
    if (packedBytes <= output.length) result.copy(output)
    giveBack(result, compressing.chunkSize)
    return packedBytes <= output.length ? packedBytes : -1
  },

  decompress(payload: Buffer, output: Buffer): boolean {
    decompressing.maxOutputLength = Math.max(1, output.length)
    decompressing.chunkSize = resultBytesFor(output.length)
    let result: Buffer<ArrayBuffer>
    try {
      // oxlint-disable-next-line node/no-sync -- as above, and only while a log is fetched
      result = zstdDecompressSync(payload, decompressing)
    } catch {
      return false
    }
    const isWhole = result.length === output.length
    if (isWhole) result.copy(output)
    giveBack(result, decompressing.chunkSize)
    return isWhole
  },
}
