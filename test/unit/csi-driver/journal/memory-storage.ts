// A cache storage in memory for the journal's tests. A write is held until `complete` (or completes at once), and a
// crash lets any chosen subset of the 512-byte sectors of the held write reach the medium: what O_DIRECT|O_DSYNC allows.
import { IoError } from '../../../../base/errors.ts'
import type { AlignedMemory, IoDone, Storage } from '../../../../csi-driver/io/storage.ts'

const SECTOR = 512

export const heapMemory: AlignedMemory = { allocate: (length) => Buffer.alloc(length) }

interface HeldWrite {
  readonly data: Buffer
  readonly position: number
  readonly done: IoDone
}

export class MemoryStorage implements Storage {
  readonly name = 'memory'
  readonly alignmentBytes = 4096
  readonly bytes: Buffer
  /** True: writes wait for complete(). */
  holdWrites = false
  /** The next write fails with EIO and leaves nothing. */
  failNextWrite = false
  failReads = false
  /** True: reads wait for completeReads(). */
  holdReads = false
  readBytes = 0
  writes: { position: number; length: number }[] = []
  private held: HeldWrite[] = []
  private heldReads: (() => void)[] = []

  constructor(bytes: Buffer | number) {
    this.bytes = typeof bytes === 'number' ? Buffer.alloc(bytes) : bytes
  }

  get sizeBytes(): number {
    return this.bytes.length
  }

  get heldWrites(): number {
    return this.held.length
  }

  read(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.check(buffer, start, length, position)
    this.readBytes += length
    if (this.failReads) return done(new IoError('EIO', 'read failed'))
    const finish = (): void => {
      this.bytes.copy(buffer, start, position, position + length)
      done(null)
    }
    if (this.holdReads) this.heldReads.push(finish)
    else finish()
  }

  write(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.check(buffer, start, length, position)
    if (this.failNextWrite) {
      this.failNextWrite = false
      return done(new IoError('EIO', 'write failed'))
    }
    this.writes.push({ position, length })
    this.held.push({ data: Buffer.from(buffer.subarray(start, start + length)), position, done })
    if (!this.holdWrites) this.complete()
  }

  flush(done: IoDone): void {
    done(null)
  }

  close(done: IoDone): void {
    done(null)
  }

  /** Completes one held write, the oldest where no other is named. */
  complete(index = 0): void {
    const [write] = this.held.splice(index, 1)
    if (write === undefined) throw new Error('no write is held')
    write.data.copy(this.bytes, write.position)
    write.done(null)
  }

  completeReads(): void {
    for (const finish of this.heldReads.splice(0)) finish()
  }

  /** Completes writes until none is held, also those that the callbacks start. */
  completeAll(): void {
    while (this.held.length > 0) this.complete()
  }

  /** Power is lost: sector i of each held write reaches the medium when `keeps` says so. Returns the medium. */
  crash(keeps: (sector: number, sectors: number) => boolean): MemoryStorage {
    for (const { data, position } of this.held) {
      const sectors = data.length / SECTOR
      for (let sector = 0; sector < sectors; sector++) {
        if (!keeps(sector, sectors)) continue
        data.copy(this.bytes, position + sector * SECTOR, sector * SECTOR, (sector + 1) * SECTOR)
      }
    }
    this.held = []
    return new MemoryStorage(this.bytes)
  }

  private check(buffer: Buffer, start: number, length: number, position: number): void {
    const aligned = length % SECTOR === 0 && position % 4096 === 0 && length % 4096 === 0
    const inside = start >= 0 && start + length <= buffer.length && position >= 0 && position + length <= this.sizeBytes
    if (!aligned || !inside) throw new Error(`illegal transfer position=${position} length=${length} start=${start}`)
  }
}
