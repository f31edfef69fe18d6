// Proves: one write per block at the device, in the order of arrival; the listener brackets each change; errors reach
// the caller and are never retried; a failed flush moves the generation; flushes that come together share one; zeros
// are written where the device cannot zero; a hung device is visible; close waits. The device is a script: each
// operation is recorded and answered when the test says so.
import * as fc from 'fast-check'

import type { Timer } from '../../../../base/clock.ts'
import { IoError } from '../../../../base/errors.ts'
import { MemoryEventLog } from '../../../../base/log.ts'
import { BackingStore, NOT_ANSWERING_AFTER_MS } from '../../../../csi-driver/backing/backing-store.ts'
import type { BackingStorage, ByteRange, IoDone } from '../../../../csi-driver/io/storage.ts'

interface Call {
  kind: string
  position: number
  length: number
  ranges: readonly ByteRange[]
  done: IoDone
}

function setUp(options: { canZero?: boolean; memory?: boolean } = {}) {
  const calls: Call[] = []
  const content = Buffer.alloc(4 * 1024 * 1024, 0xaa)
  const push = (
    kind: string,
    position: number,
    length: number,
    done: IoDone,
    ranges: readonly ByteRange[] = [],
  ): void => {
    calls.push({ kind, position, length, ranges, done })
  }
  const device: BackingStorage = {
    name: 'script',
    sizeBytes: content.length,
    alignmentBytes: 512,
    canZero: options.canZero ?? true,
    read: (_buffer, _start, length, position, done) => push('read', position, length, done),
    write: (buffer, start, length, position, done) =>
      push('write', position, length, (error) => {
        if (error === null) buffer.copy(content, position, start, start + length)
        done(error)
      }),
    zero: (ranges, done) =>
      push(
        'zero',
        0,
        0,
        (error) => {
          if (error === null) for (const { position, length } of ranges) content.fill(0, position, position + length)
          done(error)
        },
        ranges,
      ),
    flush: (done) => push('flush', 0, 0, done),
    refreshSize: (done) => push('refresh', 0, 0, done),
    close: (done) => push('close', 0, 0, done),
  }
  const time = { nowMs: 0, callbacks: [] as { atMs: number; run: () => void }[] }
  const timers = {
    after(delayMs: number, run: () => void): Timer {
      const one = { atMs: time.nowMs + delayMs, run }
      time.callbacks.push(one)
      return { cancel: () => void (time.callbacks = time.callbacks.filter((other) => other !== one)) }
    },
    soon: (run: () => void) => run(),
  }
  const advance = (ms: number): void => {
    const end = time.nowMs + ms
    for (;;) {
      const next = time.callbacks.filter(({ atMs }) => atMs <= end).toSorted((a, b) => a.atMs - b.atMs)[0]
      if (next === undefined) break
      time.callbacks = time.callbacks.filter((one) => one !== next)
      time.nowMs = next.atMs
      next.run()
    }
    time.nowMs = end
  }
  const log = new MemoryEventLog()
  const store = new BackingStore({
    device,
    clock: { monotonicMs: () => time.nowMs, wallMs: () => 1e12 + time.nowMs },
    timers,
    log,
    ...(options.memory === false ? {} : { memory: { allocate: (length: number) => Buffer.alloc(length, 0x55) } }),
  })
  const answer = (error: IoError | null = null, index = 0): void => {
    const call = calls.splice(index, 1)[0]
    if (call === undefined) throw new Error('nothing to answer')
    call.done(error)
  }
  const pending = (): string[] => calls.map(({ kind, position, length }) => `${kind} ${position}+${length}`)
  return { store, device, calls, content, log, time, advance, answer, pending }
}

const BUFFER = Buffer.alloc(1024 * 1024, 0x11)
const EIO = new IoError('EIO', 'broken')

test('overlapping writes reach the device one after the other, others at once', () => {
  const { store, pending, answer } = setUp()
  const ended: string[] = []
  store.write(BUFFER, 0, 512, 0, () => ended.push('a'))
  store.write(BUFFER, 0, 512, 1024, () => ended.push('b'))
  store.write(BUFFER, 0, 4096, 4096, () => ended.push('c'))
  store.zero([{ position: 0, length: 4096 }], () => ended.push('z'))
  expect(pending()).toEqual(['write 0+512', 'write 4096+4096'])
  expect([store.inFlightCount, store.waitingCount]).toEqual([2, 2])
  expect([store.overlapsWrite(2048, 512), store.overlapsWrite(8192, 512)]).toEqual([true, false])
  answer()
  expect(pending()).toEqual(['write 4096+4096', 'write 1024+512'])
  answer(null, 1)
  expect(pending()).toEqual(['write 4096+4096', 'zero 0+0'])
  answer()
  answer()
  expect(ended).toEqual(['a', 'b', 'c', 'z'])
})

