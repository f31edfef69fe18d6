// Proves that the register in memory is a compare-and-swap cell under each of the three fates of a change, which tests and
// the simulator rely on.
import { type CasFate, type CasFates, MemoryRegister } from '../../../../csi-driver/register/memory-register.ts'
import { aRecord } from './records.ts'

function faulty(...fates: CasFate[]): { register: MemoryRegister; land: (() => void)[]; reads: { fail: boolean } } {
  const land: (() => void)[] = []
  const reads = { fail: false }
  const port: CasFates = {
    fate: () => fates.shift() ?? 'answered',
    later: (apply) => void land.push(apply),
    readFails: () => reads.fail,
  }
  return { register: new MemoryRegister(port), land, reads }
}

const FIRST = aRecord({ rv: 1 })
const SECOND = aRecord({ rv: 2, lastSeq: 2000 })

test('answered: applied once, then a conflict', async () => {
  const register = new MemoryRegister()
  expect(await register.read()).toBeNull()
  expect(await register.compareAndSwap(0, FIRST)).toBe('applied')
  expect(await register.compareAndSwap(0, FIRST)).toBe('conflict')
  expect(await register.compareAndSwap(1, SECOND)).toBe('applied')
  expect(await register.read()).toEqual(SECOND)
  expect(register.history()).toEqual([FIRST, SECOND])
})

test('reply lost: it took effect all the same', async () => {
  const { register } = faulty('reply-lost')
  expect(await register.compareAndSwap(0, FIRST)).toBe('unknown')
  expect(register.current).toEqual(FIRST)
})

test('lands later: no effect until then, and none if somebody was faster', async () => {
  const { register, land } = faulty('lands-later', 'answered', 'lands-later')
  expect(await register.compareAndSwap(0, { ...FIRST, lastSeq: 1 })).toBe('unknown')
  expect(await register.compareAndSwap(0, FIRST)).toBe('applied')
  land[0]?.()
  expect(register.current).toEqual(FIRST)
  expect(await register.compareAndSwap(1, SECOND)).toBe('unknown')
  expect(register.current).toEqual(FIRST)
  land[1]?.()
  expect(register.current).toEqual(SECOND)
})

test('a failing read is a reason to retry; a version out of order is a mistake', async () => {
  const { register, reads } = faulty()
  reads.fail = true
  await expect(register.read()).rejects.toMatchObject({ kind: 'retry' })
  await expect(register.compareAndSwap(3, FIRST)).rejects.toThrow('next version')
})
