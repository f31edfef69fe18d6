// Proves the parser of mountinfo: real lines, optional fields, escaped names, and whatever else is in a file.
import fc from 'fast-check'
import { parseMountInfo } from '../../../../../csi-driver/frontend/loop/mount-table.ts'

test('lines with and without optional fields', () => {
  const text = [
    '25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard',
    '40 25 0:44 / /run/a\\040b\\134c rw,relatime - fuse forebay-x rw,user_id=0',
    '41 25 7:1 /sub /mnt rw shared:2 master:1 propagate_from:3 - xfs /dev/loop1 rw',
  ].join('\n')
  expect(parseMountInfo(`${text}\n`)).toEqual([
    { device: '254:0', mountPoint: '/', type: 'ext4', source: '/dev/vda' },
    { device: '0:44', mountPoint: '/run/a b\\c', type: 'fuse', source: 'forebay-x' },
    { device: '7:1', mountPoint: '/mnt', type: 'xfs', source: '/dev/loop1' },
  ])
})

test('anything else is left out', () => {
  expect(parseMountInfo('')).toEqual([])
  expect(parseMountInfo('nonsense\n1 2 - \n - ext4 x')).toEqual([])
  fc.assert(fc.property(fc.string(), (text) => Array.isArray(parseMountInfo(text))))
})
