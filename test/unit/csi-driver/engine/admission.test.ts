// Who may write: the fullest of all limits slows writers down before it stops them, and destage hears of both.
import { KIB } from '../../../../base/units.ts'
import { Admission } from '../../../../csi-driver/engine/admission.ts'
import { DELAY_MAX_MS } from '../../../../csi-driver/engine/destage-rate.ts'
import { WritePath } from '../../../../csi-driver/engine/write-path.ts'
import { aWrite, aZero, LOG_BYTES, makeCore, TestMachine } from './harness.ts'

async function make(dirtyLimitBytes = 64 * KIB) {
  const machine = new TestMachine()
  const core = await makeCore(machine, { dirtyLimitBytes })
  const writes = new WritePath(core, {
    onCommitted: () => undefined,
    onLoggedBefore: () => undefined,
    onLogFailed: () => undefined,
  })
  const admission = new Admission(core, writes)
  const dirty = (blocks: number): void => {
    for (let i = 0; i < blocks; i += 1) core.index.putDirty(i, 0xff, 64 + i * 8, 0)
  }
  return { machine, core, writes, admission, dirty }
}

describe('dirty limit', () => {
  test('an empty cache takes anything at once, also what is larger than the limit', async () => {
    const { admission } = await make()
    expect(admission.admit(aWrite(0, 1, 1024 * 64 + 512))).toBe('yes')
    expect(admission).toMatchObject({ stalls: 0, delayedMs: 0 })
  })

  test('beyond the limit nothing is taken, and data in batches counts', async () => {
    const { admission, dirty, writes } = await make()
    dirty(14)
    const first = aWrite(0, 1)
    writes.addWrite(first, first.data, 0)
    expect(admission.fill()).toBe(15 / 16)
    expect(admission.admit(aWrite(0, 1))).toBe('yes')
    expect(admission.admit(aWrite(0, 1, 8192))).toBe('full')
    expect(admission.stalls).toBe(1)
  })

  test('a refused write makes destage work at full pressure until one is taken', async () => {
    const { admission, dirty, core } = await make()
    dirty(1)
    expect(admission.admit(aWrite(0, 1, 64 * KIB))).toBe('full')
    expect(admission.fill()).toBeLessThan(0.2)
    expect(admission.pressure()).toBe(1)
    expect(admission.admit(aWrite(0, 1, 64 * KIB))).toBe('full')
    expect(admission.stalls).toBe(1)
    core.index.removeRange(0, 8)
    expect(admission.admit(aWrite(0, 1, 64 * KIB))).toBe('yes')
    expect(admission.pressure()).toBe(0)
  })
})

describe('smooth delay', () => {
  test('writes follow one another at the pace of the delay', async () => {
    const { machine, admission, dirty } = await make()
    dirty(15)
    // The first write did wait for nobody, so the second one may follow at once.
    expect(admission.admit(aWrite(0, 1))).toBe('yes')
    expect(admission.admit(aWrite(0, 1))).toBe('yes')
    expect(admission.admit(aWrite(0, 1))).toBe('later')
    const delay = admission.delayMs
    expect(delay).toBeGreaterThan(0)
    expect(delay).toBeLessThanOrEqual(DELAY_MAX_MS)
    await machine.time.advance(delay)
    expect(admission.admit(aWrite(0, 1))).toBe('yes')
    expect(admission.delayedMs).toBeGreaterThan(0)
  })

  test('a writer that was away is not given the time as credit', async () => {
    const { machine, admission, dirty } = await make()
    dirty(15)
    expect(admission.admit(aWrite(0, 1))).toBe('yes')
    await machine.time.advance(10_000)
    expect(admission.admit(aWrite(0, 1))).toBe('yes')
    expect(admission.admit(aWrite(0, 1))).toBe('yes')
    expect(admission.admit(aWrite(0, 1))).toBe('later')
  })
})

describe('a delay shorter than a timer', () => {
  test('lets those follow at once who were due while the timer was late', async () => {
    const { machine, core, admission, dirty } = await make(128 * 4096)
    dirty(80)
    expect(core.dirtyBytes).toBe(80 * 4096)
    while (admission.admit(aWrite(0, 1)) === 'yes') continue
    const { delayMs } = admission
    expect(delayMs).toBeLessThan(0.2)
    await machine.time.advance(1)
    let taken = 0
    while (admission.admit(aWrite(0, 1)) === 'yes') taken += 1
    expect(taken).toBeGreaterThan(5)
  })
})

describe('other limits', () => {
  test('zero ranges count, and a full table stops zeroes only', async () => {
    const { admission, core } = await make()
    for (let i = 0; !core.zeros.isFull; i += 1) core.zeros.add(i * 4, i * 4 + 1, i + 1)
    expect(admission.fill()).toBeGreaterThan(0.99)
    expect(admission.admit(aZero(0))).toBe('full')
    expect(admission.admit(aWrite(0, 1))).not.toBe('full')
  })

  test('blocks that a replay must index', async () => {
    const { admission, core } = await make()
    core.recordBlocks = core.recordBlocksMax / 2
    core.generationBlocks = core.recordBlocksMax / 2
    expect(admission.admit(aWrite(0, 1))).toBe('full')
    core.generationBlocks = 0
    expect(admission.admit(aWrite(0, 1))).toBe('yes')
  })

  test('what a generation has settled counts as free, and half of the log is for what comes while it works', async () => {
    const { admission, core, writes } = await make(LOG_BYTES)
    const write = aWrite(0, 1)
    writes.addWrite(write, write.data, 0)
    writes.kick()
    const { usedBytes, freeBytes } = core.journal
    const share = usedBytes / ((usedBytes + freeBytes) / 2)
    expect(usedBytes).toBeGreaterThan(0)
    expect(admission.fill()).toBeCloseTo(share)
    core.index.removeRange(0, 8)
    core.generationLogBytes = usedBytes
    core.generationBlocks = core.recordBlocks
    core.recordBlocks = 0
    core.generationSettled = 0.5
    expect(admission.fill()).toBeCloseTo(share / 2)
    core.generationSettled = 1
    expect(admission.fill()).toBe(0)
  })

  test('log space', async () => {
    const { admission, writes } = await make(LOG_BYTES)
    for (;;) {
      const write = aWrite(0, 1)
      if (!writes.addWrite(write, write.data, 0)) break
      writes.kick()
    }
    expect(admission.admit(aWrite(0, 1))).toBe('full')
    expect(admission.admit(aZero(0))).toBe('full')
  })
})
