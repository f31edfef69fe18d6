// A front end over sockets in memory and a disk in memory that answers at once, or when the test says so.
import type { Timers } from '../../../../../base/clock.ts'
import type { Request } from '../../../../../csi-driver/engine/request.ts'
import { NbdFrontend } from '../../../../../csi-driver/frontend/nbd/nbd-frontend.ts'
import { FakeSockets, type FakeSocket } from './fake-sockets.ts'
import { CLIENT_FLAGS, go, setMeta, structured } from './nbd-frames.ts'

const READ = 1
const WRITE = 2
const ZERO = 3

export class World {
  readonly sockets = new FakeSockets()
  readonly frontend: NbdFrontend
  readonly disk: Buffer
  /** Requests that wait for `complete`, when the disk does not answer at once. */
  readonly submitted: Request[] = []
  readonly timeouts: (() => void)[] = []
  /** One entry for each request that the engine has seen. */
  readonly seen: { kind: number; offset: number; length: number; mayUnmap: boolean; forceUnitAccess: boolean }[] = []
  answersAtOnce = true
  kicks = 0
  readonly sink: { sizeBytes: number; canZero: boolean; submit(request: Request): void; kick(): void }

  constructor({ sizeBytes = 8 << 20, sectorBytes = 512 }: { sizeBytes?: number; sectorBytes?: number } = {}) {
    this.disk = Buffer.alloc(sizeBytes)
    this.sink = {
      sizeBytes,
      canZero: true,
      submit: (request) => this.submit(request),
      kick: () => {
        this.kicks++
      },
    }
    const timers: Timers = {
      after: (_delayMs, callback) => {
        this.timeouts.push(callback)
        return {
          cancel: () => {
            const at = this.timeouts.indexOf(callback)
            if (at >= 0) this.timeouts.splice(at, 1)
          },
        }
      },
      soon: (callback) => this.sockets.afterInput(callback),
    }
    this.frontend = new NbdFrontend({
      sockets: this.sockets,
      sink: this.sink,
      memory: { allocate: (length) => Buffer.alloc(length) },
      timers,
      exportName: 'db1',
      sectorBytes,
    })
    this.frontend.listen('/s', () => {})
  }

  /** A client that has chosen the export; everything said so far is read. */
  client(how: { structured?: boolean; allocation?: boolean } = {}): FakeSocket {
    const socket = this.sockets.connect()
    socket.feed(CLIENT_FLAGS)
    if (how.structured === true) socket.feed(structured())
    if (how.allocation === true) socket.feed(setMeta('db1', 'base:allocation'))
    socket.feed(go('db1'))
    socket.taken()
    return socket
  }

  /** Ends the oldest request that waits, or the one given. */
  complete(result: 0 | 5 | 28 = 0, request = this.submitted[0]): void {
    if (request === undefined) throw new Error('no request waits')
    this.submitted.splice(this.submitted.indexOf(request), 1)
    this.answer(request, result)
  }

  completeAll(): void {
    while (this.submitted.length > 0) this.complete()
  }

  settle(): void {
    this.sockets.settle()
  }

  private submit(request: Request): void {
    const { kind, offset, length, mayUnmap, forceUnitAccess } = request
    this.seen.push({ kind, offset, length, mayUnmap, forceUnitAccess })
    if (kind === WRITE) request.data.copy(this.disk, offset, request.dataStart, request.dataStart + length)
    if (kind === ZERO) this.disk.fill(0, offset, offset + length)
    if (this.answersAtOnce) this.answer(request, 0)
    else this.submitted.push(request)
  }

  private answer(request: Request, result: 0 | 5 | 28): void {
    const { kind, offset, length, data, dataStart } = request
    if (kind === READ && result === 0) {
      const spareBytes = data.length - dataStart - Math.ceil(length / 4096) * 4096
      if (dataStart % 4096 !== 0 || spareBytes < 4096) throw new Error('a read buffer is not as the engine needs it')
      this.disk.copy(data, dataStart, offset, offset + length)
      data.fill(0xdd, dataStart + length)
    }
    request.complete(result)
  }
}
