// One volume from the front end's point of view: what is acknowledged is read back and survives, in every phase.
import { aRead, ask, aWrite, aZero, contentOf, during, TestMachine } from './harness.ts'

describe('write-back', () => {
  test('an acknowledged write is read back and survives a crash of the engine', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    const write = await ask(volume, aWrite(8192, 0xaa))
    expect(write.result).toBe(0)
    expect(machine.backing.count('write')).toBe(0)
    expect(await contentOf(volume, 8192)).toEqual(Buffer.alloc(4096, 0xaa))
    const next = await machine.restart()
    expect(await contentOf(next, 8192)).toEqual(Buffer.alloc(4096, 0xaa))
    expect(next.status().run).toBe(2)
  })

  test('drain brings everything to the backing', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1, 512))
    await ask(volume, aWrite(4096 + 512, 2, 1024))
    await ask(volume, aZero(4096 + 1024, 512))
    await during(machine.time, volume.drain())
    expect(volume.status()).toMatchObject({ dirtyBytes: 0, logUsedBytes: 0, phase: 'WriteBack' })
    expect(machine.backing.bytes.subarray(0, 512)).toEqual(Buffer.alloc(512, 1))
    expect(machine.backing.bytes.subarray(4608, 5120)).toEqual(Buffer.alloc(512, 2))
    expect(machine.backing.bytes.subarray(5120, 5632)).toEqual(Buffer.alloc(512, 0))
    expect((await ask(volume, aRead(4096))).bytes.subarray(512, 1024)).toEqual(Buffer.alloc(512, 2))
  })
})
