// Proves that the buffers of a connection are laid out for replies without a copy, are bounded, borrowed and reused.
import { type NbdRequest, REQUESTS_MAX, RequestPool } from '../../../../../csi-driver/frontend/nbd/request-pool.ts'

const KIB = 1024

function newPool(): { pool: RequestPool; made: () => number } {
  let bytes = 0
  const memory = {
    allocate: (length: number) => {
      bytes += length
      return Buffer.alloc(length)
    },
  }
  return { pool: new RequestPool(memory), made: () => bytes }
}

function takeAll(pool: RequestPool, length: number): NbdRequest[] {
  const taken: NbdRequest[] = []
  for (let next = pool.takeRead(length); next !== null; next = pool.takeRead(length)) taken.push(next)
  return taken
}

test('a read buffer has room for a header before and a page behind its data', () => {
  const { pool } = newPool()
  for (const length of [512, 4096, 4608, 16 * KIB, 100 * KIB, 1024 * KIB]) {
    const request = pool.takeRead(length)
    expect(request?.dataStart).toBe(4096)
    expect((request?.data.length ?? 0) - 4096).toBeGreaterThanOrEqual(Math.ceil(length / 4096) * 4096 + 4096)
  }
})

test('a class that is used up borrows from the next; long ones have none to borrow from', () => {
  const { pool, made } = newPool()
  const small = takeAll(pool, 4096)
  expect(small.length).toBe(128 + 32 + 16 + 4)
  expect(made()).toBeLessThan(9 * 1024 * KIB)
  expect(pool.takeRead(1024 * KIB)).toBeNull()
  for (const request of small) pool.giveBack(request)
  expect(takeAll(pool, 1024 * KIB).length).toBe(4)
})

test('requests of all kinds together are limited, and what came back is as new and the next to go', () => {
  const { pool } = newPool()
  const taken = Array.from({ length: REQUESTS_MAX }, () => pool.takePlain())
  expect(pool.mayTake).toBe(false)
  expect(pool.takeRead(512)).toBeNull()
  const [first] = taken
  Object.assign(first as NbdRequest, { error: 5, restBytes: 1, continued: true })
  pool.giveBack(first as NbdRequest)
  expect(pool.takePlain()).toBe(first)
  expect(first).toMatchObject({ error: 0, restBytes: 0, continued: false, longWrite: null })
})
