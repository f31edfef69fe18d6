// Proves how sysfs is read, on a made-up tree: disks, partitions (whose queue is their disk's), stacks and loop devices.
import { type ReadOnlyFiles, readBlockDevice } from '../../../../csi-driver/cli/block-devices.ts'

function tree(files: Readonly<Record<string, string>>): ReadOnlyFiles {
  const normal = (path: string): string => path.replaceAll(/\/[^/]+\/\.\.(?=\/)/g, '')
  const entries = Object.entries(files)
  return {
    read: (path) => Promise.resolve(files[path] ?? files[normal(path)] ?? null),
    list: (path) => {
      const inside = entries.map(([name]) => name).filter((name) => name.startsWith(`${path}/`))
      return Promise.resolve([...new Set(inside.map((name) => name.slice(path.length + 1).split('/')[0] as string))])
    },
    readLink: () => Promise.resolve(null),
  }
}
const at = (number: string, attributes: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, text]) => [`/sys/dev/block/${number}/${name}`, `${text}\n`]),
  )

test('a disk with partitions, and a device on top of it', async () => {
  const files = tree(
    at('8:0', {
      size: '2048',
      ro: '0',
      uevent: 'MAJOR=8\nMINOR=0\nDEVNAME=sda',
      'queue/logical_block_size': '4096',
      'sda1/partition': '1',
      'sda1/dev': '8:1',
      'power/control': 'auto',
      'holders/dm-0/dev': '253:0',
    }),
  )
  expect(await readBlockDevice(files, '8:0')).toEqual({
    name: 'sda',
    sizeBytes: 1024 * 1024,
    logicalSectorBytes: 4096,
    readOnly: false,
    holders: ['dm-0'],
    partitions: ['8:1'],
    below: [],
    loopFile: null,
  })
})

test('a partition stands on its disk and has its sectors', async () => {
  const disk = '/sys/dev/block/8:1/..'
  const files = tree({
    ...at('8:1', { size: '8', ro: '1', partition: '1', uevent: 'DEVNAME=sda1' }),
    [`${disk}/dev`]: '8:0\n',
    [`${disk}/queue/logical_block_size`]: '4096\n',
  })
  expect(await readBlockDevice(files, '8:1')).toMatchObject({
    name: 'sda1',
    logicalSectorBytes: 4096,
    readOnly: true,
    below: ['8:0'],
  })
})

test('a stacked device and a loop device', async () => {
  const files = tree({
    ...at('253:0', { size: '8', 'slaves/sda1/dev': '8:1', 'slaves/sdb/dev': '8:16' }),
    ...at('7:0', { size: '8', 'loop/backing_file': '/images/a b.img' }),
  })
  expect(await readBlockDevice(files, '253:0')).toMatchObject({ name: '253:0', below: ['8:1', '8:16'] })
  expect(await readBlockDevice(files, '7:0')).toMatchObject({ loopFile: '/images/a b.img' })
})

test('no such device', async () => expect(await readBlockDevice(tree({}), '8:0')).toBeNull())
