// Hashes of both ends of the backing: they notice a stranger, and nobody else.
import { KIB, MIB } from '../../../../base/units.ts'
import { EDGE_HASH_COUNT, EdgeHashes } from '../../../../csi-driver/engine/edge-hashes.ts'
import { heapMemory, makeCore, TestMachine } from './harness.ts'

async function make(backingBytes = 4 * MIB) {
  const machine = new TestMachine({ backingBytes })
  for (let i = 0; i < backingBytes; i += 4096)
    machine.backing.bytes.fill((i / 4096) % 255, i, Math.min(i + 4096, backingBytes))
  const core = await makeCore(machine)
  const edges = new EdgeHashes(core.backing, heapMemory)
  const taken = async (): Promise<Uint32Array> => {
    const hashes = await edges.forCheckpoint()
    if (hashes === null) throw new Error('no hashes')
    return hashes
  }
  return { machine, core, edges, taken }
}

test('an unchanged backing agrees, changed blocks of both ends are found', async () => {
  const { machine, core, edges, taken } = await make()
  const hashes = await taken()
  expect(hashes).toHaveLength(EDGE_HASH_COUNT)
  expect(await edges.firstDifference(hashes, core)).toBe(-1)
  machine.backing.bytes[2 * MIB] = 0xee
  expect(await edges.firstDifference(hashes, core)).toBe(-1)
  machine.backing.bytes[4 * MIB - 1] = 0xee
  expect(await edges.firstDifference(hashes, core)).toBe(1023)
  machine.backing.bytes[5 * 4096] = 0xee
  expect(await edges.firstDifference(hashes, core)).toBe(5)
})

test('blocks that the log holds are not compared', async () => {
  const { machine, core, edges, taken } = await make()
  const hashes = await taken()
  machine.backing.bytes[5 * 4096] = 0xee
  machine.backing.bytes[6 * 4096] = 0xee
  core.index.putDirty(5, 1, 64, 0)
  core.zeros.add(6 * 8 + 7, 6 * 8 + 8, 1)
  expect(await edges.firstDifference(hashes, core)).toBe(-1)
})

test('they are taken again only after a write near an end', async () => {
  const { edges, taken } = await make()
  await taken()
  expect(await edges.forCheckpoint()).toBeNull()
  edges.note(2 * MIB, 4096)
  expect(await edges.forCheckpoint()).toBeNull()
  edges.note(3 * MIB - 512, 1024)
  expect(await edges.forCheckpoint()).not.toBeNull()
  edges.resized()
  expect(await edges.forCheckpoint()).not.toBeNull()
})

test('nothing is kept while writes go past the log, or when an end is written while it is read', async () => {
  const { machine, core, edges, taken } = await make()
  machine.backing.hold('read')
  const pending = taken()
  edges.note(0, 512)
  machine.backing.letGo()
  expect((await pending).every((hash) => hash === 0)).toBe(true)
  expect((await taken()).some((hash) => hash !== 0)).toBe(true)
  edges.paused = true
  const none = await taken()
  expect(none.every((hash) => hash === 0)).toBe(true)
  machine.backing.bytes[0] = 0xee
  expect(await edges.firstDifference(none, core)).toBe(-1)
})

test('a backing that cannot be read is no stranger', async () => {
  const { machine, core, edges, taken } = await make()
  const hashes = await taken()
  machine.backing.fail('read', 1)
  expect(await edges.firstDifference(hashes, core)).toBe(-1)
})

test.each([[4 * KIB], [MIB - 4096], [MIB + 512 * KIB], [2 * MIB], [2 * MIB + 512]])(
  'a backing of %i bytes',
  async (bytes) => {
    const { machine, core, edges, taken } = await make(bytes)
    const hashes = await taken()
    expect(await edges.firstDifference(hashes, core)).toBe(-1)
    const lastBlock = Math.floor(bytes / 4096) - 1
    machine.backing.bytes[lastBlock * 4096] = 0xee
    expect(await edges.firstDifference(hashes, core)).toBe(lastBlock)
  },
)