test('reads are never held up', () => {
  const { store, pending } = setUp()
  store.write(BUFFER, 0, 4096, 0, () => {})
  store.read(BUFFER, 0, 4096, 0, () => {})
  expect(pending()).toEqual(['write 0+4096', 'read 0+4096'])
})

test('the listener brackets what the device does, not what waits', () => {
  const { store, answer } = setUp()
  const seen: string[] = []
  store.listener = {
    onWriteStart: (position, length) => seen.push(`start ${position}+${length}`),
    onWriteEnd: (position, length) => seen.push(`end ${position}+${length}`),
  }
  store.write(BUFFER, 0, 4096, 0, () => seen.push('done'))
  store.zero(
    [
      { position: 0, length: 4096 },
      { position: 8192, length: 4096 },
    ],
    () => {},
  )
  expect(seen).toEqual(['start 0+4096'])
  answer(EIO)
  expect(seen).toEqual(['start 0+4096', 'end 0+4096', 'done', 'start 0+4096', 'start 8192+4096'])
  answer()
  expect(seen.slice(5)).toEqual(['end 0+4096', 'end 8192+4096'])
})

test('a write submitted by a done callback comes after those that waited before it', () => {
  const { store, calls, answer } = setUp()
  const order: string[] = []
  store.write(BUFFER, 0, 4096, 0, () => store.write(BUFFER, 0, 4096, 0, () => order.push('late')))
  store.write(BUFFER, 0, 4096, 0, () => order.push('early'))
  answer()
  while (calls.length > 0) answer()
  expect(order).toEqual(['early', 'late'])
})

test('errors reach the caller once and health keeps them', () => {
  const { store, answer, pending, time } = setUp()
  const errors: (IoError | null)[] = []
  store.write(BUFFER, 0, 4096, 0, (error) => errors.push(error))
  time.nowMs = 5
  answer(new IoError('ENOSPC', 'no space'))
  expect(errors.map((error) => error?.code)).toEqual(['ENOSPC'])
  expect(pending()).toEqual([])
  expect([store.health.full, store.health.lastError, store.health.failingSinceWallMs]).toEqual([
    true,
    'thin backing full',
    1e12 + 5,
  ])
  store.write(BUFFER, 0, 4096, 0, () => {})
  answer()
  expect(store.health.failingSinceWallMs).toBeNull()
})

test('flushes that come while one runs share the next one', () => {
  const { store, calls, answer } = setUp()
  const ended: string[] = []
  store.flush(() => ended.push('1'))
  store.flush(() => ended.push('2'))
  store.flush(() => ended.push('3'))
  expect(calls).toHaveLength(1)
  answer()
  expect(ended).toEqual(['1'])
  expect(calls).toHaveLength(1)
  answer()
  expect(ended).toEqual(['1', '2', '3'])
  expect(store.counters.flushes).toBe(2)
})

test('a failed flush moves the generation, so that nobody takes the next good one for his own', () => {
  const { store, answer } = setUp()
  const before = store.flushGeneration
  const ended: (string | null)[] = []
  store.flush((error) => ended.push(error?.code ?? null))
  answer(EIO)
  expect(store.flushGeneration).not.toBe(before)
  store.flushSince(before, (error) => ended.push(error?.code ?? null))
  answer()
  store.flushSince(store.flushGeneration, (error) => ended.push(error?.code ?? null))
  answer()
  expect(ended).toEqual(['EIO', 'EIO', null])
})

test('a flush submitted by a flush callback is not forgotten', () => {
  const { store, calls, answer } = setUp()
  let ended = 0
  store.flush(() => store.flush(() => ended++))
  answer()
  expect(calls).toHaveLength(1)
  answer()
  expect(ended).toBe(1)
})

test('zeros: unaligned ends are written, the middle is left to the device', () => {
  const { store, content, pending, answer, calls } = setUp()
  let ended: IoError | null | undefined
  store.zero([{ position: 512, length: 8192 }], (error) => (ended = error))
  expect(calls[0]?.ranges).toEqual([{ position: 4096, length: 4096 }])
  answer()
  expect(pending()).toEqual(['write 512+3584'])
  answer()
  expect(pending()).toEqual(['write 8192+512'])
  answer()
  expect(ended).toBeNull()
  expect(content.subarray(0, 512).every((byte) => byte === 0xaa)).toBe(true)
  expect(content.subarray(512, 8704).every((byte) => byte === 0)).toBe(true)
  expect(content[8704]).toBe(0xaa)
})

