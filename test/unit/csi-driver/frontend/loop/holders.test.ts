// Proves that each kind of user of a device is found and named once, in whatever mount namespace.
import { describeHolder, findHolders, HOLDERS_MAX } from '../../../../../csi-driver/frontend/loop/holders.ts'
import { FakeHost } from './fake-host.ts'

test('mounts, processes, swap and devices on top', async () => {
  const host = new FakeHost()
  host.process(10, 'postgres', { '3': '/dev/null', '4': '/dev/loop1' })
  host.process(11, 'shell', { '0': '/dev/loop11' })
  host.process(12, 'pod', {}, 'mnt:[2]')
  host.addMount({ device: '7:1', mountPoint: '/data', type: 'ext4', source: '/dev/loop1' })
  host.addMount({ device: '0:50', mountPoint: '/pool', type: 'btrfs', source: '/dev/loop1' })
  host.addMount({ device: '7:11', mountPoint: '/other', type: 'ext4', source: '/dev/loop11' })
  host.texts.set('/sys/block/loop1/holders/dm-0', '')
  host.texts.set('/proc/swaps', 'Filename Type\n/dev/loop1 partition 8 0 -2\n')
  const holders = await findHolders(host.files, '/dev/loop1')
  expect(holders.map(describeHolder)).toEqual([
    'mounted at /data',
    'mounted at /pool',
    'used by block device dm-0',
    'used as swap',
    'open in process 10 (postgres)',
  ])
})

test('nobody', async () => {
  const host = new FakeHost()
  host.process(10, 'shell', { '0': '/dev/tty' })
  expect(await findHolders(host.files, '/dev/loop1')).toEqual([])
})

test('a crowd is cut', async () => {
  const host = new FakeHost()
  for (let pid = 100; pid < 200; pid++) host.process(pid, 'one', { '5': '/dev/loop1' })
  expect((await findHolders(host.files, '/dev/loop1')).length).toBe(HOLDERS_MAX)
})
