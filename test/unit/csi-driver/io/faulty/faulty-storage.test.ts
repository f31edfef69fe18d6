// Proves: each effect does exactly what the rule says to the device and to the caller, and nothing when no rule strikes.
import type { Timer, Timers } from '../../../../../base/clock.ts'
import type { IoError } from '../../../../../base/errors.ts'
import { createPrng } from '../../../../../base/prng.ts'
import { FaultPlan } from '../../../../../csi-driver/io/faulty/fault-plan.ts'
import { parseFaultRule } from '../../../../../csi-driver/io/faulty/fault-rule.ts'
import { FaultyBacking } from '../../../../../csi-driver/io/faulty/faulty-storage.ts'
import type { BackingStorage, IoDone } from '../../../../../csi-driver/io/storage.ts'

const SIZE = 256 * 1024

function setUp(...rules: string[]) {
  const content = Buffer.alloc(SIZE, 0xaa)
  const device: BackingStorage = {
    name: 'ram',
    sizeBytes: SIZE,
    alignmentBytes: 512,
    canZero: true,
    read: (buffer, start, length, position, done) => {
      content.copy(buffer, start, position, position + length)
      done(null)
    },
    write: (buffer, start, length, position, done) => {
      buffer.copy(content, position, start, start + length)
      done(null)
    },
    zero: (ranges, done) => {
      for (const { position, length } of ranges) content.fill(0, position, position + length)
      done(null)
    },
    flush: (done) => done(null),
    refreshSize: (done) => done(null),
    close: (done) => done(null),
  }
  const later: { delayMs: number; run: () => void }[] = []
  const timers: Timers = {
    after(delayMs: number, run: () => void): Timer {
      later.push({ delayMs, run })
      return { cancel() {} }
    },
    soon: (run) => run(),
  }
  const plan = new FaultPlan('ram', createPrng('faulty'))
  for (const text of rules) {
    const parsed = parseFaultRule(text)
    if (!parsed.ok) throw new Error(parsed.problem)
    plan.add(parsed.rule)
  }
  const memory = { allocate: (length: number) => Buffer.alloc(length) }
  return { faulty: new FaultyBacking({ device, plan, timers, memory }), content, later, plan }
}

const DATA = Buffer.alloc(16_384, 0x11)

function outcome(call: (done: IoDone) => void): IoError | null | 'unanswered' {
  let result: IoError | null | 'unanswered' = 'unanswered'
  call((error) => {
    result = error
  })
  return result
}

const code = (result: IoError | null | 'unanswered'): string | null =>
  typeof result === 'object' ? (result?.code ?? null) : result

test('without a rule everything passes', () => {
  const { faulty, content } = setUp()
  expect(outcome((done) => faulty.write(DATA, 0, 4096, 4096, done))).toBeNull()
  expect(outcome((done) => faulty.zero([{ position: 4096, length: 4096 }], done))).toBeNull()
  expect(outcome((done) => faulty.flush(done))).toBeNull()
  expect(outcome((done) => faulty.refreshSize(done))).toBeNull()
  expect(outcome((done) => faulty.close(done))).toBeNull()
  expect([faulty.name, faulty.sizeBytes, faulty.alignmentBytes, faulty.canZero]).toEqual(['ram', SIZE, 512, true])
  expect(content[4096]).toBe(0)
})

test('error: not done, answered with the errno', () => {
  const { faulty, content } = setUp('fault://ram?op=write&error=ENOSPC')
  expect(code(outcome((done) => faulty.write(DATA, 0, 4096, 0, done)))).toBe('ENOSPC')
  expect(content[0]).toBe(0xaa)
  expect(outcome((done) => faulty.write(DATA, 0, 4096, 0, done))).toBeNull()
})

test('lost: acknowledged, not done', () => {
  const { faulty, content } = setUp('fault://ram?count=all&lost=yes')
  expect(outcome((done) => faulty.write(DATA, 0, 4096, 0, done))).toBeNull()
  expect(outcome((done) => faulty.zero([{ position: 0, length: 4096 }], done))).toBeNull()
  expect(outcome((done) => faulty.flush(done))).toBeNull()
  expect(content.every((byte) => byte === 0xaa)).toBe(true)
})

