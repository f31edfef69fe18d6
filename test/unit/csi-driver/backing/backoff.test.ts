// Proves: pauses grow to the cap, never beyond, never to nothing, and are spread.
import { BACKOFF_MAX_MS, backoffMs } from '../../../../csi-driver/backing/backoff.ts'
import { createPrng } from '../../../../base/prng.ts'

test('doubles from 25–50 ms up to 2.5–5 s', () => {
  const prng = createPrng('backoff')
  for (let attempt = 0; attempt < 2000; attempt++) {
    const full = Math.min(BACKOFF_MAX_MS, 50 * 2 ** attempt)
    const pause = backoffMs(attempt, prng)
    expect(pause).toBeGreaterThanOrEqual(full / 2)
    expect(pause).toBeLessThanOrEqual(full)
  }
  expect(backoffMs(3, prng)).not.toBe(backoffMs(3, prng))
})
