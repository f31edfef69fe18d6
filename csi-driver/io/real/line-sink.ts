// Lines for a descriptor, stderr as a rule. Node's own process.stderr writes synchronously to pipes and files: a log
// collector that stops reading would stop the engine. Here lines are gathered and written through the thread pool, one
// write in flight; what does not fit into the buffer is refused and counted by the caller (base/log-winston.ts).
import { write, writeSync } from 'node:fs'

import type { LineSink } from '../../../base/log-winston.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import { errnoName } from './errno.ts'

/** Lines that wait to be written; some thousand. */
export const PENDING_BYTES_MAX: Bytes = 256 * 1024
const RETRY_MS: Ms = 50

export class DescriptorLineSink implements LineSink {
  private readonly fd: number
  private pending: Buffer[] = []
  private pendingBytes = 0
  private writing: Buffer | null = null
  /** Bytes of the write in flight as it began; part of pendingBytes. */
  private writingBytes = 0

  constructor(fd: number) {
    this.fd = fd
  }

  write(line: string): boolean {
    const bytes = Buffer.from(line)
    if (this.pendingBytes + bytes.length > PENDING_BYTES_MAX) return false
    this.pending.push(bytes)
    this.pendingBytes += bytes.length
    if (this.writing === null) this.writeNext()
    return true
  }

  /** Last words before the process ends: writes what is pending and waits for it. The write in flight may repeat. */
  flushSync(): void {
    const rest = Buffer.concat([...(this.writing === null ? [] : [this.writing]), ...this.pending])
    this.pending = []
    this.pendingBytes = this.writingBytes
    try {
      if (rest.length > 0) writeSync(this.fd, rest)
    } catch {
      // Nobody reads any more.
    }
  }

  private writeNext(): void {
    if (this.pending.length === 0) {
      this.writing = null
      return
    }
    this.writing = Buffer.concat(this.pending)
    this.pending = []
    this.writingBytes = this.writing.length
    this.push()
  }

  private push(): void {
    const bytes = this.writing
    if (bytes === null) return
    write(this.fd, bytes, 0, bytes.length, null, (error, written) => {
      if (error === null && written < bytes.length) {
        this.writing = bytes.subarray(written)
        this.push()
      } else if (error !== null && errnoName(error) === 'EAGAIN') {
        // Somebody made the pipe non-blocking (it is shared with other processes) and it is full.
        setTimeout(() => this.push(), RETRY_MS).unref()
      } else {
        this.pendingBytes -= this.writingBytes
        this.writeNext()
      }
    })
  }
}
