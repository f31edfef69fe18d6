// Proves how a connection is mounted, found, counted and aborted, and that a missing control file system is survived.
import {
  abortConnection,
  connectionAt,
  CONNECTIONS_DIRECTORY,
  mountConnection,
  mountControlFileSystem,
  unmountLazily,
  waitingRequests,
} from '../../../../../csi-driver/frontend/loop/connection.ts'
import { FakeHost } from './fake-host.ts'

test('from mount to abort', async () => {
  const host = new FakeHost()
  const id = await mountConnection(host, { fd: 5, mountPoint: '/run/m', source: 'forebay-x' })
  expect(host.commands).toEqual([
    'mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0,allow_other forebay-x /run/m',
  ])
  expect(await connectionAt(host.files, '/run/m')).toBe(id)
  expect(await waitingRequests(host.files, id)).toBe(0)
  expect(await abortConnection(host.files, id)).toBe(true)
  expect(await abortConnection(host.files, id)).toBe(false)
  expect(await waitingRequests(host.files, id)).toBeNull()
  await unmountLazily(host, '/run/m')
  expect(await connectionAt(host.files, '/run/m')).toBeNull()
})

test('another file system at the mount point is no connection, and an unmount of nothing is fine', async () => {
  const host = new FakeHost()
  host.addMount({ device: '254:1', mountPoint: '/run/m', type: 'ext4', source: '/dev/vdb' })
  expect(await connectionAt(host.files, '/run/m')).toBeNull()
  await unmountLazily(host, '/run/other')
  expect(host.commands).toEqual([])
})

test('the control file system is mounted once; where that is refused, life goes on', async () => {
  const host = new FakeHost()
  await mountControlFileSystem(host)
  await mountControlFileSystem(host)
  expect(host.commands).toEqual([`mount -t fusectl fusectl ${CONNECTIONS_DIRECTORY}`])
  const poor = new FakeHost()
  poor.processes.run = async () => ({ exitCode: 32, stdout: '', stderr: 'no' })
  await mountControlFileSystem(poor)
  expect(poor.log.named('fuse.control_unavailable')).toHaveLength(1)
})
