// Proves the moves of S3-FIFO one by one: a slot used less than twice leaves the small queue, one used twice goes to the
// main queue, the main queue gives one more round for each use; dead slots come back, pinned ones never; and a search
// ends although every slot is in use. How: a policy of ten slots (small target 1), evictions recorded.
import { NO_SLOT } from '../../../../../csi-driver/engine/read-cache/slot-queue.ts'
import { EVICT_STEPS, S3Fifo } from '../../../../../csi-driver/engine/read-cache/s3-fifo.ts'

function createPolicy(slots: number) {
  const evicted: [slot: number, fromSmall: boolean][] = []
  const policy = new S3Fifo(slots, (slot, fromSmall) => evicted.push([slot, fromSmall]))
  const fill = (toMain: boolean) => {
    for (let i = 0; i < slots; i++) policy.admit(policy.take(), toMain)
  }
  return { policy, evicted, fill }
}

describe('s3-fifo', () => {
  test('hands out every slot before it evicts', () => {
    const { policy, evicted, fill } = createPolicy(10)
    fill(false)
    expect(evicted).toEqual([])
    expect(policy.take()).toBe(0)
    expect(evicted).toEqual([[0, true]])
  })

  test('one use does not save a slot of the small queue, two do', () => {
    const { policy, evicted, fill } = createPolicy(10)
    fill(false)
    policy.touch(0)
    policy.touch(1)
    policy.touch(1)
    expect(policy.take()).toBe(0)
    expect(policy.take()).toBe(2)
    expect(evicted).toEqual([
      [0, true],
      [2, true],
    ])
    expect(policy.promotions).toBe(1)
  })

  test('a slot of the main queue gets as many rounds as it has uses, three at most', () => {
    const { policy, evicted, fill } = createPolicy(10)
    fill(true)
    for (let i = 0; i < 10; i++) policy.touch(3)
    const order: number[] = []
    for (let i = 0; i < 38; i++) {
      const slot = policy.take()
      order.push(slot)
      policy.admit(slot, true)
    }
    // Three slots leave before its first round, nine in each of its three rounds.
    expect(order.indexOf(3)).toBe(3 + 3 * 9)
    expect(evicted.every(([, fromSmall]) => !fromSmall)).toBe(true)
  })

  test('a move to the main queue forgets the uses', () => {
    const { policy, fill } = createPolicy(10)
    fill(false)
    for (let slot = 0; slot < 9; slot++) {
      policy.touch(slot)
      policy.touch(slot)
    }
    // Nine move on, then the small queue is at its target and the main queue gives up its oldest at once.
    expect(policy.take()).toBe(0)
  })

  test('dead slots in the middle are found again without an eviction', () => {
    const { policy, evicted, fill } = createPolicy(10)
    fill(true)
    policy.kill(7)
    policy.kill(4)
    expect(policy.deadSlots).toBe(2)
    expect([policy.take(), policy.take()].toSorted((a, b) => a - b)).toEqual([4, 7])
    expect(policy.deadSlots).toBe(0)
    expect(evicted).toEqual([])
  })

  test('neighbours that died are handed out one after the other, in the order of their slots', () => {
    const { policy, fill } = createPolicy(10)
    fill(true)
    for (const slot of [5, 3, 4, 6]) policy.kill(slot)
    expect([policy.take(), policy.take(), policy.take(), policy.take()]).toEqual([3, 4, 5, 6])
  })

  test('a pinned slot is not handed out, dead or alive, until it is unpinned', () => {
    const { policy, fill } = createPolicy(4)
    fill(true)
    for (let slot = 0; slot < 4; slot++) policy.pin(slot)
    policy.kill(2)
    expect(policy.take()).toBe(NO_SLOT)
    policy.unpin(2)
    expect(policy.take()).toBe(2)
    expect(policy.take()).toBe(NO_SLOT)
    policy.unpin(1)
    expect(policy.take()).toBe(1)
  })

  test('a search among slots that are all in use ends with a forced eviction', () => {
    const slots = 2 * EVICT_STEPS
    const { policy, fill } = createPolicy(slots)
    fill(true)
    for (let slot = 0; slot < slots; slot++) for (let use = 0; use < 3; use++) policy.touch(slot)
    expect(policy.take()).toBe(EVICT_STEPS)
    expect(policy.forcedEvictions).toBe(1)
  })

  test('killing a slot that holds nothing is a programming error', () => {
    const { policy } = createPolicy(4)
    expect(() => policy.kill(0)).toThrow('slot is not in use slot=0')
  })
})
