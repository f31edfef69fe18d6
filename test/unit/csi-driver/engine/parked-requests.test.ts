// Waiting requests keep their order and their data.
import { PARKED_REQUESTS_MAX, ParkedRequests } from '../../../../csi-driver/engine/parked-requests.ts'
import { aWrite, aZero } from './harness.ts'

test('first in, first out, also over many turns', () => {
  const parked = new ParkedRequests()
  let next = 0
  for (let i = 0; i < 500; i += 1) {
    parked.park(aWrite(i * 512, i & 0xff, 512))
    if (i % 3 === 0) continue
    expect(parked.first()?.request.offset).toBe(next * 512)
    parked.removeFirst()
    next += 1
  }
  expect(parked.count).toBe(500 - next)
  while (parked.first() !== null) {
    expect(parked.first()?.data[0]).toBe(next & 0xff)
    parked.removeFirst()
    next += 1
  }
  expect([next, parked.bytes, parked.count]).toEqual([500, 0, 0])
})

test('a payload is copied from where it stands', () => {
  const parked = new ParkedRequests()
  const write = aWrite(0, 1, 1024)
  write.data = Buffer.concat([Buffer.alloc(40, 9), Buffer.alloc(1024, 1)])
  write.dataStart = 40
  parked.park(write)
  write.data.fill(0)
  expect(parked.first()?.data).toEqual(Buffer.alloc(1024, 1))
  expect(parked.bytes).toBe(1024)
})

test('what comes back goes before what waits', () => {
  const parked = new ParkedRequests()
  const [a, b, c] = [aWrite(0, 1, 512), aZero(512, 512), aWrite(1024, 3, 512)]
  parked.park(c)
  parked.addFirst([
    { request: a, data: a.data },
    { request: b, data: b.data },
  ])
  const order = []
  for (let item = parked.first(); item !== null; item = parked.first()) {
    order.push(item.request)
    parked.removeFirst()
  }
  expect(order).toEqual([a, b, c])
  expect(parked.bytes).toBe(0)
})

test('an empty queue gives nothing, and there is a limit', () => {
  const parked = new ParkedRequests()
  expect(parked.first()).toBeNull()
  parked.removeFirst()
  for (let i = 0; i < PARKED_REQUESTS_MAX; i += 1) parked.park(aZero(0))
  expect(() => parked.park(aZero(0))).toThrow(/too many parked requests/)
})
