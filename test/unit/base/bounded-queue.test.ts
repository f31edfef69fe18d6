// Proves: the queue behaves like an array with a limit, for every sequence of operations, and lets go of taken elements.
import * as fc from 'fast-check'

import { BoundedQueue } from '../../../base/bounded-queue.ts'

test('equals an array with a limit', () => {
  const operation = fc.oneof(
    { weight: 5, arbitrary: fc.integer() },
    { weight: 4, arbitrary: fc.constant('take' as const) },
    { weight: 1, arbitrary: fc.constant('clear' as const) },
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 7 }), fc.array(operation, { maxLength: 60 }), (limit, operations) => {
      const queue = new BoundedQueue<number>(limit)
      let model: number[] = []
      for (const one of operations) {
        if (one === 'take') expect(queue.take()).toBe(model.shift())
        else if (one === 'clear') {
          queue.clear()
          model = []
        } else {
          expect(queue.push(one)).toBe(model.length < limit)
          if (model.length < limit) model.push(one)
        }
        expect(queue.size).toBe(model.length)
        expect(queue.isEmpty).toBe(model.length === 0)
        expect(queue.isFull).toBe(model.length === limit)
        expect(queue.peek()).toBe(model[0])
        expect(Array.from({ length: limit + 1 }, (_, i) => queue.at(i)).filter((x) => x !== undefined)).toEqual(model)
      }
    }),
  )
})

test('a limit below one is a programmer error', () => {
  expect(() => new BoundedQueue(0)).toThrow('limit must be a positive integer')
  expect(() => new BoundedQueue(1.5)).toThrow('limit must be a positive integer')
})
