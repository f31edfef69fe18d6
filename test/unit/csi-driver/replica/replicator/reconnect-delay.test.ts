// Proves: pauses grow to their cap and no further, are spread over half of it, and a refusal is met with more patience.
import { createPrng } from '../../../../../base/prng.ts'
import {
  RECONNECT_FIRST_MS,
  RECONNECT_MAX_MS,
  reconnectDelayMs,
  REFUSED_FIRST_MS,
  REFUSED_MAX_MS,
} from '../../../../../csi-driver/replica/replicator/reconnect-delay.ts'

const draws = (failures: number, refused: boolean): number[] => {
  const prng = createPrng(`delay ${failures}`)
  return Array.from({ length: 200 }, () => reconnectDelayMs(failures, refused, prng))
}

test.each([
  [false, RECONNECT_FIRST_MS, RECONNECT_MAX_MS],
  [true, REFUSED_FIRST_MS, REFUSED_MAX_MS],
])('refused=%s', (refused, first, max) => {
  for (let failures = 0; failures < 2000; failures = failures * 2 + 1) {
    const full = Math.min(max, first * 2 ** Math.min(failures - 1, 40))
    const seen = draws(failures, refused)
    expect(Math.max(...seen)).toBeLessThanOrEqual(full)
    expect(Math.min(...seen)).toBeGreaterThanOrEqual(full / 2)
    expect(Math.max(...seen) - Math.min(...seen)).toBeGreaterThan(full / 4)
  }
})

test('a peer that was restarted is tried several times within the second in which it is not late', () => {
  let sum = 0
  for (let failures = 1; failures <= 5; failures++) sum += Math.max(...draws(failures, false))
  expect(sum).toBeLessThan(1000)
})
