// Proves that no crash of the cache device's writes can lose or revive anything: for a recorded workload of more than 200
// operations, at every write in flight, with any part of it on the device, recovery ends in the state before or after
// that write, and in no other. Parts tried: every subset of its first ten 4 KiB blocks, every single 512-byte sector missing or
// alone present, and 200 random subsets of sectors. Recovery is the journal's and the engine's own replay.
import { createPrng } from '../../base/prng.ts'
import { Recording, recover, type RecordedWrite } from './crash-replay.ts'

const SECTOR = 512
const BLOCK = 4096
const RANDOM_SUBSETS = 200
const BLOCKS_EXHAUSTED = 10

/** Which sectors of the write in flight reached the device. */
type Landed = (sector: number) => boolean

function* subsetsOf(write: RecordedWrite, seed: string): Generator<Landed> {
  const sectors = write.data.length / SECTOR
  const blocks = Math.min(BLOCKS_EXHAUSTED, write.data.length / BLOCK)
  for (let subset = 0; subset < 2 ** blocks; subset += 1) {
    yield (sector) => (subset & (1 << Math.min(blocks - 1, Math.floor((sector * SECTOR) / BLOCK)))) !== 0
  }
  for (let one = 0; one < sectors; one += 1) {
    yield (sector) => sector === one
    yield (sector) => sector !== one
  }
  const prng = createPrng(seed)
  for (let i = 0; i < RANDOM_SUBSETS; i += 1) {
    const landed = Array.from({ length: sectors }, () => prng.chance(0.5))
    yield (sector) => landed[sector] === true
  }
}

function tear(image: Buffer, write: RecordedWrite, landed: Landed): void {
  for (let sector = 0; sector * SECTOR < write.data.length; sector += 1) {
    if (landed(sector)) write.data.copy(image, write.position + sector * SECTOR, sector * SECTOR, (sector + 1) * SECTOR)
  }
}

describe('crash replay', () => {
  test('every crash of a recorded workload recovers to the state before or after the write in flight', async () => {
    const recording = new Recording('crash-replay')
    await recording.record(220)
    expect(recording.operations).toBeGreaterThanOrEqual(200)
    const image = Buffer.from(recording.start)
    let crashes = 0
    const wrong: string[] = []
    for (const [number, write] of recording.writes.entries()) {
      const whole = Buffer.from(image.subarray(write.position, write.position + write.data.length))
      for (const landed of subsetsOf(write, `subset-${number}`)) {
        tear(image, write, landed)
        // A checkpoint is written after the backing has what it trims.
        // oxlint-disable-next-line eslint/no-await-in-loop -- one image at a time
        const found = await recover(image, write.after.backing)
        const legal = same(found, write.before.volume) || same(found, write.after.volume)
        if (!legal && wrong.length < 5) wrong.push(`write ${number} at ${write.position} crash ${crashes}`)
        whole.copy(image, write.position)
        crashes += 1
      }
      write.data.copy(image, write.position)
    }
    expect(wrong).toEqual([])
    expect(crashes).toBeGreaterThan(10_000)
  }, 600_000)

  test('the check sees a recovery that drops a batch', async () => {
    const recording = new Recording('canary')
    await recording.record(20)
    const image = Buffer.from(recording.start)
    for (const write of recording.writes.slice(0, 2)) write.data.copy(image, write.position)
    const third = recording.writes[2] as RecordedWrite
    const found = await recover(image, third.after.backing)
    expect(same(found, third.before.volume)).toBe(true)
    expect(same(found, third.after.volume)).toBe(false)
  })
})

function same(left: Uint32Array, right: Uint32Array): boolean {
  return left.every((id, sector) => id === right[sector])
}
