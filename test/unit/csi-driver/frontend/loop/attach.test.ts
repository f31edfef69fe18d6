// Proves the way from a descriptor to a named block device on a host in memory: what is recorded before what, races for
// loop devices, and that a step that fails leaves no loop device and no foreign setting behind.
import {
  attachLoop,
  attachStatePath,
  mountVolume,
  reattachLoop,
  setUpLoop,
} from '../../../../../csi-driver/frontend/loop/attach.ts'
import { readAttachState } from '../../../../../csi-driver/frontend/loop/attach-state.ts'
import { FakeHost } from './fake-host.ts'

const plan = { volume: 'db', runDirectory: '/run/db', sessionHex: 'aa55', sectorBytes: 4096 }
const BUSY = 'losetup: /x: failed to set up loop device: Device or resource busy'

const recorded = (host: FakeHost) => readAttachState(host.files, attachStatePath(plan.runDirectory))

test('mounted, attached, set, named, unmounted, and recorded', async () => {
  const host = new FakeHost()
  host.bind('loop0', '/somebody/else')
  const mounted = await mountVolume(host, plan, 9)
  expect(await recorded(host)).toEqual(mounted)
  expect(mounted).toMatchObject({ connectionId: 40, loopDevice: null, fileName: 'db-aa55' })
  const attached = await attachLoop(host, plan, mounted, 'write through')
  expect(await recorded(host)).toEqual(attached)
  expect(attached.loopDevice).toBe('/dev/loop1')
  expect(host.backing('loop1')).toBe('/run/db/mount/db-aa55\n')
  expect(host.settings('loop1')).toMatchObject({ 'queue/write_cache': 'write through' })
  expect(host.links.get('/dev/forebay/db')).toBe('/dev/loop1')
  expect(host.text('/proc/self/mountinfo')).not.toContain('/run/db/mount')
  expect(host.commands).toContain('losetup --find --show --direct-io=on --sector-size 4096 /run/db/mount/db-aa55')
})

test('the record stands before the mount', async () => {
  const host = new FakeHost()
  host.processes.run = async () => ({ exitCode: 32, stdout: '', stderr: 'mount: permission denied\n' })
  await expect(mountVolume(host, plan, 9)).rejects.toMatchObject({ code: 'CACHE_HOST_COMMAND' })
  expect(await recorded(host)).toMatchObject({ connectionId: null, loopDevice: null })
})

test('lost races for a loop device are tried again, a hopeless one is an error', async () => {
  const host = new FakeHost()
  host.losetupRefusals.push(BUSY, BUSY)
  expect(await setUpLoop(host, '/x', 512)).toBe('/dev/loop0')
  host.losetupRefusals.push(...Array.from({ length: 10 }, () => BUSY))
  await expect(setUpLoop(host, '/x', 512)).rejects.toMatchObject({ code: 'CACHE_LOOP_SETUP' })
  const ticks = host.ticks
  host.losetupRefusals.push('losetup: /x: No such file or directory')
  await expect(setUpLoop(host, '/x', 512)).rejects.toMatchObject({ code: 'CACHE_LOOP_SETUP' })
  expect(host.ticks).toBe(ticks)
})

test('a loop device without direct I/O is given back', async () => {
  const host = new FakeHost()
  host.directIo = false
  const mounted = await mountVolume(host, plan, 9)
  await expect(attachLoop(host, plan, mounted, 'write through')).rejects.toMatchObject({
    code: 'CACHE_LOOP_NO_DIRECT_IO',
  })
  expect(host.backing('loop0')).toBeUndefined()
})

test('after a failed step the settings are those of a fresh device', async () => {
  const host = new FakeHost()
  const mounted = await mountVolume(host, plan, 9)
  host.files.replaceLink = () => Promise.reject(new Error('no /dev'))
  await expect(attachLoop(host, plan, mounted, 'write through')).rejects.toThrow('no /dev')
  expect(host.backing('loop0')).toBeUndefined()
  expect(host.settings('loop0')).toMatchObject({ 'queue/write_cache': 'write back', 'bdi/strict_limit': '0' })
})

test('a successor sets the settings again, but only on a device that is still the volume', async () => {
  const host = new FakeHost()
  const attached = await attachLoop(host, plan, await mountVolume(host, plan, 9), 'write through')
  await reattachLoop(host, attached, 'write back')
  expect(host.settings('loop0')).toMatchObject({ 'queue/write_cache': 'write back' })
  host.bind('loop0', '/somebody/else')
  await expect(reattachLoop(host, attached, 'write through')).rejects.toMatchObject({ code: 'CACHE_LOOP_LOST' })
  expect(host.settings('loop0')).toMatchObject({ 'queue/write_cache': 'write back' })
})
