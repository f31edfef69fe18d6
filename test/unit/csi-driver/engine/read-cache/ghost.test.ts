// Proves: the ghost remembers what was added, forgets by being asked and by age, and hardly ever remembers strangers.
import { Ghost } from '../../../../../csi-driver/engine/read-cache/ghost.ts'

describe('ghost', () => {
  test('remembers once', () => {
    const ghost = new Ghost(100)
    ghost.add(7)
    expect(ghost.take(8)).toBe(false)
    expect(ghost.take(7)).toBe(true)
    expect(ghost.take(7)).toBe(false)
  })

  test('remembers most of the last entries and nothing of long ago', () => {
    const ghost = new Ghost(1600)
    for (let block = 0; block < 100_000; block++) ghost.add(block)
    let recent = 0
    for (let block = 100_000 - 800; block < 100_000; block++) if (ghost.take(block)) recent++
    let old = 0
    for (let block = 0; block < 50_000; block++) if (ghost.take(block)) old++
    expect(recent).toBeGreaterThan(760)
    expect(old).toBeLessThan(50)
  })

  test('clear forgets everything', () => {
    const ghost = new Ghost(16)
    ghost.add(1)
    ghost.clear()
    expect(ghost.take(1)).toBe(false)
  })

  test('a cache without a main queue still has a ghost that works', () => {
    const ghost = new Ghost(0)
    ghost.add(5)
    expect(ghost.take(5)).toBe(true)
  })
})
