// What both FUSE channels share: how a reply is written, and what an errno of /dev/fuse means.
import { writeSync } from 'node:fs'
import { CacheError } from '../../../base/errors.ts'
import type { FuseChannelEnd, ReplyOutcome } from '../fuse-channel.ts'
import { REPLY_CLOSED, REPLY_GONE, REPLY_SENT } from '../fuse-channel.ts'
import { errnoName } from './errno.ts'

/** Room for the headers of a request beside its payload; the kernel refuses reads into a smaller buffer. */
export const READ_BUFFER_EXTRA_BYTES = 4096
/** A reply that meets a signal or a moment without memory is tried again so often. */
const REPLY_ATTEMPTS_MAX = 1000

/** Writes one message to the kernel. Throws what it cannot explain: a reply that the kernel finds malformed. */
export function writeReply(fd: number, buffer: Buffer, start: number, length: number): ReplyOutcome {
  for (let attempt = 1; ; attempt++) {
    try {
      writeSync(fd, buffer, start, length)
      return REPLY_SENT
    } catch (error) {
      const code = errnoName(error)
      if (code === 'ENOENT') return REPLY_GONE
      if (code === 'ENODEV' || code === 'ECONNABORTED' || code === 'EBADF' || code === 'EPERM') return REPLY_CLOSED
      const passing = code === 'EINTR' || code === 'ENOMEM' || code === 'EAGAIN'
      if (!passing || attempt === REPLY_ATTEMPTS_MAX) throw error
    }
  }
}

/** Why reading ended. `null` stands for an end of file, which the kernel does not send. */
export function channelEndOf(error: unknown): FuseChannelEnd {
  const code = error === null ? 'EOF' : errnoName(error)
  if (code === 'ENODEV') return { reason: 'unmounted' }
  if (code === 'ECONNABORTED') return { reason: 'aborted' }
  const message = `reading requests from the kernel failed errno=${code}`
  return { reason: 'failed', error: new CacheError('retry', 'CACHE_FUSE_READ_FAILED', message, { cause: error }) }
}
