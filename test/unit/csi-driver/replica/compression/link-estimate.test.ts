// Proves: the slope of a link is found from batches of different sizes, through noise and hiccups; it is not invented from
// batches of one size; it survives them; and it follows a link that changes.
import fc from 'fast-check'
import { createPrng } from '../../../../../base/prng.ts'
import { LinkEstimate } from '../../../../../csi-driver/replica/compression/link-estimate.ts'

const GBIT_MS_PER_BYTE = 8e-6
const MIXED = [4096, 16_384, 65_536, 262_144]

interface Line {
  readonly baseMs: number
  readonly msPerByte: number
  /** Mean of the exponential noise on top. */
  readonly noiseMs?: number
  /** Part of the batches that take 50 ms longer. */
  readonly hiccups?: number
}

/** Acknowledgements of a link; `sizes` are drawn from. */
function feed(link: LinkEstimate, line: Line, sizes: readonly number[], count: number, seed: string): void {
  const prng = createPrng(seed)
  for (let batch = 0; batch < count; batch++) {
    const bytes = prng.pick(sizes)
    const noiseMs = -Math.log(1 - prng.float()) * (line.noiseMs ?? 0) + (prng.chance(line.hiccups ?? 0) ? 50 : 0)
    link.note(bytes, line.baseMs + bytes * line.msPerByte + noiseMs)
  }
}

test('nothing is known at first', () => {
  const link = new LinkEstimate()
  expect([link.expectedMs(4096, 0), link.expectedMs(1e6, 2), link.msPerByte(2)]).toEqual([0, 0, 0])
})

test('an exact line is found exactly', () => {
  const link = new LinkEstimate()
  feed(link, { baseMs: 0.2, msPerByte: GBIT_MS_PER_BYTE }, MIXED, 100, 'exact')
  expect(link.msPerByte(0) / GBIT_MS_PER_BYTE).toBeCloseTo(1, 1)
  expect(link.expectedMs(1_000_000, 0)).toBeGreaterThan(7)
  expect(link.expectedMs(1_000_000, 0)).toBeLessThan(9)
})

test('noise and hiccups do not tilt it', () => {
  fc.assert(
    fc.property(fc.string(), fc.double({ min: 0.5, max: 20, noNaN: true }), (seed, factor) => {
      const msPerByte = factor * GBIT_MS_PER_BYTE
      const link = new LinkEstimate()
      feed(link, { baseMs: 0.3, msPerByte, noiseMs: 0.15, hiccups: 0.005 }, MIXED, 300, seed)
      expect(link.msPerByte(0) / msPerByte).toBeGreaterThan(0.6)
      expect(link.msPerByte(0) / msPerByte).toBeLessThan(1.5)
      expect(link.msPerByte(-2)).toBeLessThanOrEqual(link.msPerByte(0))
      expect(link.msPerByte(2)).toBeGreaterThanOrEqual(link.msPerByte(0))
    }),
    { numRuns: 100 },
  )
})

test('batches of one size leave everything possible between a free byte and nothing but bytes', () => {
  const link = new LinkEstimate()
  feed(link, { baseMs: 0.5, msPerByte: GBIT_MS_PER_BYTE, noiseMs: 0.1 }, [65_536], 500, 'one size')
  expect(link.msPerByte(-2)).toBe(0)
  expect(link.msPerByte(0)).toBe(0)
  expect(link.msPerByte(2)).toBeCloseTo(link.expectedMs(65_536, 0) / 65_536)
})

test('a slope survives thousands of batches of nearly one size', () => {
  const link = new LinkEstimate()
  const line = { baseMs: 0.2, msPerByte: GBIT_MS_PER_BYTE, noiseMs: 0.05 }
  feed(link, line, MIXED, 200, 'learn')
  feed(link, line, [15_000, 15_400, 15_800], 5000, 'keep')
  expect(link.msPerByte(0) / GBIT_MS_PER_BYTE).toBeGreaterThan(0.5)
  expect(link.msPerByte(0) / GBIT_MS_PER_BYTE).toBeLessThan(2)
})

test.each([0.05, 0.2, 5, 20])('a link whose bytes become %d times as dear is followed', (factor) => {
  const link = new LinkEstimate()
  feed(link, { baseMs: 0.3, msPerByte: GBIT_MS_PER_BYTE, noiseMs: 0.1 }, MIXED, 300, 'before')
  feed(link, { baseMs: 0.3, msPerByte: factor * GBIT_MS_PER_BYTE, noiseMs: 0.1 }, MIXED, 300, 'after')
  expect(link.msPerByte(0)).toBeGreaterThan(0.4 * factor * GBIT_MS_PER_BYTE)
  expect(link.msPerByte(0)).toBeLessThan(1.6 * factor * GBIT_MS_PER_BYTE + 0.5e-6)
})

test('a first acknowledgement that took no time at all is not the last word', () => {
  const link = new LinkEstimate()
  link.note(4096, 0)
  feed(link, { baseMs: 0.3, msPerByte: GBIT_MS_PER_BYTE, noiseMs: 0.1 }, MIXED, 300, 'after')
  expect(link.msPerByte(0) / GBIT_MS_PER_BYTE).toBeGreaterThan(0.5)
})

test('an unexpected time says so', () => {
  const link = new LinkEstimate()
  feed(link, { baseMs: 0.3, msPerByte: GBIT_MS_PER_BYTE, noiseMs: 0.05 }, MIXED, 200, 'steady')
  expect(link.note(65_536, 0.3 + 65_536 * GBIT_MS_PER_BYTE + 0.05)).toBe(false)
  expect(link.note(65_536, 5)).toBe(true)
})

test('times and sizes of any kind leave numbers', () => {
  const samples = fc.array(fc.tuple(fc.nat({ max: 3_000_000 }), fc.double({ min: 0, max: 1e6, noNaN: true })))
  fc.assert(
    fc.property(samples, (notes) => {
      const link = new LinkEstimate()
      for (const [bytes, ms] of notes) link.note(bytes, ms)
      for (const doubt of [-2, 0, 2]) {
        expect(link.expectedMs(65_536, doubt)).toBeGreaterThanOrEqual(0)
        expect(Number.isFinite(link.expectedMs(2_000_000, doubt))).toBe(true)
      }
    }),
  )
})
