// Proves what the comparisons rest on: a slow disk takes its time for every kind of request, has 32 of them in flight
// and no more, answers in order, and fails, hangs and heals on command.
import {
  type Request,
  REQUEST_EIO,
  REQUEST_ENOSPC,
  REQUEST_FLUSH,
  REQUEST_OK,
  REQUEST_READ,
  REQUEST_WRITE,
  REQUEST_ZERO,
  type RequestKind,
  type RequestResult,
} from '../../csi-driver/engine/request.ts'
import { SLOW_DISK_IN_FLIGHT_MAX, SlowDiskMemory } from '../../csi-driver/cli/demo/slow-disk-memory.ts'

const SIZE = 1024 * 1024
const answers: { readonly name: number; readonly result: RequestResult }[] = []
let names = 0

function request(kind: RequestKind, offset = 0, data = Buffer.alloc(4096)): Request {
  names++
  const name = names
  const complete = (result: RequestResult): void => void answers.push({ name, result })
  const place = { offset, length: kind === REQUEST_FLUSH ? 0 : data.length, data, dataStart: 0 }
  const marks = { mayUnmap: false, forceUnitAccess: false, uniqueLow: 0, uniqueHigh: 0, resent: false }
  return { kind, ...place, ...marks, complete }
}

let disk: SlowDiskMemory
let nowMs = 0
let pending: { readonly dueMs: number; readonly callback: () => void }[] = []

/** Lets time pass; what falls due runs in order. */
function advance(ms: number): void {
  const endMs = nowMs + ms
  for (;;) {
    const [next] = pending.toSorted((a, b) => a.dueMs - b.dueMs)
    if (next === undefined || next.dueMs > endMs) break
    pending = pending.filter((one) => one !== next)
    nowMs = next.dueMs
    next.callback()
  }
  nowMs = endMs
}

function makeDisk(inFlightMax: number): SlowDiskMemory {
  return new SlowDiskMemory({
    content: Buffer.alloc(2 * SIZE),
    sizeBytes: SIZE,
    latencyMs: 2,
    inFlightMax,
    clock: { monotonicMs: () => nowMs },
    timers: {
      after(delayMs, callback) {
        pending.push({ dueMs: nowMs + delayMs, callback })
        return { cancel: () => undefined }
      },
    },
  })
}

beforeEach(() => {
  answers.length = 0
  names = 0
  nowMs = 0
  pending = []
  disk = makeDisk(SLOW_DISK_IN_FLIGHT_MAX)
})

test.each<RequestKind>([REQUEST_READ, REQUEST_WRITE, REQUEST_ZERO, REQUEST_FLUSH])('kind %d waits its time', (kind) => {
  disk.submit(request(kind))
  advance(1)
  expect(answers).toEqual([])
  advance(2)
  expect(answers).toEqual([{ name: 1, result: REQUEST_OK }])
})

test('32 are in flight, the others follow, in order', () => {
  for (let i = 0; i < 3 * SLOW_DISK_IN_FLIGHT_MAX; i++) disk.submit(request(REQUEST_READ))
  const counts: number[] = []
  for (let turn = 0; turn < 3; turn++) {
    advance(2)
    counts.push(answers.length)
  }
  expect(counts).toEqual([32, 64, 96])
  expect(answers.map(({ name }) => name)).toEqual(Array.from({ length: 96 }, (_, i) => i + 1))
})

test('fewer are in flight where that is asked for', () => {
  disk = makeDisk(2)
  for (let i = 0; i < 5; i++) disk.submit(request(REQUEST_READ))
  advance(2)
  expect(answers).toHaveLength(2)
  advance(2)
  expect(answers).toHaveLength(4)
})

test('counts the writes that go forward', () => {
  for (const offset of [0, 4096, 16_384, 8192, 12_288]) disk.submit(request(REQUEST_WRITE, offset))
  expect(disk.counters).toMatchObject({ writes: 5, forwardWrites: 4 })
})

test('holds what was written and zeroed, and not what failed', () => {
  disk.submit(request(REQUEST_WRITE, 0, Buffer.alloc(8192, 7)))
  disk.submit(request(REQUEST_ZERO, 4096))
  disk.fail(['write'], REQUEST_ENOSPC)
  disk.submit(request(REQUEST_WRITE, 0, Buffer.alloc(4096, 9)))
  const read = request(REQUEST_READ, 0, Buffer.alloc(8192))
  disk.submit(read)
  advance(3)
  expect(read.data.equals(Buffer.concat([Buffer.alloc(4096, 7), Buffer.alloc(4096)]))).toBe(true)
  expect(answers.map(({ result }) => result)).toEqual([REQUEST_OK, REQUEST_OK, REQUEST_ENOSPC, REQUEST_OK])
})

test('fails and hangs until it is healed', () => {
  disk.fail(['flush', 'read'], REQUEST_EIO)
  disk.submit(request(REQUEST_FLUSH))
  advance(3)
  disk.hang()
  disk.submit(request(REQUEST_WRITE))
  advance(1000)
  expect(answers).toEqual([{ name: 1, result: REQUEST_EIO }])
  disk.heal()
  disk.submit(request(REQUEST_FLUSH))
  advance(3)
  expect(answers.slice(1)).toEqual([
    { name: 2, result: REQUEST_OK },
    { name: 3, result: REQUEST_OK },
  ])
})

test('grows within its memory', () => {
  expect([disk.grow(SIZE - 1), disk.grow(2 * SIZE + 1), disk.grow(2 * SIZE), disk.sizeBytes]).toEqual([
    false,
    false,
    true,
    2 * SIZE,
  ])
})
