// Proves: whatever arrives and ends in whatever order, no two held locks overlap, overlapping requests are granted in
// the order of their arrival, nothing waits without a reason, and nothing is forgotten.
import * as fc from 'fast-check'

import { LockRequest, RangeLocks } from '../../../../csi-driver/backing/range-locks.ts'

const BLOCK = 4096

function request(...ranges: [block: number, blocks: number][]): LockRequest {
  const one = new LockRequest()
  const bytes = ranges.map(([block, blocks]) => ({ position: block * BLOCK, length: blocks * BLOCK }))
  const first = bytes[0]
  if (bytes.length === 1 && first !== undefined) one.lockRange(first.position, first.length)
  else one.lockRanges(bytes)
  return one
}

test('sectors of one 4 KiB block exclude each other, neighbouring blocks do not', () => {
  const locks = new RangeLocks()
  const [a, b, c] = [new LockRequest(), new LockRequest(), new LockRequest()]
  a.lockRange(512, 512)
  b.lockRange(3584, 512)
  c.lockRange(4096, 512)
  expect([locks.acquire(a), locks.acquire(b), locks.acquire(c)]).toEqual([true, false, true])
  expect(locks.overlapsHeld(0, 1)).toBe(true)
  expect(locks.overlapsHeld(2, 9)).toBe(false)
  locks.release(a)
  expect(locks.takeGranted()).toBe(b)
  expect(locks.takeGranted()).toBeNull()
})

test('a request passes those that wait only where it overlaps none of them', () => {
  const locks = new RangeLocks()
  const held = request([0, 2])
  const waiting = request([1, 3])
  const behindWaiting = request([3, 1])
  const free = request([4, 1])
  expect([held, waiting, behindWaiting, free].map((one) => locks.acquire(one))).toEqual([true, false, false, true])
  locks.release(held)
  expect(locks.takeGranted()).toBe(waiting)
  expect(locks.takeGranted()).toBeNull()
  locks.release(waiting)
  expect(locks.takeGranted()).toBe(behindWaiting)
})

test('a request of several ranges leaves the gaps free', () => {
  const locks = new RangeLocks()
  expect(locks.acquire(request([0, 1], [10, 1]))).toBe(true)
  expect(locks.acquire(request([5, 1]))).toBe(true)
  expect(locks.acquire(request([10, 1]))).toBe(false)
  expect(locks.acquire(request([4, 1], [6, 2]))).toBe(true)
})

test('at most the limit is held; the rest waits in order', () => {
  const locks = new RangeLocks(2)
  const all = [0, 1, 2, 3].map((block) => request([block, 1]))
  expect(all.map((one) => locks.acquire(one))).toEqual([true, true, false, false])
  expect(locks.takeGranted()).toBeNull()
  locks.release(all[1]!)
  expect(locks.takeGranted()).toBe(all[2])
  expect(locks.takeGranted()).toBeNull()
})

test('a lock is not taken twice', () => {
  const locks = new RangeLocks()
  const one = request([0, 1])
  locks.acquire(one)
  expect(() => locks.acquire(one)).toThrow('used twice')
  expect(() => locks.release(request([0, 1]))).toThrow('not held')
})

test('property: exclusion, order of arrival, no needless waiting', () => {
  const range = fc.tuple(fc.nat({ max: 12 }), fc.integer({ min: 1, max: 4 }))
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.array(range, { minLength: 1, maxLength: 3 }) },
    { weight: 2, arbitrary: fc.nat({ max: 1000 }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 4 }), (steps, heldMax) => {
      const locks = new RangeLocks(heldMax)
      const held: LockRequest[] = []
      const waiting: LockRequest[] = []
      const check = (): void => {
        for (const [i, a] of held.entries()) for (const b of held.slice(i + 1)) expect(a.overlaps(b)).toBe(false)
        // The first in line that overlaps nothing earlier must not be waiting while there is room.
        if (held.length < heldMax) {
          for (const [i, one] of waiting.entries()) {
            expect([...held, ...waiting.slice(0, i)].some((earlier) => earlier.overlaps(one))).toBe(true)
          }
        }
        expect(locks.heldCount).toBe(held.length)
        expect(locks.waitingCount).toBe(waiting.length)
      }
      for (const one of steps) {
        if (typeof one === 'number') {
          const released = held.splice(one % Math.max(1, held.length), 1)[0]
          if (released === undefined) continue
          locks.release(released)
          for (let next = locks.takeGranted(); next !== null; next = locks.takeGranted()) {
            const place = waiting.indexOf(next)
            expect(waiting.slice(0, place).some((earlier) => earlier.overlaps(next))).toBe(false)
            waiting.splice(place, 1)
            held.push(next)
          }
        } else {
          const fresh = request(...one)
          if (locks.acquire(fresh)) held.push(fresh)
          else waiting.push(fresh)
        }
        check()
      }
    }),
    { numRuns: 300 },
  )
})
