// Proves: payloads of every codec come back; what is none does not; the adaptive coder's choice is carried out and its
// measurements reach it: on a slow link it compresses what shrinks, on a fast one nothing for long.
import { createPrng } from '../../../../../base/prng.ts'
import { zstdCodec } from '../../../../../csi-driver/replica/compression/zstd-codec.ts'
import {
  AdaptivePayloads,
  decompressPayload,
  RAW_PAYLOADS,
} from '../../../../../csi-driver/replica/replicator/payloads.ts'

const prng = createPrng('payloads')
const NOISE = Buffer.from(Array.from({ length: 65_536 }, () => prng.below(256)))
const TEXT = Buffer.alloc(65_536, 'the same few words again and again, row by row; ')

test('raw is the choice without measurement', () => {
  expect(RAW_PAYLOADS.choose(TEXT, 0, TEXT.length)).toBeNull()
})

test('what was packed comes back; rubbish, another length, another codec do not', () => {
  const packed = Buffer.alloc(65_536)
  const length = zstdCodec.compress(TEXT, 0, TEXT.length, packed)
  const payload = packed.subarray(0, length)
  const output = Buffer.alloc(TEXT.length)
  expect(decompressPayload(zstdCodec.code, payload, output)).toBe(TEXT.length)
  expect(output).toEqual(TEXT)
  expect(decompressPayload(zstdCodec.code, payload, Buffer.alloc(100))).toBe(-1)
  expect(decompressPayload(zstdCodec.code, NOISE, output)).toBe(-1)
  expect(decompressPayload(1, payload, output)).toBe(-1)
})

/** Share of 300 batches that were compressed, when a byte takes so long. */
function shareCompressed(data: Buffer, msPerByte: number): number {
  let nowMs = 0
  const payloads = new AdaptivePayloads({ monotonicMs: () => nowMs, bootMs: () => 0, wallMs: () => 0 })
  const output = Buffer.alloc(data.length)
  let compressed = 0
  for (let i = 0; i < 300; i++) {
    const length = 4096 * (1 + (i % 16))
    const compressor = payloads.choose(data, 0, length)
    let sent = length
    if (compressor !== null) {
      compressed++
      const packed = compressor.compress(data, 0, length, output.subarray(0, length - 1))
      if (packed > 0) sent = packed
    }
    const elapsedMs = 0.2 + sent * msPerByte
    nowMs += elapsedMs
    payloads.sent(length, sent, elapsedMs)
  }
  return compressed / 300
}

test('by measurement', () => {
  expect(shareCompressed(TEXT, 1e-3)).toBeGreaterThan(0.8)
  expect(shareCompressed(NOISE, 1e-3)).toBeLessThan(0.2)
  expect(shareCompressed(TEXT, 1e-7)).toBeLessThan(0.2)
})
