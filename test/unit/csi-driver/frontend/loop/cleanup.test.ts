// Proves that whatever a killed predecessor had set up, at each of its steps, is taken down with settings restored, and
// that nothing of anybody else is touched even where the kernel has given out the same numbers again.
import { attachLoop, mountVolume } from '../../../../../csi-driver/frontend/loop/attach.ts'
import type { AttachState } from '../../../../../csi-driver/frontend/loop/attach-state.ts'
import { encodeAttachState } from '../../../../../csi-driver/frontend/loop/attach-state.ts'
import { cleanUpPredecessor } from '../../../../../csi-driver/frontend/loop/cleanup.ts'
import { FakeHost } from './fake-host.ts'

const plan = { volume: 'db', runDirectory: '/run/db', sessionHex: 'aa55', sectorBytes: 512 }

/** Sets the volume up; its process dies before change number `changes` of the host. True if it lived to the end. */
async function setUpUntil(host: FakeHost, changes: number): Promise<boolean> {
  let left = changes
  host.onChange = () => {
    if (left-- <= 0) throw new Error('dead')
  }
  try {
    await attachLoop(host, plan, await mountVolume(host, plan, 9), 'write through')
    return true
  } catch {
    return false
  } finally {
    host.onChange = () => {}
  }
}

test('a predecessor killed before any of its steps leaves nothing after the clean-up', async () => {
  let finished = false
  let steps = 0
  for (; !finished; steps++) {
    const host = new FakeHost()
    const fresh = { ...host.settings('loop0'), 'bdi/max_bytes': expect.any(String) as string }
    finished = await setUpUntil(host, steps)
    await cleanUpPredecessor(host, plan.runDirectory)
    expect(host.backing('loop0')).toBeUndefined()
    expect(host.settings('loop0')).toEqual(fresh)
    expect(host.text('/proc/self/mountinfo')).not.toContain('/run/db')
    expect(host.text('/run/db/attach.json')).toBeUndefined()
    expect(host.links.size).toBe(0)
    expect((await cleanUpPredecessor(host, plan.runDirectory)).found).toBe(false)
  }
  expect(steps).toBeGreaterThan(10)
})

test('a connection that somebody still holds is aborted before its device is touched', async () => {
  const host = new FakeHost()
  await attachLoop(host, plan, await mountVolume(host, plan, 9), 'write through')
  expect(await cleanUpPredecessor(host, plan.runDirectory)).toMatchObject({ found: true, detached: ['/dev/loop0'] })
  expect(host.text('/sys/fs/fuse/connections/40/waiting')).toBeUndefined()
  expect(host.log.named('fuse.aborted')).toHaveLength(1)
})

test('a device that is still open lingers and is named; its settings are restored all the same', async () => {
  const host = new FakeHost()
  await attachLoop(host, plan, await mountVolume(host, plan, 9), 'write through')
  host.open('loop0')
  host.process(7, 'dd', { '1': '/dev/loop0' })
  const report = await cleanUpPredecessor(host, plan.runDirectory)
  expect(report).toEqual({
    found: true,
    detached: [],
    lingering: [{ device: '/dev/loop0', holders: [{ kind: 'process', pid: 7, command: 'dd' }] }],
  })
  expect(host.settings('loop0')).toMatchObject({ 'queue/write_cache': 'write back' })
  expect(host.links.has('/dev/forebay/db')).toBe(false)
  host.release('loop0')
  expect(host.backing('loop0')).toBeUndefined()
})

test('numbers that belong to somebody else by now are left alone', async () => {
  const host = new FakeHost()
  const old: AttachState = {
    volume: 'db',
    fileName: 'db-0000',
    mountPoint: '/run/db/mount',
    link: '/dev/forebay/db',
    connectionId: 40,
    loopDevice: '/dev/loop0',
  }
  host.texts.set('/run/db/attach.json', encodeAttachState(old))
  const other = { ...plan, volume: 'other', runDirectory: '/run/other' }
  await attachLoop(host, other, await mountVolume(host, other, 9), 'write through')
  expect(host.text('/sys/fs/fuse/connections/40/waiting')).toBe('0\n')
  expect(await cleanUpPredecessor(host, '/run/db')).toEqual({ found: true, detached: [], lingering: [] })
  expect(host.text('/sys/fs/fuse/connections/40/waiting')).toBe('0\n')
  expect(host.settings('loop0')).toMatchObject({ 'queue/write_cache': 'write through' })
  expect(host.backing('loop0')).toContain('other-')
  expect(host.links.get('/dev/forebay/other')).toBe('/dev/loop0')
})

test('a damaged record is removed', async () => {
  const host = new FakeHost()
  host.texts.set('/run/db/attach.json', '{"formatVersion":1')
  expect((await cleanUpPredecessor(host, '/run/db')).found).toBe(false)
  expect(host.text('/run/db/attach.json')).toBeUndefined()
})
