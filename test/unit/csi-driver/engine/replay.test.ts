// A recovered log gives the index that the engine had: for any sequence of writes and zeroes, read from a restarted
// volume, every sector is what the live one showed.
import fc from 'fast-check'
import { KIB } from '../../../../base/units.ts'
import { ask, aWrite, aZero, contentOf, TestMachine } from './harness.ts'

const AREA_BYTES = 32 * KIB
const SECTORS = AREA_BYTES / 512

const operations = fc.array(
  fc.record({
    zero: fc.boolean(),
    sector: fc.nat(SECTORS - 1),
    sectors: fc.integer({ min: 1, max: 20 }),
    fill: fc.integer({ min: 1, max: 255 }),
    destageAfter: fc.boolean(),
  }),
  { minLength: 1, maxLength: 25 },
)

test('a restarted engine shows what the live one showed', async () => {
  await fc.assert(
    fc.asyncProperty(operations, async (list) => {
      const machine = new TestMachine()
      const volume = await machine.open()
      const model = Buffer.alloc(AREA_BYTES)
      for (const { zero, sector, sectors, fill, destageAfter } of list) {
        const offset = sector * 512
        const length = Math.min(sectors * 512, AREA_BYTES - offset)
        await ask(volume, zero ? aZero(offset, length) : aWrite(offset, fill, length))
        model.fill(zero ? 0 : fill, offset, offset + length)
        if (destageAfter) await machine.time.advance(600)
      }
      expect((await contentOf(volume, 0, AREA_BYTES)).equals(model)).toBe(true)
      const { dirtyBytes } = volume.status()
      const next = await machine.restart()
      expect((await contentOf(next, 0, AREA_BYTES)).equals(model)).toBe(true)
      // Blocks that were settled early are dirty again; never less.
      expect(next.status().dirtyBytes).toBeGreaterThanOrEqual(dirtyBytes)
    }),
    { numRuns: 40 },
  )
})
