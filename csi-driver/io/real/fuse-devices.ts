// Opens /dev/fuse and makes the channel of the wanted kind for it.
import { closeSync, openSync } from 'node:fs'
import { CacheError } from '../../../base/errors.ts'
import type {
  FuseChannel,
  FuseChannelCounters,
  FuseChannelKind,
  FuseChannelOptions,
  FuseDevices,
} from '../fuse-channel.ts'
import type { AlignedMemory } from '../storage.ts'
import { EpollFuseChannel } from './epoll-fuse-channel.ts'
import { errnoName } from './errno.ts'
import { READ_BUFFER_EXTRA_BYTES } from './fuse-reply.ts'
import { READERS, ReadersFuseChannel } from './readers-fuse-channel.ts'

const DEVICE = '/dev/fuse'

/** The kind that this Node can do best. */
export function bestChannelKind(): FuseChannelKind {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an internal module without types
    const { binding } = process as unknown as { binding?: (name: string) => { Pipe?: unknown } }
    return typeof binding?.call(process, 'pipe_wrap').Pipe === 'function' ? 'epoll' : 'readers'
  } catch {
    return 'readers'
  }
}

export function createFuseDevices(memory: AlignedMemory): FuseDevices {
  return {
    open(): number {
      try {
        return openSync(DEVICE, 'r+')
      } catch (error) {
        throw new CacheError('invalid', 'CACHE_FUSE_UNAVAILABLE', `cannot open ${DEVICE} errno=${errnoName(error)}`, {
          remedy: 'Run as root on a kernel with FUSE (modprobe fuse); in a container pass the device /dev/fuse in.',
          cause: error,
        })
      }
    },
    channel(fd: number, options: FuseChannelOptions): FuseChannel & { readonly counters: FuseChannelCounters } {
      const bytes = options.maxWriteBytes + READ_BUFFER_EXTRA_BYTES
      if (options.kind === 'epoll') return new EpollFuseChannel(fd, residentBuffer(memory, bytes), options)
      return new ReadersFuseChannel(
        fd,
        Array.from({ length: READERS }, () => residentBuffer(memory, bytes)),
      )
    },
    close(fd: number): void {
      closeSync(fd)
    },
  }
}

/**
 * Every page written, so that it is there. A process that is killed while the kernel copies a request to it cannot get
 * a missing page any more, and the kernel then ends that request with EIO instead of keeping it for the successor
 * (fuse_dev_do_read in fs/fuse/dev.c); with the pages there the copy goes through.
 */
function residentBuffer(memory: AlignedMemory, bytes: number): Buffer {
  return memory.allocate(bytes).fill(0)
}
