// Proves: mountinfo is read as proc(5) describes it, escapes and optional fields included, and the innermost mount wins.
import { mountOf, parseMounts, readMounts } from '../../../../../csi-driver/io/real/mount-table.ts'

const TEXT = [
  '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw',
  String.raw`40 27 8:1 /sub\040dir /mnt/a\040b rw shared:5 master:2 - xfs /dev/sda1 rw`,
  '41 40 0:50 / /mnt/data rw - nfs4 server:/export rw',
  '42 41 0:51 / /mnt/data rw - tmpfs over rw',
  'not a mount',
  '',
].join('\n')

test('fields and escapes', () => {
  const mounts = parseMounts(TEXT)
  expect(mounts).toHaveLength(4)
  expect(mounts[1]).toEqual({
    device: '8:1',
    root: '/sub dir',
    mountPoint: '/mnt/a b',
    type: 'xfs',
    source: '/dev/sda1',
  })
})

test('the innermost, and of those the uppermost', () => {
  const mounts = parseMounts(TEXT)
  expect(mountOf(mounts, '/mnt/data/image')?.source).toBe('over')
  expect(mountOf(mounts, '/mnt/data')?.source).toBe('over')
  expect(mountOf(mounts, '/mnt/database')?.source).toBe('/dev/vda')
  expect(mountOf(mounts, '/mnt/a b/c')?.type).toBe('xfs')
  expect(mountOf([], '/')).toBeNull()
})

test('the table of this host is understood', async () => {
  expect(mountOf(await readMounts(), '/proc/self')?.type).toBe('proc')
})
