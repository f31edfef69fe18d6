// Proves: who paused the channel hears of an empty queue after it has resumed, also if no further request ever comes. A
// FIFO stands for /dev/fuse.
import { execFileSync } from 'node:child_process'
import { constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EpollFuseChannel } from '../../../../../csi-driver/io/real/epoll-fuse-channel.ts'

test('an empty queue is told after a pause that hid it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'forebay-channel-'))
  let channel: EpollFuseChannel | null = null
  try {
    const path = join(folder, 'fifo')
    execFileSync('/bin/sh', ['-c', 'mkfifo "$1"', 'sh', path])
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    channel = new EpollFuseChannel(fd, Buffer.alloc(8192), { kind: 'epoll', maxWriteBytes: 4096, busyPollMicros: 0 })
    const seen: string[] = []
    writeSync(fd, Buffer.alloc(40))
    channel.start({
      onRequest: () => {
        seen.push('request')
        channel?.pause()
      },
      onQueueEmpty: () => seen.push('empty'),
      onDrained: () => true,
      onClosed: () => seen.push('closed'),
    })
    await new Promise<void>((resolve) => void setImmediate(resolve))
    expect(seen).toEqual(['request'])
    channel.resume()
    await new Promise<void>((resolve) => void setTimeout(resolve, 20))
    expect(seen).toEqual(['request', 'empty'])
  } finally {
    channel?.close()
    rmSync(folder, { recursive: true })
  }
})