test('delay: done later', () => {
  const { faulty, content, later } = setUp('fault://ram?op=write&delay=100ms')
  let answered = false
  faulty.write(DATA, 0, 4096, 0, () => (answered = true))
  expect([answered, content[0], later[0]?.delayMs]).toEqual([false, 0xaa, 100])
  later[0]?.run()
  expect([answered, content[0]]).toEqual([true, 0x11])
})

test('hang: unanswered until released', () => {
  const { faulty, content } = setUp('fault://ram?hang=yes')
  let answered = false
  faulty.write(DATA, 0, 4096, 0, () => (answered = true))
  expect([answered, content[0], faulty.hangingCount]).toEqual([false, 0xaa, 1])
  faulty.release()
  expect([answered, content[0], faulty.hangingCount]).toEqual([true, 0x11, 0])
})

test.each(['prefix', 'subset'])('torn=%s: some whole sectors, never all, then EIO', (shape) => {
  const { faulty, content } = setUp(`fault://ram?op=write&count=all&torn=${shape}`)
  const counts = new Set<number>()
  for (let round = 0; round < 200; round++) {
    content.fill(0xaa)
    expect(code(outcome((done) => faulty.write(DATA, 512, 4096, 8192, done)))).toBe('EIO')
    const written = Array.from({ length: 8 }, (_, i) => {
      const sector = content.subarray(8192 + i * 512, 8192 + (i + 1) * 512)
      expect(sector.every((byte) => byte === sector[0])).toBe(true)
      return sector[0] === 0x11
    })
    expect(written).toContain(false)
    if (shape === 'prefix') expect(written.lastIndexOf(true)).toBe(written.filter(Boolean).length - 1)
    expect(content.subarray(0, 8192).every((byte) => byte === 0xaa)).toBe(true)
    expect(content.subarray(12_288).every((byte) => byte === 0xaa)).toBe(true)
    counts.add(written.filter(Boolean).length)
  }
  expect(counts.size).toBeGreaterThan(4)
})

test('torn zeroes: some blocks', () => {
  const { faulty, content } = setUp('fault://ram?op=zero&count=all&torn=subset')
  for (let round = 0; round < 50; round++) {
    content.fill(0xaa)
    expect(code(outcome((done) => faulty.zero([{ position: 4096, length: 16_384 }], done)))).toBe('EIO')
    const zeroed = [0, 1, 2, 3, 4, 5].filter((block) => content[block * 4096] === 0)
    expect(zeroed.length).toBeLessThan(4)
    for (const block of zeroed) expect([1, 2, 3, 4]).toContain(block)
  }
})

test('flip: that many bits, in what is read or in what is stored, never in the caller’s data', () => {
  const { faulty, content } = setUp('fault://ram?op=write&flip=3', 'fault://ram?op=read&flip=5')
  const before = Buffer.from(DATA)
  expect(outcome((done) => faulty.write(DATA, 0, 4096, 0, done))).toBeNull()
  expect(DATA.equals(before)).toBe(true)
  expect(differingBits(content.subarray(0, 4096), DATA.subarray(0, 4096))).toBe(3)
  const back = Buffer.alloc(8192)
  expect(outcome((done) => faulty.read(back, 4096, 4096, 65_536, done))).toBeNull()
  expect(differingBits(back.subarray(4096), Buffer.alloc(4096, 0xaa))).toBe(5)
})

test.each([4096, -4096, 10_000_000])('misdirect=%d: elsewhere, inside the device, aligned', (bytes) => {
  const { faulty, content } = setUp(`fault://ram?op=write&misdirect=${bytes}`)
  expect(outcome((done) => faulty.write(DATA, 0, 512, 0, done))).toBeNull()
  const at = content.indexOf(0x11)
  expect(at % 512).toBe(0)
  expect(at).toBeGreaterThan(0)
  expect(content.filter((byte) => byte === 0x11)).toHaveLength(512)
  if (bytes === 4096) expect(at).toBe(4096)
})

test('what an effect cannot mean is EIO', () => {
  const { faulty } = setUp('fault://ram?count=all&torn=prefix')
  expect(code(outcome((done) => faulty.flush(done)))).toBe('EIO')
  expect(code(outcome((done) => faulty.read(Buffer.alloc(512), 0, 512, 0, done)))).toBe('EIO')
})

function differingBits(a: Buffer, b: Buffer): number {
  let bits = 0
  for (let i = 0; i < a.length; i++) for (let x = a[i]! ^ b[i]!; x !== 0; x &= x - 1) bits++
  return bits
}
