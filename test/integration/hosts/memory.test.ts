// Proves with several hosts on one machine: with caches and stores in memory an acknowledged write survives the loss of
// one host, whichever it is. When all of them are lost, the volume is Blocked and says how much is gone; nothing is ever
// served silently without it.
import { testOn } from '../../run/requires.ts'
import { pause, type TestBed } from '../harness/test-bed.ts'
import { CheckedLoad } from './harness/checked-load.ts'
import { Hosts, obstacleOfHosts } from './harness/hosts.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const MEMORY = ['--resource', 'memory', '--allow-volatile']
const onKernel = testOn(obstacleOfHosts('blkdiscard'))
let bed: TestBed

beforeEach(() => {
  bed = Hosts.bed()
})
afterEach(() => bed.tearDown())

onKernel('all in memory: the copy loses its power, then the owner does: nothing is missing', async () => {
  const hosts = await Hosts.make(bed, { peerFlags: ['--resource', 'memory'] })
  const [a, b, c] = [hosts.get('a'), hosts.get('b'), hosts.get('c')]
  const first = await a.serve(...MEMORY)
  await first.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(first)
  load.begin('tolerant')
  await pause(300)
  await b.powerCut()
  await b.boot()
  await b.startPeer()
  await first.untilSaid(/engine.membership .*action=remove node=b/)
  await first.untilStatus('one copy again', ({ inSync, phase }) => inSync.length === 2 && phase === 'WriteBack')
  await pause(300)
  await a.powerCut()
  await load.stop()
  await load.close()
  const second = await c.takeover('off', ...MEMORY)
  await load.goOn(second, 500)
  await second.untilStatus('one copy again', ({ inSync, phase }) => inSync.length === 2 && phase === 'WriteBack')
  await load.close()
  await second.stop()
  await load.verifyImage(hosts.storage.image)
})

onKernel(
  'all in memory, and all of it lost: Blocked with the amount, on every host, until the loss is accepted',
  async () => {
    const hosts = await Hosts.make(bed, { names: ['a', 'b'], peerFlags: ['--resource', 'memory'] })
    const [a, b] = [hosts.get('a'), hosts.get('b')]
    await hosts.storage.latency(50)
    const first = await a.serve(...MEMORY)
    await first.untilCopiesOn('a', 'b')
    const load = new CheckedLoad(bed, SEED)
    await load.open(first)
    load.begin('tolerant')
    // Told about the amount at stake is what the status last said, some seconds ago at most.
    await pause(6000)
    expect((await first.status()).dirtyBytes).toBeGreaterThan(0)
    await Promise.all([a.powerCut(), b.powerCut()])
    await load.stop()
    await load.close()
    await Promise.all([a.boot(), b.boot()])
    await Promise.all([a.startPeer(), b.startPeer()])

    const onOther = b.start('takeover', '--fence-command', hosts.fenceCommand('cut'), ...MEMORY)
    expect(await onOther.ended).toMatchObject({ status: 2 })
    expect([onOther.output, onOther.errors]).toEqual(['', expect.stringMatching(/CACHE_BLOCKED_NO_/) as string])
    expect(onOther.errors).toMatch(/--accept-data-loss/)
    await hosts.storage.restore('a')
    const onOwn = a.start('takeover', '--fence-command', hosts.fenceCommand('cut'), ...MEMORY)
    expect(await onOwn.ended).toMatchObject({ status: 2 })
    expect(onOwn.errors).toMatch(/CACHE_BLOCKED_NO_/)
    // The host that served it last knows how much it was.
    expect(onOwn.errors).toMatch(/lostBytes=[1-9]\d*/)
    const accepted = await a.takeover('off', '--accept-data-loss', hosts.volume, ...MEMORY)
    expect(accepted.errors).toMatch(/accept|loss/)
    await accepted.stop()
  },
)
