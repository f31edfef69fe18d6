// Proves that settings are restored before the device is let go, that an open device is waited for and its users are
// named, that waiting can be called off, and that a device which already belongs to somebody else is not touched.
import type { AttachState } from '../../../../../csi-driver/frontend/loop/attach-state.ts'
import { attachLoop, mountVolume } from '../../../../../csi-driver/frontend/loop/attach.ts'
import { detachVolume } from '../../../../../csi-driver/frontend/loop/detach.ts'
import { describeHolder } from '../../../../../csi-driver/frontend/loop/holders.ts'
import { FakeHost } from './fake-host.ts'

const plan = { volume: 'db', runDirectory: '/run/db', sessionHex: 'aa55', sectorBytes: 512 }

async function attached(): Promise<{ host: FakeHost; state: AttachState; held: string[][]; stop: AbortController }> {
  const host = new FakeHost()
  const state = await attachLoop(host, plan, await mountVolume(host, plan, 9), 'write through')
  return { host, state, held: [], stop: new AbortController() }
}

function detach({ host, state, held, stop }: Awaited<ReturnType<typeof attached>>) {
  return detachVolume(host, state, {
    runDirectory: plan.runDirectory,
    onHeld: (holders) => held.push(holders.map(describeHolder)),
    signal: stop.signal,
  })
}

test('a free device goes at once, with everything that belongs to it', async () => {
  const world = await attached()
  const { host } = world
  const before: string[] = []
  const run = host.processes.run.bind(host.processes)
  host.processes.run = (command, options) => {
    if (command.includes('-d')) before.push(String(host.settings('loop0')['queue/write_cache']))
    return run(command, options)
  }
  expect(await detach(world)).toBe('gone')
  expect(before).toEqual(['write back'])
  expect(host.backing('loop0')).toBeUndefined()
  expect(host.links.size).toBe(0)
  expect(host.text('/run/db/attach.json')).toBeUndefined()
  expect(world.held).toEqual([])
})

test('a mounted device is waited for; changes of its users are told', async () => {
  const world = await attached()
  const { host } = world
  host.open('loop0')
  host.process(1, 'init')
  host.addMount({ device: '7:0', mountPoint: '/data', type: 'ext4', source: '/dev/loop0' })
  host.onTick = () => {
    if (host.ticks === 20) host.process(50, 'fsck', { '3': '/dev/loop0' })
    if (host.ticks === 40) host.release('loop0')
  }
  expect(await detach(world)).toBe('gone')
  expect(world.held).toEqual([['mounted at /data'], ['mounted at /data', 'open in process 50 (fsck)']])
  expect(host.backing('loop0')).toBeUndefined()
})

test('waiting is called off; the device goes by itself later', async () => {
  const world = await attached()
  const { host } = world
  host.open('loop0')
  host.onTick = () => {
    if (host.ticks === 10) world.stop.abort()
  }
  expect(await detach(world)).toBe('held')
  expect(world.held).toEqual([[]])
  expect(host.settings('loop0')).toMatchObject({ 'queue/write_cache': 'write back' })
  host.release('loop0')
  expect(host.backing('loop0')).toBeUndefined()
})

test('a device that has gone to somebody else keeps their settings and their name', async () => {
  const world = await attached()
  const { host } = world
  host.bind('loop0', '/somebody/else')
  host.texts.set('/sys/block/loop0/queue/write_cache', 'write through')
  host.links.set('/dev/forebay/db', '/dev/loop7')
  expect(await detach(world)).toBe('gone')
  expect(host.backing('loop0')).toBe('/somebody/else\n')
  expect(host.settings('loop0')).toMatchObject({ 'queue/write_cache': 'write through' })
  expect(host.links.get('/dev/forebay/db')).toBe('/dev/loop7')
})

test('settings that cannot be restored on a device that is still ours are an error in the log', async () => {
  const world = await attached()
  world.host.refusedSetting = '/sys/block/loop0/queue/write_cache'
  expect(await detach(world)).toBe('gone')
  expect(world.host.log.named('loop.restore_failed')).toMatchObject([{ level: 'error' }])
})