test('zeros are written in pieces of at most 1 MiB where the device cannot zero', () => {
  const { store, pending, answer } = setUp({ canZero: false })
  let ended = false
  store.zero(
    [
      { position: 1024 * 1024 - 4096, length: 1024 * 1024 + 8192 },
      { position: 0, length: 512 },
    ],
    () => (ended = true),
  )
  const seen: string[] = []
  while (!ended) {
    seen.push(...pending())
    answer()
  }
  expect(seen).toEqual(['write 1044480+4096', 'write 1048576+1048576', 'write 2097152+4096', 'write 0+512'])
})

test('a device that refuses to zero is written to, now and later', () => {
  const { store, pending, answer, log } = setUp()
  store.zero([{ position: 0, length: 4096 }], () => {})
  answer(new IoError('EOPNOTSUPP', 'no'))
  expect(pending()).toEqual(['write 0+4096'])
  answer()
  expect(store.canZero).toBe(false)
  expect(store.health.failingSinceWallMs).toBeNull()
  expect(log.named('backing.zero_refused')).toHaveLength(1)
})

test('without memory the refusal is the caller’s', () => {
  const { store, answer } = setUp({ memory: false })
  let code: string | undefined
  store.zero([{ position: 0, length: 4096 }], (error) => (code = error?.code))
  answer(new IoError('EOPNOTSUPP', 'no'))
  expect([code, store.canZero]).toEqual(['EOPNOTSUPP', false])
})

test('a hung device is seen, and its return too', () => {
  const { store, advance, answer, time, log } = setUp()
  store.write(BUFFER, 0, 4096, 0, () => {})
  advance(3000)
  store.read(BUFFER, 0, 4096, 0, () => {})
  expect(store.oldestInFlightMs).toBe(3000)
  advance(NOT_ANSWERING_AFTER_MS)
  expect(store.health.lastError).toBe('backing does not answer')
  expect(store.health.notAnsweringSinceWallMs).toBe(1e12)
  answer()
  answer()
  expect(store.oldestInFlightMs).toBe(0)
  advance(1000)
  expect(store.health.lastError).toBeNull()
  expect(log.events.map(({ name }) => name)).toEqual(['backing.not_answering', 'backing.answering'])
  expect(time.callbacks).toEqual([])
})

test('close waits for everything, then nothing may start', () => {
  const { store, pending, answer } = setUp()
  let closed = false
  store.write(BUFFER, 0, 4096, 0, () => {})
  store.write(BUFFER, 0, 4096, 0, () => {})
  store.flush(() => {})
  store.close(() => (closed = true))
  expect(() => store.read(BUFFER, 0, 512, 0, () => {})).toThrow('after close')
  answer()
  answer()
  expect(pending()).toEqual(['write 0+4096'])
  answer()
  expect(pending()).toEqual(['close 0+0'])
  answer()
  expect(closed).toBe(true)
  expect(() => store.flush(() => {})).toThrow('flush after close')
})

test('property: under any order of answers no two writes of one block are at the device, and the last one wins', () => {
  const write = fc.record({ block: fc.nat({ max: 5 }), blocks: fc.integer({ min: 1, max: 3 }), zero: fc.boolean() })
  fc.assert(
    fc.property(fc.array(fc.oneof(write, fc.nat({ max: 100 })), { maxLength: 60 }), (steps) => {
      const { store, calls, content, answer } = setUp()
      const expected = Buffer.alloc(8, 0xaa)
      let done = 0
      let submitted = 0
      const finish = (): void => void done++
      for (const step of steps) {
        if (typeof step === 'number') {
          if (calls.length > 0) answer(null, step % calls.length)
          continue
        }
        const [position, length] = [step.block * 4096, step.blocks * 4096]
        const tag = step.zero ? 0 : ++submitted % 255 || 1
        expected.fill(tag, step.block, step.block + step.blocks)
        if (step.zero) store.zero([{ position, length }], finish)
        else store.write(Buffer.alloc(length, tag), 0, length, position, finish)
        const atDevice = calls.flatMap((call) => (call.kind === 'zero' ? call.ranges : [call]))
        const blocks = atDevice.flatMap((range) =>
          Array.from({ length: range.length / 4096 }, (_, i) => range.position / 4096 + i),
        )
        expect(new Set(blocks).size).toBe(blocks.length)
      }
      while (calls.length > 0) answer()
      expect(done).toBe(steps.filter((step) => typeof step !== 'number').length)
      expect([store.inFlightCount, store.waitingCount]).toEqual([0, 0])
      for (const [block, tag] of expected.entries()) expect(content[block * 4096]).toBe(tag)
    }),
  )
})
