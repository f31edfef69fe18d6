// Proves with several hosts on one machine: a copy that dies, freezes, is full or has a failing disk costs the application
// no error and no acknowledged write. The volume goes on with another copy, or through to the backing with a reason in
// its status, and comes back by itself when there are copies again.
import { testOn } from '../../run/requires.ts'
import { MIB, pause, type TestBed, until } from '../harness/test-bed.ts'
import { CheckedLoad } from './harness/checked-load.ts'
import { Hosts, obstacleOfHosts } from './harness/hosts.ts'
import type { ServedHere } from './harness/served-here.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHosts('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = Hosts.bed()
})
afterEach(() => bed.tearDown())

const untilThrough = (served: ServedHere): Promise<void> =>
  served.untilStatus('write-through, with a reason', ({ effectiveWritePolicy, phase, reason }) => {
    return effectiveWritePolicy === 'write-through' && phase === 'WriteThrough' && /too few peers/.test(reason ?? '')
  })

onKernel('the only copy is killed: through to the backing with a reason, and back to write-back with it', async () => {
  const hosts = await Hosts.make(bed, { names: ['a', 'b'] })
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const served = await a.serve()
  await served.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  load.begin()
  await pause(500)
  await b.killPeer()
  await untilThrough(served)
  await pause(500)
  await b.startPeer()
  await served.untilCopiesOn('a', 'b')
  await pause(300)
  // Frozen, it is as good as dead; thawed, it is told that it has been left behind, and learns.
  b.freeze()
  await untilThrough(served)
  b.thaw()
  await served.untilCopiesOn('a', 'b')
  expect((await load.stop()).errors).toBe(0)
  await load.verify()
  await a.powerCut()
  await load.close()
  const second = await b.takeover('off')
  await load.goOn(second, 300)
  await load.close()
})

onKernel('the copy of a volume with a spare host loses its power: the spare one takes its place', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const served = await a.serve()
  await served.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  load.begin()
  await pause(500)
  await b.powerCut()
  await served.untilCopiesOn('a', 'c')
  await b.boot()
  await b.startPeer()
  await pause(300)
  expect((await load.stop()).errors).toBe(0)
  await load.close()
  await a.powerCut()
  const second = await b.takeover('off')
  await load.goOn(second, 300)
  await load.close()
})

onKernel('two copies, and one after the other dies: an acknowledged write is on whoever is left', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b, c] = [hosts.get('a'), hosts.get('b'), hosts.get('c')]
  const served = await a.serve('--replicas', '2')
  await served.untilCopiesOn('a', 'b', 'c')
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  load.begin('tolerant')
  await pause(500)
  await c.killPeer()
  await pause(1500)
  await a.powerCut()
  await load.stop()
  await load.close()
  const second = await b.takeover('off', '--replicas', '1')
  await load.goOn(second, 300)
  await load.close()
})

onKernel('a store that is full takes no copy, and says so; the next one in the list does', async () => {
  const hosts = await Hosts.make(bed, { withoutPeer: ['b', 'c'] })
  const [a, b, c] = [hosts.get('a'), hosts.get('b'), hosts.get('c')]
  await b.startPeer('--size', '64MiB')
  await c.startPeer('--size', '512MiB')
  // Twice the log of this cache is more than the store of b has.
  const served = await a.serve('--cache-size', '128MiB')
  await served.untilCopiesOn('a', 'c')
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  await load.run(500)
  await c.killPeer()
  await served.untilStatus('the reason names the full store and what helps', ({ reason }) => {
    return /Give the replica store of b more space/.test(reason ?? '')
  })
  await load.run(300)
  await load.close()
  expect((await b.peerStatus()).volumes.filter(({ log }) => log !== null)).toEqual([])
})

onKernel('the disk of a store fails under load: its copy is given up, the volume goes on', async () => {
  const hosts = await Hosts.make(bed, { withoutPeer: ['b'] })
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const disk = await bed.slowDisk({ sizeBytes: 128 * MIB, latencyMs: 0 })
  await b.startPeer('--store', disk.device, '--size', '128MiB')
  const served = await a.serve()
  await served.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  load.begin()
  await pause(400)
  await disk.fail(['write', 'flush'], 'EIO')
  await served.untilCopiesOn('a', 'c')
  expect((await load.stop()).errors).toBe(0)
  await load.verify()
  await disk.heal()
  await load.close()
  await until('the failing store has said so', () => /EIO|error/.test(b.peerProgram.errors))
})
