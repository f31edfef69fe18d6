// `forebay serve`: declared here for --help and the reference; bin/forebay starts the holder for it, not this process.
import { serveSchema } from '../config.ts'
import { defineCommand, EXIT_REFUSED, volumePositional } from './command.ts'

export const serveCommand = defineCommand({
  name: 'serve',
  summary: 'Accelerate a block device or image file, in the foreground',
  positionals: [volumePositional],
  schema: serveSchema,
  description: [
    'Puts a cache in front of a slow device and offers the result as a block device: /dev/loopN, with the stable name /dev/forebay/VOLUME. Prints one line, "ready volume=VOLUME device=/dev/loopN", when I/O is possible (with --output json one JSON object). Events go to standard error.',
    'An acknowledged write is never lost: with write-back it is durable in the cache, with write-through on the backing. A volume that was killed goes on from there when it is served again with the same cache and backing. If acknowledged writes could be lost it is Blocked instead, with how much and how old.',
    'SIGTERM or Ctrl-C: switches to write-through at once, drains with progress, waits until the device is released (and says by whom it is held, serving on), detaches, ends with 0. A second signal stops at once: open users get I/O errors, dirty data stays safe in the cache, and it ends with 3.',
    'The engine is a child of a small holder process and is started again when it dies: applications see a pause, never an error (kernel 6.9 or newer; before, the device answers with errors until the volume is served again).',
    'With --frontend nbd the volume is an NBD export on a unix socket instead, for nbdcopy, QEMU, fio or the kernel client; "device" is then its URI. Its connections end when the engine ends, and clients have to come back: see docs/how-to/nbd.md.',
    'Several volumes may be served at once by several processes, each with a cache of its own.',
  ],
  exits: [
    [0, 'stopped, everything is on the backing'],
    [1, 'failed before the device was ready'],
    [2, 'refused: bad input, or something is in use; nothing was changed'],
    [3, 'stopped with dirty data, which is safe in the cache'],
    [4, 'ended for good: another owner took the volume over, or the engine died on a kernel before 6.9'],
  ],
  examples: [
    [
      'forebay serve db1 --backing /dev/vg/db1 --cache /var/cache/forebay/db1 --cache-size 16GiB',
      'Accelerate a logical volume with a file on a local SSD:',
    ],
    [
      'forebay serve img --backing /nfs/disk.img --cache /dev/nvme0n1p4 --metrics 127.0.0.1:9750',
      'An image on NFS, cached on a partition:',
    ],
    [
      'forebay serve scratch --backing /dev/sdb --cache /dev/shm/scratch --resource memory --write-policy write-through',
      'A read cache in memory:',
    ],
    [
      'forebay serve vm1 --backing /dev/vg/vm1 --cache /var/cache/forebay/vm1 --frontend nbd --nbd-socket /run/vm1.nbd',
      'For a virtual machine, over NBD:',
    ],
  ],
  run: async ({ terminal }) => {
    terminal.err('forebay: serve is started by bin/forebay, which keeps the descriptors of the volume\n')
    return Promise.resolve(EXIT_REFUSED)
  },
})
