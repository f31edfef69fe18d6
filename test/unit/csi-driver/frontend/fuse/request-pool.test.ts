// Proves that read buffers are laid out for one-write replies, grow with use only, are bounded, and are reused.
import {
  FuseRequest,
  PLAIN_REQUESTS_MAX,
  READ_MEMORY_BYTES_MAX,
  RequestPool,
} from '../../../../../csi-driver/frontend/fuse/request-pool.ts'
import type { RequestOwner } from '../../../../../csi-driver/frontend/fuse/request-pool.ts'

const owner: RequestOwner = { finish() {} }
const memory = { allocate: (length: number) => Buffer.alloc(length) }
const KIB = 1024

test('a read buffer has room for the header before and a page behind its data', () => {
  const pool = new RequestPool(owner, memory)
  for (const length of [512, 4096, 4608, 16 * KIB, 100 * KIB, 1024 * KIB]) {
    const request = pool.takeRead(length)
    expect(request.dataStart % 4096).toBe(0)
    expect(request.dataStart).toBeGreaterThanOrEqual(16)
    expect(request.data.length - request.dataStart).toBeGreaterThanOrEqual(Math.ceil(length / 4096) * 4096 + 4096)
  }
})

test('small reads take little memory, and a buffer that came back is the next to go', () => {
  const pool = new RequestPool(owner, memory)
  expect(pool.readMemoryBytes).toBe(0)
  const first = pool.takeRead(4096)
  pool.giveBack(first)
  expect(pool.takeRead(4096)).toBe(first)
  expect(pool.readMemoryBytes).toBe(12 * KIB)
})

test('a class that is used up borrows from the next; the whole is bounded and says when it is exhausted', () => {
  const pool = new RequestPool(owner, memory)
  const taken: FuseRequest[] = []
  while (pool.ready) taken.push(pool.takeRead(4096))
  expect(taken.length).toBe(512 + 128 + 48 + 30)
  expect(pool.readMemoryBytes).toBeLessThanOrEqual(READ_MEMORY_BYTES_MAX)
  pool.giveBack(taken.at(-1)!)
  expect(pool.ready).toBe(true)
  expect(pool.takeRead(1024 * KIB)).toBe(taken.at(-1))
})

test('requests without a buffer are bounded too', () => {
  const pool = new RequestPool(owner, memory)
  const taken: FuseRequest[] = []
  while (pool.ready) taken.push(pool.takePlain())
  expect(taken.length).toBe(PLAIN_REQUESTS_MAX)
  pool.giveBack(taken[0]!)
  expect(pool.takePlain()).toBe(taken[0])
})

test('a request is completed once', () => {
  const results: number[] = []
  const request = new FuseRequest({ finish: (_request, result) => results.push(result) }, [], Buffer.alloc(0), 0)
  request.outstanding = true
  request.complete(5)
  expect(() => request.complete(0)).toThrow('exactly once')
  expect(results).toEqual([5])
})
