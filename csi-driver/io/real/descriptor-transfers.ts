// Reads, writes and flushes of one open descriptor through libuv's thread pool. A transfer that ends short is
// continued; one that moves nothing is EIO, never success. Transfers are pooled objects with a callback bound once.
// No more of them are with the kernel at once than thread-pool.ts allows; the others wait in the order they came in.
// A descriptor is closed only after its last transfer has ended: its number would be reused under a running write.
import { close, fdatasync, read, write } from 'node:fs'

import { assert } from '../../../base/assert.ts'
import { IoError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import type { IoDone } from '../storage.ts'
import { toIoError } from './errno.ts'
import { BACKING_THREADS_MAX } from './thread-pool.ts'

const NO_BUFFER = Buffer.alloc(0)
const NO_DONE: IoDone = () => {}

class Transfer {
  writing = false
  buffer: Buffer = NO_BUFFER
  start = 0
  length: Bytes = 0
  position: Bytes = 0
  done: IoDone = NO_DONE
  /** The one that waits behind this one. */
  next: Transfer | null = null
  readonly onMoved: (error: unknown, moved: number) => void

  constructor(onMoved: (transfer: Transfer, error: unknown, moved: number) => void) {
    this.onMoved = (error, moved) => onMoved(this, error, moved)
  }
}

export class DescriptorTransfers {
  readonly fd: number
  private readonly name: string
  /** As many as were ever in flight at once, which the callers bound. */
  private readonly free: Transfer[] = []
  private readonly threadsMax: number
  private threads = 0
  private firstWaiting: Transfer | null = null
  private lastWaiting: Transfer | null = null
  private inFlight = 0
  private closing: IoDone | null = null

  /** Takes the descriptor over. `name` is for messages. */
  constructor(fd: number, name: string, threadsMax = BACKING_THREADS_MAX) {
    this.fd = fd
    this.name = name
    this.threadsMax = threadsMax
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const transfer = this.take(buffer, start, length)
    transfer.writing = false
    transfer.position = position
    transfer.done = done
    this.begin(transfer)
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  write(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const transfer = this.take(buffer, start, length)
    transfer.writing = true
    transfer.position = position
    transfer.done = done
    this.begin(transfer)
  }

  flush(done: IoDone): void {
    this.hold()
    fdatasync(this.fd, (error) => {
      this.release()
      done(error === null ? null : toIoError(error, `flush failed path=${this.name}`))
    })
  }

  close(done: IoDone): void {
    assert(this.closing === null, `closed twice path=${this.name}`)
    this.closing = done
    this.closeIfIdle()
  }

  /** Counts a use of the descriptor by somebody else (a child process that got it); `release` ends it. */
  hold(): void {
    assert(this.closing === null, `used after close path=${this.name}`)
    this.inFlight++
  }

  release(): void {
    this.inFlight--
    this.closeIfIdle()
  }

  private take(buffer: Buffer, start: number, length: Bytes): Transfer {
    this.hold()
    const transfer = this.free.pop() ?? new Transfer((one, error, moved) => this.onMoved(one, error, moved))
    transfer.buffer = buffer
    transfer.start = start
    transfer.length = length
    return transfer
  }

  private begin(transfer: Transfer): void {
    if (this.threads < this.threadsMax) {
      this.threads++
      this.move(transfer)
      return
    }
    if (this.lastWaiting === null) this.firstWaiting = transfer
    else this.lastWaiting.next = transfer
    this.lastWaiting = transfer
  }

  private beginNext(): void {
    this.threads--
    const next = this.firstWaiting
    if (next === null) return
    this.firstWaiting = next.next
    if (this.firstWaiting === null) this.lastWaiting = null
    next.next = null
    this.begin(next)
  }

  private move(transfer: Transfer): void {
    const { buffer, start, length, position, onMoved } = transfer
    if (transfer.writing) write(this.fd, buffer, start, length, position, onMoved)
    else read(this.fd, buffer, start, length, position, onMoved)
  }

  private onMoved(transfer: Transfer, error: unknown, moved: number): void {
    if (error === null && moved > 0 && moved < transfer.length) {
      transfer.start += moved
      transfer.length -= moved
      transfer.position += moved
      this.move(transfer)
      return
    }
    const { done, writing, position, length } = transfer
    let failure: IoError | null = null
    if (error !== null || moved !== length) {
      const what = `${writing ? 'write' : 'read'} failed path=${this.name} position=${position} length=${length}`
      failure = error === null ? new IoError('EIO', `${what} moved=${moved}`) : toIoError(error, what)
    }
    transfer.buffer = NO_BUFFER
    transfer.done = NO_DONE
    this.free.push(transfer)
    this.beginNext()
    this.release()
    done(failure)
  }

  private closeIfIdle(): void {
    if (this.closing === null || this.inFlight > 0) return
    const done = this.closing
    close(this.fd, (error) => done(error === null ? null : toIoError(error, `close failed path=${this.name}`)))
  }
}
