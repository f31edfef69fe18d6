// Proves: what is packed unpacks to the same bytes, whatever they are; a frame of today can be read for ever (golden);
// hostile bytes are refused, in bounded memory and without a write beyond the output; giving memory back harms nobody.
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { createPrng } from '../../../../../base/prng.ts'
import { MIB } from '../../../../../base/units.ts'
import { BATCH_PAYLOAD_BYTES_MAX } from '../../../../../csi-driver/batch/batch-format.ts'
import { zstdCodec } from '../../../../../csi-driver/replica/compression/zstd-codec.ts'

const GUARD_BYTES = 32
const GUARD = 0xa5

function packed(payload: Buffer): Buffer {
  const output = Buffer.alloc(payload.length + 1024)
  const length = zstdCodec.compress(payload, 0, payload.length, output)
  expect(length).toBeGreaterThan(0)
  return output.subarray(0, length)
}

/** Unpacks between guards, which must stand afterwards. null: refused. */
function unpacked(payload: Buffer, rawBytes: number): Buffer | null {
  const room = Buffer.alloc(rawBytes + 2 * GUARD_BYTES, GUARD)
  const output = room.subarray(GUARD_BYTES, GUARD_BYTES + rawBytes)
  const isWhole = zstdCodec.decompress(payload, output)
  for (const guard of [room.subarray(0, GUARD_BYTES), room.subarray(GUARD_BYTES + rawBytes)]) {
    expect(guard.equals(Buffer.alloc(GUARD_BYTES, GUARD))).toBe(true)
  }
  return isWhole ? output : null
}

/** Runs of one byte, repeated phrases and noise, as databases and logs have them. */
const payloads = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 300 })), { maxLength: 30 })
  .map((parts) => Buffer.concat(parts.flatMap(([phrase, times]) => Array.from({ length: times }, () => phrase))))

test('what is packed unpacks to the same bytes', () => {
  fc.assert(
    fc.property(payloads, (payload) => unpacked(packed(payload), payload.length)?.equals(payload) === true),
    {
      numRuns: 200,
    },
  )
})

test('the largest payload, compressible or not, and parts of a larger buffer', () => {
  const noise = Buffer.alloc(BATCH_PAYLOAD_BYTES_MAX)
  const prng = createPrng('zstd')
  for (let at = 0; at < noise.length; at += 4) noise.writeUInt32LE(prng.u32(), at)
  for (const payload of [noise, Buffer.alloc(BATCH_PAYLOAD_BYTES_MAX, 'forebay')]) {
    expect(unpacked(packed(payload), payload.length)?.equals(payload)).toBe(true)
  }
  const output = Buffer.alloc(8192)
  const length = zstdCodec.compress(noise, 12_345, 4096, output)
  expect(unpacked(output.subarray(0, length), 4096)?.equals(noise.subarray(12_345, 12_345 + 4096))).toBe(true)
})

test('a packing that is longer than its room is refused, and one that fits exactly is not', () => {
  const payload = Buffer.from('a forebay is the pool of water kept right in front of the turbines; '.repeat(60))
  const { length } = packed(payload)
  expect(zstdCodec.compress(payload, 0, payload.length, Buffer.alloc(length))).toBe(length)
  expect(zstdCodec.compress(payload, 0, payload.length, Buffer.alloc(length - 1))).toBe(-1)
  expect(zstdCodec.compress(payload, 0, payload.length, Buffer.alloc(0))).toBe(-1)
})

test('a range outside the input is our mistake', () => {
  expect(() => zstdCodec.compress(Buffer.alloc(10), 5, 6, Buffer.alloc(10))).toThrow('range')
})

