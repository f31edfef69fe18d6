// Proves that a disk put in the place of another is empty and stays so, whatever a dead process still had in flight at
// the old one.
import { SECTOR_BYTES } from '../../../base/units.ts'
import type { DiskSettings } from '../disk.ts'
import { SimNetwork } from '../network.ts'
import { World } from '../world.ts'
import { Host } from './host.ts'
import { SharedBacking } from './shared-backing.ts'

function disk(name: string): DiskSettings {
  return {
    ...{ name, sizeBytes: 64 * SECTOR_BYTES, alignmentBytes: SECTOR_BYTES, volatileCache: false, canZero: false },
    ...{ latencyMs: 5, megabytesPerSecond: 100, synchronousShare: 0 },
  }
}

function staged(seed: string) {
  const world = new World(seed)
  const parts = { network: new SimNetwork(world), backing: new SharedBacking(world, disk('backing')) }
  const place = { name: 'host-a', domain: 'domain-1', resource: 'flash', drift: 0 } as const
  const disks = { cache: disk('cache'), store: disk('store'), storeSegments: 1, readCacheStart: 0 }
  return { world, host: new Host(world, { ...place, ...disks }, parts) }
}

test('a disk that was replaced holds nothing of the one before, and its processes can be followed by others', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { world, host } = staged(String(seed))
    const life = host.start('peer')
    const buffer = Buffer.from(new ArrayBuffer(4096)).fill(7)
    host.store.attach(life.process).write(buffer, 0, SECTOR_BYTES, 0, () => undefined)
    life.process.die()
    host.wipe(host.store)
    await world.run(() => false, 60_000)
    expect(host.store.visible.every((byte) => byte === 0)).toBe(true)
    expect(host.isReaped(life)).toBe(true)
  }
})
