// A client of an NBD export in the test itself: one request at a time, and it knows exactly what was acknowledged.
import { connect, type Socket } from 'node:net'
import { CLIENT_FLAGS, go, READ, request, WRITE } from '../../unit/csi-driver/frontend/nbd/nbd-frames.ts'

const GREETING_BYTES = 18
const OPTION_REPLY_BYTES = 20
const REPLY_BYTES = 16
const ACK = 1

export class NbdClient {
  private readonly socket: Socket
  private received = Buffer.alloc(0)
  private wake: () => void = () => {}
  private ended = false

  private constructor(path: string) {
    this.socket = connect(path)
    this.socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes])
      this.wake()
    })
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.ended = true
      this.wake()
    })
  }

  /** Rejects when there is nobody, or the connection ends before the export is chosen. */
  static async open(path: string): Promise<NbdClient> {
    const client = new NbdClient(path)
    await client.take(GREETING_BYTES)
    client.socket.write(Buffer.concat([CLIENT_FLAGS, go('')]))
    for (let type = 0; type !== ACK; ) {
      const header = await client.take(OPTION_REPLY_BYTES)
      type = header.readUInt32BE(12)
      await client.take(header.readUInt32BE(16))
    }
    return client
  }

  /** Resolves when the write is acknowledged. Rejects for an error, and when the connection ends before. */
  async write(offset: number, data: Buffer): Promise<void> {
    this.socket.write(request({ command: WRITE, offset: BigInt(offset), payload: data }))
    const reply = await this.take(REPLY_BYTES)
    if (reply.readUInt32BE(4) !== 0) throw new Error(`error ${reply.readUInt32BE(4)}`)
  }

  /** Asks for 1 MiB so many times, and takes none of it. */
  askWithoutReading(count: number): void {
    this.socket.pause()
    const frame = request({ command: READ, length: 1 << 20 })
    this.socket.write(Buffer.concat(Array.from({ length: count }, () => frame)))
  }

  close(): void {
    this.socket.destroy()
  }

  private async take(length: number): Promise<Buffer> {
    while (this.received.length < length) {
      if (this.ended) throw new Error('the connection has ended')
      // oxlint-disable-next-line eslint/no-await-in-loop -- until enough has come
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
    const taken = this.received.subarray(0, length)
    this.received = this.received.subarray(length)
    return taken
  }
}
