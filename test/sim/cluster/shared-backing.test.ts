// Proves the fence of the simulated backing: from the moment of the cut nothing of the host lands, whatever it had in
// flight, and it gets errors or silence; another host is not disturbed, and the host is back only when it is restored.
import { SECTOR_BYTES } from '../../../base/units.ts'
import { Process, World } from '../world.ts'
import { SharedBacking } from './shared-backing.ts'

function staged(seed: string) {
  const world = new World(seed)
  const backing = new SharedBacking(world, {
    name: 'backing',
    sizeBytes: 64 * SECTOR_BYTES,
    alignmentBytes: SECTOR_BYTES,
    volatileCache: false,
    canZero: true,
    latencyMs: 5,
    megabytesPerSecond: 100,
    synchronousShare: 0,
  })
  const started = (name: string) => new Process(world, name, { monotonicMs: 0, bootMs: 0, wallMs: 0 }, () => undefined)
  const old = backing.attach(started('old'), 'host-a')
  const next = backing.attach(started('next'), 'host-b')
  const buffer = Buffer.from(new ArrayBuffer(4096)).fill(7)
  const sector = (index: number) => backing.disk.visible[index * SECTOR_BYTES]
  return { world, backing, old, next, buffer, sector }
}

test('after the cut nothing lands, however long ago it was sent', async () => {
  const landed = new Set<number | undefined>()
  for (let seed = 0; seed < 40; seed++) {
    const { world, backing, old, buffer, sector } = staged(String(seed))
    old.write(buffer, 0, SECTOR_BYTES, 0, () => undefined)
    backing.cut('host-a')
    const atCut = sector(0)
    landed.add(atCut)
    old.write(buffer, 0, SECTOR_BYTES, SECTOR_BYTES, () => undefined)
    await world.run(() => false, 60_000)
    expect(sector(0)).toBe(atCut)
    expect(sector(1)).toBe(0)
  }
  // What was in flight may have been done by then, or never.
  expect(landed).toEqual(new Set([0, 7]))
})

test('a host that is cut gets errors or nothing, another one goes on', async () => {
  const answers = new Set<string>()
  for (let seed = 0; seed < 20; seed++) {
    const { world, backing, old, next, buffer, sector } = staged(String(seed))
    backing.cut('host-a')
    let answer = 'silence'
    old.read(buffer, 0, SECTOR_BYTES, 0, (error) => {
      answer = error?.code ?? 'done'
    })
    next.write(buffer, 0, SECTOR_BYTES, SECTOR_BYTES, () => undefined)
    await world.run(() => false, 60_000)
    answers.add(answer)
    expect(sector(1)).toBe(7)
    expect(backing.cutSince('host-a', 0)).toBe(true)
    expect(backing.isCut('host-b')).toBe(false)
  }
  expect(answers).toEqual(new Set(['EIO', 'silence']))
})

test('a host that acquires the device anew reaches it', async () => {
  const { world, backing, old, buffer, sector } = staged('back')
  backing.cut('host-a')
  backing.restore('host-a')
  let error: unknown = 'none yet'
  old.write(buffer, 0, SECTOR_BYTES, 0, (outcome) => {
    error = outcome
  })
  await world.run(() => false, 60_000)
  expect(error).toBeNull()
  expect(sector(0)).toBe(7)
})
