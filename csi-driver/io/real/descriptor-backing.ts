// BackingStorage over an open descriptor; block-device.ts and image-file.ts open it and say what differs.
// Durability: a write is durable after the next flush (fdatasync: for a block device it flushes the device's own cache,
// for a file also the metadata that is needed to read the data back).
import { IoError } from '../../../base/errors.ts'
import { roundDown } from '../../../base/units.ts'
import type { Bytes } from '../../../base/units.ts'
import type { Processes } from '../process.ts'
import type { BackingStorage, ByteRange, IoDone } from '../storage.ts'
import { DescriptorTransfers } from './descriptor-transfers.ts'
import { toIoError } from './errno.ts'
import { zeroRanges } from './zero-ranges.ts'

/** Children that zero ranges at once. What comes meanwhile waits, and the next child takes all of it together. */
export const ZERO_CHILDREN_MAX = 4

interface ZeroCall {
  readonly ranges: readonly ByteRange[]
  readonly done: IoDone
}

export interface DescriptorBackingParts {
  /** Taken over: closed by `close`. */
  readonly fd: number
  readonly name: string
  readonly sizeBytes: Bytes
  readonly alignmentBytes: Bytes
  readonly canZero: boolean
  readonly processes: Processes
  /** Looks at the present size. */
  readonly readSize: () => Promise<Bytes>
}

export class DescriptorBacking implements BackingStorage {
  readonly name: string
  readonly alignmentBytes: Bytes
  readonly canZero: boolean
  /** For start-up probes of this folder. */
  readonly fd: number
  private readonly transfers: DescriptorTransfers
  private readonly processes: Processes
  private readonly readSize: () => Promise<Bytes>
  private size: Bytes
  private zeroChildren = 0
  private zerosWaiting: ZeroCall[] = []

  constructor(parts: DescriptorBackingParts) {
    this.name = parts.name
    this.fd = parts.fd
    this.alignmentBytes = parts.alignmentBytes
    this.canZero = parts.canZero
    this.processes = parts.processes
    this.readSize = parts.readSize
    this.size = roundDown(parts.sizeBytes, parts.alignmentBytes)
    this.transfers = new DescriptorTransfers(parts.fd, parts.name)
  }

  get sizeBytes(): Bytes {
    return this.size
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    if (position + length > this.size) done(this.beyondEnd('read', position, length))
    else this.transfers.read(buffer, start, length, position, done)
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  write(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    // Checked here because a write behind the end of a file would grow it.
    if (position + length > this.size) done(this.beyondEnd('write', position, length))
    else this.transfers.write(buffer, start, length, position, done)
  }

  zero(ranges: readonly ByteRange[], done: IoDone): void {
    const outside = ranges.find(({ position, length }) => position + length > this.size)
    if (outside !== undefined) {
      done(this.beyondEnd('zero', outside.position, outside.length))
      return
    }
    this.transfers.hold()
    this.zerosWaiting.push({ ranges, done })
    if (this.zeroChildren < ZERO_CHILDREN_MAX) void this.zeroWaiting()
  }

  private async zeroWaiting(): Promise<void> {
    this.zeroChildren++
    while (this.zerosWaiting.length > 0) {
      const calls = this.zerosWaiting
      this.zerosWaiting = []
      // oxlint-disable-next-line eslint/no-await-in-loop -- what waits meanwhile goes together
      await this.zeroTogether(calls)
    }
    this.zeroChildren--
  }

  private async zeroTogether(calls: readonly ZeroCall[]): Promise<void> {
    const together = await zeroRanges(
      this.processes,
      this,
      calls.flatMap(({ ranges }) => ranges),
    )
    for (const { ranges, done } of calls) {
      // Who asked for the range that failed shows when each is tried by itself; to zero twice does no harm.
      const isShared = together !== null && calls.length > 1
      // oxlint-disable-next-line eslint/no-await-in-loop -- one child at a time
      const error = isShared ? await zeroRanges(this.processes, this, ranges) : together
      this.transfers.release()
      done(error)
    }
  }

  flush(done: IoDone): void {
    this.transfers.flush(done)
  }

  refreshSize(done: IoDone): void {
    this.readSize().then(
      (sizeBytes) => {
        this.size = roundDown(sizeBytes, this.alignmentBytes)
        done(null)
      },
      (error: unknown) => done(toIoError(error, `size could not be read path=${this.name}`)),
    )
  }

  close(done: IoDone): void {
    this.transfers.close(done)
  }

  private beyondEnd(what: string, position: Bytes, length: Bytes): IoError {
    return new IoError('EINVAL', `${what} beyond the end path=${this.name} position=${position} length=${length}`)
  }
}
