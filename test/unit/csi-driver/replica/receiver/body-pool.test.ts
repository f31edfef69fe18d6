// Proves: a body gets the smallest buffer that fits and is free, the sum of all buffers keeps its limit, small buffers
// cannot take up the room of the largest, and waiters are served in order, each by a buffer that is large enough.
import { KIB, MIB } from '../../../../../base/units.ts'
import { BodyPool } from '../../../../../csi-driver/replica/receiver/body-pool.ts'
import { heapMemory } from '../../batch/batch-kit.ts'
import { settle, TestTime } from '../../engine/test-time.ts'

const LARGEST = 2 * MIB + 16 * KIB

function pool(bytesMax = 4 * LARGEST): BodyPool {
  return new BodyPool({ memory: heapMemory, timers: new TestTime() }, { bufferBytesMax: LARGEST, bytesMax })
}

test.each([
  [1, 24 * KIB],
  [24 * KIB, 24 * KIB],
  [24 * KIB + 1, 72 * KIB],
  [MIB + 8 * KIB, MIB + 8 * KIB],
  [MIB + 8 * KIB + 1, LARGEST],
  [LARGEST, LARGEST],
])('a body of %d bytes gets a buffer of %d', (bytes, size) => {
  expect(pool().take(bytes)?.length).toBe(size)
})

test('buffers are used again, also for smaller bodies, before new ones are made', () => {
  const bodies = pool()
  const large = bodies.take(MIB)
  const small = bodies.take(KIB)
  if (large === null || small === null) throw new Error('there is room')
  bodies.give(small)
  bodies.give(large)
  expect(bodies.usedBytes).toBe(0)
  expect(bodies.take(KIB)).toBe(small)
  expect(bodies.take(KIB)).toBe(large)
  expect(bodies.allocatedBytes).toBe(MIB + 32 * KIB)
})

test('the limit holds, and half of it is kept for the largest', () => {
  const bodies = pool()
  const taken: Buffer[] = []
  for (let buffer = bodies.take(KIB); buffer !== null; buffer = bodies.take(KIB)) taken.push(buffer)
  expect(bodies.allocatedBytes).toBeLessThanOrEqual(4 * LARGEST)
  // At the end even small bodies got the largest buffers; each of those serves any body when it is given back.
  const last = taken.at(-1)
  expect(last?.length).toBe(LARGEST)
  expect(bodies.take(LARGEST)).toBeNull()
  if (last !== undefined) bodies.give(last)
  expect(bodies.take(LARGEST)).toBe(last)
})

test('waiters are called in order when a buffer is free that is large enough, and not within the call', async () => {
  const bodies = pool(2 * LARGEST)
  const large = bodies.take(LARGEST)
  const small: Buffer[] = []
  for (let buffer = bodies.take(KIB); buffer !== null; buffer = bodies.take(KIB)) small.push(buffer)
  const called: string[] = []
  bodies.wait(LARGEST, () => called.push('first, large'))
  bodies.wait(KIB, () => called.push('second, small'))
  bodies.wait(KIB, () => called.push('third, small'))
  const [one] = small
  if (large === null || one === undefined) throw new Error('they were taken')
  bodies.give(one)
  expect(called).toEqual([])
  await settle()
  expect(called).toEqual(['second, small'])
  bodies.give(large)
  await settle()
  expect(called).toEqual(['second, small', 'first, large'])
  bodies.wake(LARGEST)
  await settle()
  expect(called.at(-1)).toBe('third, small')
})