describe('golden', () => {
  const ZEROS = '28b52ffd6000014d00001000000100fb2ac002'
  const PHRASE = '28b52ffd6000037d000040666f7265626179200100f557152e'

  test.each([
    ['512 zeros', ZEROS, Buffer.alloc(512)],
    ['a phrase 128 times', PHRASE, Buffer.from('forebay '.repeat(128))],
  ])('%s', (_, frame, payload) => {
    expect(unpacked(Buffer.from(frame, 'hex'), payload.length)?.equals(payload)).toBe(true)
  })

  test('the code in the envelope', () => expect(zstdCodec.code).toBe(2))
})

describe('hostile bytes', () => {
  test('random ones are no frame', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 5000 }), (bytes, rawBytes) => {
        expect(unpacked(Buffer.from(bytes), rawBytes)).toBeNull()
      }),
    )
  })

  test('damaged frames unpack to something of the right length, or are refused', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(payloads, damage, (payload, flips) => {
        const frame = Buffer.from(packed(payload))
        for (const [at, mask] of flips) frame[at % frame.length] = (frame[at % frame.length] ?? 0) ^ mask
        const result = unpacked(frame, payload.length)
        expect(result === null || result.length === payload.length).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('a frame cut anywhere is refused', () => {
    const payload = Buffer.from('forebay '.repeat(512))
    const frame = packed(payload)
    for (let length = 0; length < frame.length; length++) {
      expect(unpacked(frame.subarray(0, length), payload.length)).toBeNull()
    }
  })

  test('a frame of another length is refused', () => {
    const frame = packed(Buffer.alloc(4096, 'x'))
    for (const rawBytes of [0, 1, 4095, 4097, MIB]) expect(unpacked(frame, rawBytes)).toBeNull()
  })

  test('a bomb is given up where the payload should end', () => {
    const bomb = zstdCompressSync(Buffer.alloc(256 * MIB))
    expect(bomb.length).toBeLessThan(32 * 1024)
    const before = process.memoryUsage.rss()
    for (let round = 0; round < 20; round++) expect(unpacked(bomb, 4096)).toBeNull()
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * MIB)
  })

  test('a frame that asks for a window larger than any payload is refused', () => {
    // Magic, no content size, window 2^21 and 2^22 and 2^27, one last raw block of four bytes.
    const frame = (window: string): Buffer => Buffer.from(`28b52ffd00${window}21000061626364`, 'hex')
    expect(unpacked(frame('58'), 4)?.toString()).toBe('abcd')
    expect(unpacked(frame('60'), 4)).toBeNull()
    expect(unpacked(frame('88'), 4)).toBeNull()
  })

  test('frames one after the other are no payload', () => {
    const half = packed(Buffer.alloc(2048, 'x'))
    expect(unpacked(Buffer.concat([half, half]), 4096)).toBeNull()
  })
})

test('small buffers of others outlive compressions of every size', () => {
  const prng = createPrng('pool')
  const witnesses: { readonly bytes: Buffer; readonly byte: number }[] = []
  for (let round = 0; round < 600; round++) {
    const payload = Buffer.alloc(512 * (1 + prng.below(200)), prng.below(256))
    const frame = packed(payload)
    const byte = prng.below(256)
    witnesses.push({ bytes: Buffer.allocUnsafe(1 + prng.below(5000)).fill(byte), byte })
    expect(zstdCodec.decompress(frame, Buffer.alloc(payload.length))).toBe(true)
    zstdCodec.compress(payload, 0, payload.length, Buffer.alloc(4))
  }
  for (const { bytes, byte } of witnesses) expect(bytes.every((value) => value === byte)).toBe(true)
})

test('the memory of results is given back at once', () => {
  // Enough garbage to see, not enough to make the collector run: 32 MiB.
  const zeros = Buffer.alloc(2 * MIB)
  const output = Buffer.alloc(zeros.length)
  const before = process.memoryUsage().arrayBuffers
  for (let round = 0; round < 16; round++) {
    const length = zstdCodec.compress(zeros, 0, zeros.length, output)
    expect(zstdCodec.decompress(output.subarray(0, length), zeros)).toBe(true)
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * MIB)
})
