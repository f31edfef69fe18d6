// Proves with several hosts on one machine: when the host of the owner dies, another one takes the volume over with every
// acknowledged write, and the host that comes back late disturbs nobody. An engine that dies alone is started again by
// its holder, with its copies; members that died together come back in any order.
import { testOn } from '../../run/requires.ts'
import { command, pause, type TestBed } from '../harness/test-bed.ts'
import { CheckedLoad } from './harness/checked-load.ts'
import { Hosts, obstacleOfHosts } from './harness/hosts.ts'
import { Table } from './harness/table.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHosts('blkdiscard', 'mkfs.ext4', 'e2fsck'))
let bed: TestBed

beforeEach(() => {
  bed = Hosts.bed()
})
afterEach(() => bed.tearDown())

onKernel('the power of the owner is cut: another host takes over with everything', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(first)
  load.begin('tolerant')
  await pause(1000)
  await a.powerCut()
  await load.stop()
  await load.close()

  const plain = b.start('serve')
  expect(await plain.ended).toMatchObject({ status: 2 })
  expect(plain.errors).toMatch(/otherNode=a thisNode=b \(CACHE_OWNED_ELSEWHERE\)\n.*forebay takeover/)

  // A fence that fails proves nothing, so nothing is served; each attempt is a claim of its own.
  for (const command of ['echo "no such host" >&2; exit 1', 'exit 11', 'kill -9 $$']) {
    const unfenced = b.start('takeover', '--fence-command', command)
    expect(await unfenced.ended).toMatchObject({ status: 1 })
    expect(unfenced.output).toBe('')
    expect(unfenced.errors).toMatch(/^forebay: the fence command did not fence the old owner .*\(CACHE_NOT_FENCED\)$/m)
  }
  const second = await b.takeover('off')
  expect(hosts.fenced).toEqual(['off a'])
  await load.goOn(second, 800)
  await second.untilCopiesOn('b', 'c')

  // Back late: it is not the owner any more, and its copy is not one of the volume.
  await a.boot()
  await a.startPeer()
  const late = a.start('serve')
  expect(await late.ended).toMatchObject({ status: 2 })
  expect(late.errors).toMatch(/otherNode=b thisNode=a \(CACHE_OWNED_ELSEWHERE\)/)
  expect((await late.status()).reason).toBe('owned by node=b now')
  await load.run(300)
  await load.close()
  await second.stop()
  await load.verifyImage(hosts.storage.image)
  expect(await hosts.storage.writers()).toEqual(['a', 'b'])
})

onKernel(
  'the engine alone is killed, then with the peer, then with the holder: no error, or the next serve has it',
  async () => {
    const hosts = await Hosts.make(bed)
    const [a, b] = [hosts.get('a'), hosts.get('b')]
    const served = await a.serve()
    await served.untilCopiesOn('a', 'b')
    const load = new CheckedLoad(bed, SEED)
    await load.open(served)
    load.begin()
    await pause(400)
    await served.untilNextEngine(served.killEngine())
    await served.untilCopiesOn('a', 'b')
    await pause(400)
    const killed = served.killEngine()
    await b.killPeer()
    await served.untilNextEngine(killed)
    await served.untilCopiesOn('a', 'c')
    await b.startPeer()
    await pause(300)
    expect((await load.stop()).errors).toBe(0)
    await load.verify()

    load.begin('tolerant')
    await pause(400)
    await a.killAll()
    await load.stop()
    await load.close()
    await a.startPeer()
    const again = await a.serve()
    await load.goOn(again, 500)
    await load.close()
    await again.stop()
    await load.verifyImage(hosts.storage.image)
  },
)

onKernel('owner and copy lose their power together and come back in the other order', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b, c] = [hosts.get('a'), hosts.get('b'), hosts.get('c')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(first)
  load.begin('tolerant')
  await pause(800)
  const { dirtyBytes } = await first.status()
  await Promise.all([a.powerCut(), b.powerCut()])
  await load.stop()
  await load.close()

  // No copy: it says how much is at stake and who holds it, and serves nothing.
  const without = c.start('takeover', '--fence-command', hosts.fenceCommand('off'))
  expect(await without.ended).toMatchObject({ status: 2 })
  expect(without.output).toBe('')
  expect(without.errors).toMatch(/CACHE_BLOCKED_NO_MEMBER/)
  expect(without.errors).toMatch(/copies=\w+@a:unreachable,\w+@b:unreachable/)
  expect(dirtyBytes).toBeGreaterThan(0)

  await b.boot()
  await b.startPeer()
  const second = await c.takeover('off')
  await load.goOn(second, 500)
  await a.boot()
  await a.startPeer()
  await second.untilCopiesOn('a', 'c').catch(() => second.untilCopiesOn('b', 'c'))
  await load.run(300)
  await load.close()
  await second.stop()
  await load.verifyImage(hosts.storage.image)
  expect(await hosts.storage.writers()).toEqual(['a', 'c'])
})

onKernel('owner and copy lose their power together: the node of the copy takes over from its own store', async () => {
  const hosts = await Hosts.make(bed, { names: ['a', 'b'] })
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  const table = await Table.make(first)
  await table.moveTo(first)
  await table.more(50)
  await Promise.all([a.powerCut(), b.powerCut()])
  await table.lost()
  await b.boot()
  await b.startPeer()
  const second = await b.takeover('off')
  await table.moveTo(second)
  await table.more(20)
  await table.stop()
  await table.unmount()
  await command('e2fsck', '-fn', second.device)
  // Without any other host there is no write-back, and it says why.
  const { effectiveWritePolicy, reason } = await second.status()
  expect(effectiveWritePolicy).toBe('write-through')
  expect(reason).toMatch(/too few peers for 1 replica/)
  await a.boot()
  await a.startPeer()
  await second.untilCopiesOn('a', 'b')
  await second.stop()
})
