// Proves the arithmetic of the compression figures: ratios of medians, spreads round by round, which rows count for which
// key, and that what is written to be compressed is as compressible as its name says.
import { zstdCompressSync } from 'node:zlib'
import { PAYLOAD_KINDS, payloadsOf } from './compression-payloads.ts'
import { compressionPart, compressionRows, type CompressionSample } from './compression-report.ts'

const sample = (fields: Partial<CompressionSample>): CompressionSample => ({
  round: 1,
  link: '1 Gbit/s',
  payload: 'log',
  batchBytes: 65_536,
  mode: 'off',
  megabytesPerSecond: 100,
  p50Micros: 500,
  cpuMicros: 200,
  sentShare: 1,
  ...fields,
})

const SAMPLES = [
  sample({ round: 1 }),
  sample({ round: 1, mode: 'auto', megabytesPerSecond: 210, cpuMicros: 150, sentShare: 0.2 }),
  sample({ round: 2, megabytesPerSecond: 120 }),
  sample({ round: 2, mode: 'auto', megabytesPerSecond: 240, cpuMicros: 250, sentShare: 0.2 }),
  sample({ round: 3, megabytesPerSecond: 80 }),
  sample({ round: 3, mode: 'auto', megabytesPerSecond: 200, cpuMicros: 160, sentShare: 0.4 }),
  sample({ payload: 'noise' }),
  sample({ payload: 'noise', mode: 'auto', megabytesPerSecond: 99 }),
  sample({ link: '10 Gbit/s' }),
  sample({ link: '10 Gbit/s', mode: 'auto', megabytesPerSecond: 98 }),
]

test('one row per link, payload and size; ratios of medians with their spread over the rounds', () => {
  const rows = compressionRows(SAMPLES)
  expect(rows.map(({ link, payload }) => `${link} ${payload}`)).toEqual([
    '1 Gbit/s log',
    '1 Gbit/s noise',
    '10 Gbit/s log',
  ])
  expect(rows[0]?.gain).toEqual({ median: 2.1, min: 2, max: 2.5 })
  expect(rows[0]?.cpu).toEqual({ median: 0.8, min: 0.75, max: 1.25 })
  expect(rows[0]?.auto).toMatchObject({ megabytesPerSecond: 210, cpuMicros: 160, sentShare: 0.2 })
})

test('the gain is that of compressible payloads at 1 Gbit/s, the least that of all', () => {
  const { ratios } = compressionPart(compressionRows(SAMPLES), '1 Gbit/s')
  expect(ratios).toEqual({ compressionGain1G: 2.1, compressionGainLeast: 0.98, compressionCpu: 0.8 })
})

test('the table has a line for each row', () => {
  const lines = compressionPart(compressionRows(SAMPLES), '1 Gbit/s').tables?.[0]?.lines
  expect(lines).toHaveLength(3)
  expect(lines?.[0]?.join(' | ')).toBe(
    '1 Gbit/s | log | 64 KiB | 20 % | 100 → 210 | 2.10 (2.00–2.50) | 500 → 500 | 200 → 160 | 0.80 (0.75–1.25)',
  )
})

test('payloads are what they are called, and the same each time', () => {
  const shares = Object.fromEntries(
    PAYLOAD_KINDS.map((kind) => {
      const bytes = payloadsOf(kind, 256 * 1024)
      expect(payloadsOf(kind, 256 * 1024).equals(bytes)).toBe(true)
      return [kind, zstdCompressSync(bytes).length / bytes.length]
    }),
  )
  expect(shares['log']).toBeLessThan(0.3)
  expect(shares['pages']).toBeGreaterThan(0.4)
  expect(shares['pages']).toBeLessThan(0.7)
  expect(shares['noise']).toBeGreaterThan(0.99)
})
