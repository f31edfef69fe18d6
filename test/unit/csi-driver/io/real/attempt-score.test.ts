// Proves when an attempt is worth making: as long as fruit comes now and then, and rarely after a long time without.
import fc from 'fast-check'
import { AttemptScore } from '../../../../../csi-driver/io/real/attempt-score.ts'

const OPTIONS = { max: 4, perHit: 2, probeInterval: 8 }

/** Chances taken of `chances`, each ending as `hit` says. */
function taken(score: AttemptScore, chances: number, hit: boolean): number {
  let count = 0
  for (let i = 0; i < chances; i++) {
    if (!score.worthTrying()) continue
    count++
    score.ended(hit)
  }
  return count
}

test('without fruit it is given up after the maximum, and probed once in the interval', () => {
  const score = new AttemptScore(OPTIONS)
  expect(taken(score, 4, false)).toBe(4)
  expect(taken(score, 80, false)).toBe(10)
})

test('a probe that bears fruit brings the attempts back', () => {
  const score = new AttemptScore(OPTIONS)
  taken(score, 20, false)
  while (!score.worthTrying());
  score.ended(true)
  expect(taken(score, 2, false)).toBe(2)
  expect(score.worthTrying()).toBe(false)
})

test('a reset makes it worth trying again', () => {
  const score = new AttemptScore(OPTIONS)
  taken(score, 20, false)
  score.reset()
  expect(taken(score, 4, false)).toBe(4)
})

test('property: one hit in every `perHit` attempts keeps every chance taken', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 10 }), (max, perHit) => {
      const score = new AttemptScore({ max: max + perHit, perHit, probeInterval: 8 })
      for (let i = 0; i < 200; i++) {
        expect(score.worthTrying()).toBe(true)
        score.ended(i % perHit === 0)
      }
    }),
  )
})
