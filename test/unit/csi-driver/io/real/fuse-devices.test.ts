// Proves that the buffers into which the kernel copies requests are written before the first request: a page that is
// missing while the process is killed costs the application an I/O error.
import { createFuseDevices } from '../../../../../csi-driver/io/real/fuse-devices.ts'

test.each(['epoll', 'readers'] as const)(
  'every page of the buffers of a %s channel is there from the start',
  (kind) => {
    const made: Buffer[] = []
    const memory = {
      allocate: (length: number): Buffer => {
        const buffer = Buffer.alloc(length, 0xaa)
        made.push(buffer)
        return buffer
      },
    }
    createFuseDevices(memory).channel(-1, { kind, maxWriteBytes: 65_536, busyPollMicros: 0 })
    expect(made.length).toBeGreaterThan(0)
    for (const buffer of made) expect(buffer.equals(Buffer.alloc(buffer.length))).toBe(true)
  },
)
