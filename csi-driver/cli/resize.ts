// `forebay resize`: the device takes the size that the backing has grown to.
import type { ResizeResult } from '../observe/volume-control.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, stateDirSchema, volumePositional } from './command.ts'
import { connectVolume, stateDirectoryOf } from './volume-call.ts'

export const resizeCommand = defineCommand({
  name: 'resize',
  summary: 'Take over the new size of a backing that has grown',
  positionals: [volumePositional],
  schema: stateDirSchema,
  description: [
    'Run it after the backing was enlarged. The device grows online; the file system on it is yours to grow afterwards (resize2fs, xfs_growfs). A backing that has shrunk is refused.',
  ],
  exits: [
    [EXIT_OK, 'the device has the size of the backing'],
    [EXIT_FAILED, 'the volume could not do it, and says why'],
    [EXIT_REFUSED, 'bad input, or the volume is not served here'],
  ],
  examples: [['lvextend -L +10G vg/db1 && forebay resize db1', 'Grow a volume on LVM:']],
  async run({ positionals, settings, terminal }) {
    const [volume = ''] = positionals
    const client = await connectVolume({ volume, stateDirectory: stateDirectoryOf(settings.stateDir) })
    const { oldBytes, newBytes } = (await client.call({ method: 'resize' })) as ResizeResult
    client.close()
    terminal.out(`resized volume=${volume} oldBytes=${oldBytes} newBytes=${newBytes}\n`)
    return EXIT_OK
  },
})
