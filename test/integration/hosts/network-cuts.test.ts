// Proves with several hosts on one machine: a wire that is cut both ways or one way only, for a moment or for good, costs
// no acknowledged write. An owner that is cut off from its copies does not answer any more once it could be replaced, and
// ends by itself when it hears of its successor.
import { testOn } from '../../run/requires.ts'
import { pause, type TestBed } from '../harness/test-bed.ts'
import { CheckedLoad } from './harness/checked-load.ts'
import { Hosts, obstacleOfHosts } from './harness/hosts.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHosts('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = Hosts.bed()
})
afterEach(() => bed.tearDown())

onKernel(
  'the wire to the copy is cut in one direction, then the other, then both: another copy, no error',
  async () => {
    const hosts = await Hosts.make(bed)
    const { network } = hosts
    const a = hosts.get('a')
    const served = await a.serve()
    await served.untilCopiesOn('a', 'b')
    const load = new CheckedLoad(bed, SEED)
    await load.open(served)
    load.begin()
    await pause(300)
    await network.cut('a', 'b')
    await served.untilCopiesOn('a', 'c')
    await network.heal()
    await pause(300)
    await network.cut('c', 'a')
    await served.untilCopiesOn('a', 'b')
    await network.heal()
    await pause(300)
    await network.cutBothWays('a', 'b')
    await served.untilCopiesOn('a', 'c')
    await network.heal()
    expect((await load.stop()).errors).toBe(0)
    await load.verify()
    await load.close()
    await served.stop()
    await load.verifyImage(hosts.storage.image)
  },
)

onKernel('a wire that is cut for a blink: nobody is replaced', async () => {
  const hosts = await Hosts.make(bed, { names: ['a', 'b'] })
  const a = hosts.get('a')
  const served = await a.serve()
  await served.untilCopiesOn('a', 'b')
  const { epoch } = await served.status()
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  load.begin()
  for (const [from, to] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    await pause(300)
    await hosts.network.cut(from, to)
    await pause(300)
    await hosts.network.heal()
  }
  await pause(2000)
  expect((await load.stop()).errors).toBe(0)
  await load.verify()
  await load.close()
  expect(served.errors).not.toMatch(/engine.membership .*action=remove/)
  expect((await served.status()).epoch).toBe(epoch)
})

onKernel('an owner without network: taken over by a fence that cuts it off, it answers nothing and ends', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(first)
  load.begin('tolerant')
  await pause(500)
  await hosts.network.unplug('a')
  const second = await b.takeover('cut')
  expect(hosts.fenced).toEqual(['cut a'])
  // It could not know how long the old owner may still rely on promises, so it has waited them out.
  expect(second.errors).toMatch(/engine.open.waiting_for_lease/)
  // The register is on the storage, which the old owner still sees: it learns from there, or from a copy, that it is over.
  await hosts.network.plug('a')
  expect(await first.ended).toMatchObject({ status: 4 })
  await load.stop()
  await load.close()
  await load.goOn(second, 500)
  await load.close()
  await second.stop()
  await load.verifyImage(hosts.storage.image)
  expect(await hosts.storage.writers()).toEqual(['a', 'b'])
})
