// Proves with several hosts on one machine: a register directory that hangs, fails or turns read-only stops no I/O and
// loses nothing. A change of the membership waits for it, and the writes with it; an engine that restarts goes on
// without it; a takeover is refused with one message and changes nothing.
import { writeFileSync } from 'node:fs'
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
  'the register hangs or fails while nothing changes: nobody notices, and an engine restarts without it',
  async () => {
    const hosts = await Hosts.make(bed)
    const a = hosts.get('a')
    const served = await a.serve()
    await served.untilCopiesOn('a', 'b')
    const load = new CheckedLoad(bed, SEED)
    await load.open(served)
    await hosts.registerFaults.hang(a)
    // Longer than any promise lasts.
    await load.run(7000)
    load.begin()
    await served.untilNextEngine(served.killEngine())
    await served.untilCopiesOn('a', 'b')
    await pause(300)
    await load.stop()
    await hosts.registerFaults.heal(a)
    await hosts.registerFaults.fail(a)
    await load.run(500)
    await hosts.registerFaults.heal(a)
    await load.verify()
    await load.close()
    await served.stop()
    await load.verifyImage(hosts.storage.image)
  },
)

onKernel(
  'a copy dies while the register is out of reach: writes wait for it, and go on without that copy',
  async () => {
    const hosts = await Hosts.make(bed)
    const [a, b, c] = [hosts.get('a'), hosts.get('b'), hosts.get('c')]
    const served = await a.serve()
    await served.untilCopiesOn('a', 'b')
    const load = new CheckedLoad(bed, SEED)
    await load.open(served)
    load.begin()
    await pause(300)
    await hosts.registerFaults.readOnly(a)
    await b.killPeer()
    await served.untilSaid(/register.change.unsettled .*change=remove-member/)
    await pause(500)
    await hosts.registerFaults.heal(a)
    await served.untilCopiesOn('a', 'c')
    await b.startPeer()
    await pause(300)

    await hosts.registerFaults.hang(a)
    await c.killPeer()
    await served.untilSaid(
      /register.change.unsettled .*change=remove-member[^]*register.change.unsettled .*change=remove-member/,
    )
    // The engine dies with the change open: the next one settles it first.
    await served.untilNextEngine(served.killEngine())
    await pause(500)
    await hosts.registerFaults.heal(a)
    await served.untilCopiesOn('a', 'b')
    expect((await load.stop()).errors).toBe(0)
    await load.verify()
    await load.close()
    await served.stop()
    await load.verifyImage(hosts.storage.image)
  },
)

onKernel('a takeover without a usable register is refused, and nothing is changed', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(first)
  await load.run(300)
  load.begin('tolerant')
  await a.powerCut()
  await load.stop()
  await load.close()
  for (const fault of ['fail', 'readOnly'] as const) {
    await hosts.registerFaults[fault](b)
    const refused = b.start('takeover', '--fence-command', hosts.fenceCommand('off'))
    expect(await refused.ended).toMatchObject({ status: 2 })
    expect(refused.output).toBe('')
    expect(refused.errors.match(/^forebay .*--register is no directory that can be read and written/gm)).toHaveLength(1)
    expect(b.hasCache).toBe(false)
    await hosts.registerFaults.heal(b)
  }
  expect(hosts.fenced).toEqual([])
  const second = await b.takeover('off')
  await load.goOn(second, 300)
  await load.close()
})

onKernel('a second host of the same name is refused with what to do; the first goes on', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const served = await a.serve()
  await served.untilCopiesOn('a', 'b')
  writeFileSync(b.path('machine-id'), `${'5'.repeat(32)}\n`)
  await b.namespaces.run('mount', '--bind', b.path('machine-id'), '/etc/machine-id')
  for (const command of ['serve', 'takeover'] as const) {
    const fence = command === 'takeover' ? ['--fenced'] : []
    const second = b.start(command, '--node', 'a', '--tls-dir', a.tlsDir, ...hosts.get('c').asPeer(), ...fence)
    expect(await second.ended).toMatchObject({ status: 2 })
    expect(second.errors).toContain('another host has this name node=a')
    expect(second.errors).toContain('another --node')
  }
  expect(await served.status()).toMatchObject({ state: 'serving', epoch: 1 })
  await served.stop()
})
