// How much each volume may have received and not yet written: an even share of the whole among the volumes that have
// any, and never more than one volume's limit. Who is above its share is not read until it is down to half of it, so
// that a volume that sends faster than the store writes is slowed down by its own stream and takes nothing from others.
// A share may be overrun by what was on its way when the reading stopped: a body begun and one chunk of the stream.
import { assert } from '../../../base/assert.ts'
import type { Bytes } from '../../../base/units.ts'

export interface ShareAccount {
  /** Received and not yet durable. */
  bytes: Bytes
  /** Above its share since it last was below half of it. */
  isFull: boolean
}

export class ByteShares {
  bytes: Bytes = 0
  private readonly bytesMax: Bytes
  private readonly accountBytesMax: Bytes
  /** Accounts that have bytes. */
  private active = 0

  constructor({ bytesMax, accountBytesMax }: { bytesMax: Bytes; accountBytesMax: Bytes }) {
    this.bytesMax = bytesMax
    this.accountBytesMax = accountBytesMax
  }

  open(): ShareAccount {
    return { bytes: 0, isFull: false }
  }

  /** What one volume may have now. */
  get shareBytes(): Bytes {
    return Math.min(this.accountBytesMax, this.bytesMax / Math.max(1, this.active))
  }

  /** `bytes` have arrived. */
  take(account: ShareAccount, bytes: Bytes): void {
    if (account.bytes === 0) this.active += 1
    account.bytes += bytes
    this.bytes += bytes
    if (account.bytes > this.shareBytes) account.isFull = true
  }

  /** `bytes` are durable, or were dropped. A full account becomes free only here: it has bytes that will come back. */
  give(account: ShareAccount, bytes: Bytes): void {
    assert(bytes > 0 && bytes <= account.bytes, `bytes were taken bytes=${bytes} account=${account.bytes}`)
    account.bytes -= bytes
    this.bytes -= bytes
    if (account.bytes === 0) this.active -= 1
    if (account.bytes <= this.shareBytes / 2) account.isFull = false
  }
}
