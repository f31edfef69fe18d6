// A block that was read from the backing enters the cache only if nobody wrote it meanwhile.
import { CacheFills, type Fill, FILLS_MAX } from '../../../../csi-driver/engine/cache-fill.ts'
import { makeCore, SLOTS_START, TestMachine } from './harness.ts'

async function make() {
  const machine = new TestMachine()
  const core = await makeCore(machine)
  const fills = new CacheFills(core)
  const begin = (block: number): Fill => {
    const fill = fills.begin(block)
    if (fill === null) throw new Error(`no fill for block=${block}`)
    fill.buffer.fill(block + 1)
    return fill
  }
  return { machine, core, fills, begin }
}

test('a stored block is clean, in its slot, with its hash', async () => {
  const { machine, core, fills, begin } = await make()
  fills.store(begin(5))
  expect(core.index.find(5)).toBe(1)
  expect(machine.cache.bytes.subarray(SLOTS_START, SLOTS_START + 4096)).toEqual(Buffer.alloc(4096, 6))
  expect([fills.stored, fills.active, core.readCache.used, core.dirtyBytes]).toEqual([1, 0, 1, 0])
})

describe('is not begun', () => {
  test('twice for one block, nor for one that the index knows', async () => {
    const { core, fills, begin } = await make()
    const fill = begin(5)
    expect(fills.begin(5)).toBeNull()
    fills.store(fill)
    expect(fills.begin(5)).toBeNull()
    core.index.putDirty(6, 1, 64, 0)
    expect(fills.begin(6)).toBeNull()
    core.zeros.add(7 * 8 + 3, 7 * 8 + 4, 1)
    expect(fills.begin(7)).toBeNull()
  })

  test('beside a write at the backing, past the end, on a failed cache, or beyond the limit', async () => {
    const { machine, core, fills } = await make()
    machine.backing.hold('write')
    core.backing.write(Buffer.alloc(512), 0, 512, 4096, () => undefined)
    expect(fills.begin(1)).toBeNull()
    expect(fills.begin(core.sizeBytes / 4096)).toBeNull()
    for (let block = 2; block < 256; block += 1) fills.begin(block)
    expect(fills.active).toBeLessThanOrEqual(FILLS_MAX)
    core.cacheFailure = 'gone'
    expect(fills.begin(0)).toBeNull()
  })
})

describe('is thrown away', () => {
  test.each(['before the store', 'during the store'])('when the backing is written %s', async (when) => {
    const { machine, core, fills, begin } = await make()
    const fill = begin(5)
    machine.cache.hold('write')
    if (when === 'before the store') fills.poison(5 * 4096 + 512, 512)
    fills.store(fill)
    if (when === 'during the store') fills.poison(0, 1024 * 1024)
    machine.cache.letGo()
    expect(core.index.find(5)).toBe(0)
    expect([core.readCache.used, fills.active, fills.poisonedCount]).toEqual([0, 0, 1])
  })

  test('when the block was written to the log or zeroed meanwhile', async () => {
    const { machine, core, fills, begin } = await make()
    const [first, second] = [begin(5), begin(6)]
    machine.cache.hold('write')
    fills.store(first)
    fills.store(second)
    core.index.putDirty(5, 0xff, 64, 0)
    core.zeros.add(48, 49, 1)
    machine.cache.letGo()
    expect(core.index.slotOfBase(core.index.find(5) === 1 ? (core.index.fragmentBase[0] as number) : 0)).toBe(-1)
    expect(core.index.find(6)).toBe(0)
    expect(core.readCache.used).toBe(0)
  })

  test('when the slot could not be written', async () => {
    const { machine, core, fills, begin } = await make()
    machine.cache.fail('write', 1, { from: SLOTS_START })
    fills.store(begin(5))
    expect([core.index.find(5), core.readCache.used, fills.active]).toEqual([0, 0, 0])
  })

  test('when its reader gave up', async () => {
    const { fills, begin } = await make()
    fills.drop(begin(5))
    expect(fills.active).toBe(0)
    expect(fills.begin(5)).not.toBeNull()
  })
})

test('a write that starts late takes the clean copies that were made while it waited', async () => {
  const { core, fills, begin } = await make()
  for (const block of [5, 6, 9]) fills.store(begin(block))
  core.index.putDirty(7, 0xff, 64, 0)
  fills.onWriteStart(5 * 4096 + 512, 2 * 4096)
  expect([core.index.find(5), core.index.find(6), core.index.find(7), core.index.find(9)]).toEqual([0, 0, 1, 1])
  fills.onWriteStart(0, core.sizeBytes)
  expect([core.index.find(7), core.index.find(9), core.readCache.used]).toEqual([1, 0, 0])
})
