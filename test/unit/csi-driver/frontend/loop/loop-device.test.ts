// Proves that settings are applied and put back as a whole, that a refused write_cache is an error and a refused limit
// is not, and that a device is known by the unique name of its file.
import {
  applySettings,
  backsFile,
  devicesBoundTo,
  resizeLoop,
  restoreSettings,
  setWriteCache,
} from '../../../../../csi-driver/frontend/loop/loop-device.ts'
import { FakeHost } from './fake-host.ts'

test('applied for a volume, restored for the next user', async () => {
  const host = new FakeHost()
  const fresh = host.settings('loop0')
  await applySettings(host, '/dev/loop0', 'write through')
  expect(host.settings('loop0')).toMatchObject({
    'queue/write_cache': 'write through',
    'queue/max_sectors_kb': '1024',
    'bdi/strict_limit': '1',
    'bdi/max_bytes': String(256 << 20),
  })
  await restoreSettings(host, '/dev/loop0')
  expect(host.settings('loop0')).toEqual({ ...fresh, 'bdi/max_bytes': String(256 << 20) })
})

test('a kernel without the limits of the bdi is served as well', async () => {
  const host = new FakeHost()
  for (const name of ['strict_limit', 'max_bytes']) host.texts.delete(`/sys/block/loop0/bdi/${name}`)
  await applySettings(host, '/dev/loop0', 'write back')
  expect(host.log.named('loop.setting_refused')).toEqual([])
})

test('write_cache that does not change is an error', async () => {
  const host = new FakeHost()
  host.refusedSetting = '/sys/block/loop0/queue/write_cache'
  await expect(setWriteCache(host, '/dev/loop0', 'write through')).rejects.toMatchObject({ code: 'CACHE_WRITE_CACHE' })
  await expect(setWriteCache(host, '/dev/loop9', 'write through')).rejects.toMatchObject({ code: 'ENOENT' })
})

test('the file behind a device', () => {
  expect(backsFile('/run/x/mount/db-12', 'db-12')).toBe(true)
  expect(backsFile('/db-12', 'db-12')).toBe(true)
  expect(backsFile('/db-12 (deleted)', 'db-12')).toBe(true)
  expect(backsFile('/other/xdb-12', 'db-12')).toBe(false)
  expect(backsFile('/db-12/x', 'db-12')).toBe(false)
  expect(backsFile(null, 'db-12')).toBe(false)
})

test('every device with that file is found', async () => {
  const host = new FakeHost()
  host.bind('loop0', '/somebody/else')
  host.bind('loop2', '/db-12')
  expect(await devicesBoundTo(host, 'db-12')).toEqual(['/dev/loop2'])
})

test('a size that the kernel does not take over is an error', async () => {
  const host = new FakeHost()
  host.fileBytes = 2 << 20
  await resizeLoop(host, '/dev/loop0', 2 << 20)
  await expect(resizeLoop(host, '/dev/loop0', 3 << 20)).rejects.toMatchObject({ code: 'CACHE_LOOP_SIZE' })
})
