// Proves: the sampled entropy is that of the bytes for short inputs, near it for long ones, and sees what a sample at a
// fixed stride would miss.
import { createPrng } from '../../../../../base/prng.ts'
import { MIB } from '../../../../../base/units.ts'
import { sampledEntropy } from '../../../../../csi-driver/replica/compression/byte-entropy.ts'

const prng = createPrng('entropy')
const made = (bytes: number, next: (at: number) => number): Buffer =>
  Buffer.from(Array.from({ length: bytes }, (_, at) => next(at)))

test('exact for short inputs', () => {
  expect(sampledEntropy(Buffer.alloc(0), 0, 0)).toBe(0)
  expect(sampledEntropy(Buffer.alloc(512, 7), 0, 512)).toBe(0)
  expect(
    sampledEntropy(
      made(512, (at) => at % 2),
      0,
      512,
    ),
  ).toBeCloseTo(1)
  expect(
    sampledEntropy(
      made(512, (at) => at % 256),
      0,
      512,
    ),
  ).toBeCloseTo(8)
  expect(
    sampledEntropy(
      made(512, (at) => at % 16),
      256,
      64,
    ),
  ).toBeCloseTo(4)
})

test.each([4096, 65_536, MIB])('noise looks like noise, text like text, zeros like zeros: %i bytes', (bytes) => {
  const noise = made(bytes, () => prng.below(256))
  const text = made(bytes, () => 97 + Math.floor(26 * prng.float() ** 2))
  expect(sampledEntropy(noise, 0, bytes)).toBeGreaterThan(7.4)
  expect(sampledEntropy(text, 0, bytes)).toBeGreaterThan(3)
  expect(sampledEntropy(text, 0, bytes)).toBeLessThan(5)
  expect(sampledEntropy(Buffer.alloc(bytes), 0, bytes)).toBe(0)
})

test('records whose length divides the stride do not hide their fields', () => {
  // A counter's high bytes are zero, its low byte is not: 64-bit integers of noise below 256.
  const integers = made(64 * 1024, (at) => (at % 8 === 0 ? prng.below(256) : 0))
  const entropy = sampledEntropy(integers, 0, integers.length)
  expect(entropy).toBeGreaterThan(1)
  expect(entropy).toBeLessThan(2)
})

test('what changes half-way is seen on both sides', () => {
  const half = made(32 * 1024, (at) => (at < 16 * 1024 ? 0 : prng.below(256)))
  const entropy = sampledEntropy(half, 0, half.length)
  expect(entropy).toBeGreaterThan(4)
  expect(entropy).toBeLessThan(5.5)
})
