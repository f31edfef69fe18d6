// What the crash replay works on: a workload recorded at the cache device, write by write, and what each sector of the
// volume must hold after each batch. A recorded write keeps its bytes, so that any crash image can be built: everything
// before it whole, of itself any subset of its sectors.
import type { IoError } from '../../base/errors.ts'
import { createPrng, type Prng } from '../../base/prng.ts'
import { SECTOR_BYTES, SECTORS_PER_BLOCK } from '../../base/units.ts'
import { BatchBuilder } from '../../csi-driver/batch/batch-builder.ts'
import { frameBytesMaxFor } from '../../csi-driver/batch/batch-format.ts'
import type { CacheTables } from '../../csi-driver/engine/cache-layout.ts'
import { RecoveredRequests } from '../../csi-driver/engine/recovered-requests.ts'
import { type Replayed, replay } from '../../csi-driver/engine/replay.ts'
import type { AlignedMemory, IoDone, Storage } from '../../csi-driver/io/storage.ts'
import { formatJournal, type Journal, openJournal, probeCache } from '../../csi-driver/journal/journal.ts'

export const VOLUME_SECTORS = 1024
const PAYLOAD_BYTES_MAX = 32 * 1024
const FRAME_BYTES_MAX = frameBytesMaxFor(PAYLOAD_BYTES_MAX)
const LOG_START = 32 * 1024
const LOG_BYTES = 8 * FRAME_BYTES_MAX
const CACHE_BYTES = LOG_START + LOG_BYTES
const LOG_UUID = `${'1'.padStart(16, '0')}${'a'.repeat(16)}`
const CHECKPOINT_EVERY_BATCHES = 5

export const heap: AlignedMemory = { allocate: (length) => Buffer.alloc(length) }

/** The memory of one recovery after the other: most of the time of thousands of them would go into getting it anew. */
class ReusedMemory implements AlignedMemory {
  private readonly buffers: Buffer[] = []
  private taken = 0

  /** Nothing of the last recovery is used any more. */
  reset(): void {
    this.taken = 0
  }

  /** With what was there before, as memory has it; each recovery asks for the same. */
  allocate(length: number): Buffer {
    const index = this.taken++
    const found = this.buffers[index]
    if (found !== undefined && found.length === length) return found
    const buffer = Buffer.alloc(length)
    this.buffers[index] = buffer
    return buffer
  }
}

const recovering = new ReusedMemory()

/** One write of the cache device. */
export interface RecordedWrite {
  readonly position: number
  readonly data: Buffer
  /** What the volume holds when every earlier write is complete, and when this one is too. */
  before: Moment
  after: Moment
}

/** The volume at one moment: the id in each sector (0 = zeros), and what of it the backing has. */
export interface Moment {
  readonly volume: Uint32Array
  readonly backing: Uint32Array
}

class RecordingStorage implements Storage {
  readonly name = 'cache'
  readonly sizeBytes = CACHE_BYTES
  readonly alignmentBytes = 512
  readonly image: Buffer
  onWrite: (position: number, data: Buffer) => void = () => undefined

  constructor(image: Buffer) {
    this.image = image
  }

  read(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.image.copy(buffer, start, position, position + length)
    done(null)
  }

  write(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    const data = Buffer.from(buffer.subarray(start, start + length))
    this.onWrite(position, data)
    data.copy(this.image, position)
    done(null)
  }

  flush(done: IoDone): void {
    done(null)
  }

  close(done: IoDone): void {
    done(null)
  }
}

export class Recording {
  readonly writes: RecordedWrite[] = []
  operations = 0
  /** The device before the first recorded write. */
  start: Buffer = Buffer.alloc(0)
  private readonly storage = new RecordingStorage(Buffer.alloc(CACHE_BYTES))
  private readonly prng: Prng
  private readonly builder = new BatchBuilder(heap, { recordsMax: 16, payloadBytesMax: PAYLOAD_BYTES_MAX })
  private now: Moment = { volume: new Uint32Array(VOLUME_SECTORS), backing: new Uint32Array(VOLUME_SECTORS) }
  private next: Moment = this.now

  constructor(seed: string) {
    this.prng = createPrng(seed)
  }

  /** Runs the workload: batches of writes and zeroes, a destage and a checkpoint now and then. */
  async record(operations: number): Promise<void> {
    const journal = await this.open()
    this.start = Buffer.from(this.storage.image)
    this.storage.onWrite = (position, data) => {
      this.writes.push({ position, data, before: this.now, after: this.next })
    }
    let batches = 0
    while (this.operations < operations) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one log write in flight, as in the engine
      await this.appendBatch(journal)
      batches += 1
      // oxlint-disable-next-line eslint/no-await-in-loop -- the checkpoint follows its batches
      if (batches % CHECKPOINT_EVERY_BATCHES === 0) await this.destage(journal)
    }
  }

  private async open(): Promise<Journal> {
    const superblock = await formatJournal({
      storage: this.storage,
      memory: heap,
      superblock: {
        volumeUuid: '1'.repeat(32),
        storeUuid: '2'.repeat(32),
        volumeName: 'replayed',
        registerNonce: 'nonce',
        geometry: { logStart: LOG_START, logBytes: LOG_BYTES, cacheBytes: CACHE_BYTES, frameBytesMax: FRAME_BYTES_MAX },
        sectorBytes: 512,
        resource: 'flash',
        backing: { kind: 'file', id: 'file', sizeBytes: VOLUME_SECTORS * SECTOR_BYTES },
        logUuid: LOG_UUID,
        wallMs: 1,
      },
    })
    const journal = await openJournal({ storage: this.storage, memory: heap, superblock, onBatch: () => undefined })
    await settled((done) => journal.updateSuperblock({ epoch: 1, run: 1 }, done))
    journal.setOwnership({ epoch: 1, run: 1, logUuid: LOG_UUID })
    return journal
  }

  private async appendBatch(journal: Journal): Promise<void> {
    this.builder.reset()
    const volume = this.now.volume.slice()
    for (let i = this.prng.below(4); i >= 0; i -= 1) this.addRecord(volume)
    this.next = { volume, backing: this.now.backing }
    await settled((done) => journal.append(this.builder, { ackedSeq: journal.lastSeq, session: 7n, wallMs: 1 }, done))
    this.now = this.next
  }

  private addRecord(volume: Uint32Array): void {
    const sectors = this.prng.pick([1, 1, 3, 8, 8, 8, 16, 64])
    const length = sectors * SECTOR_BYTES
    const sector = this.prng.chance(0.5) ? this.prng.below(64) : this.prng.below(VOLUME_SECTORS - sectors)
    const isZero = this.prng.chance(0.15)
    if (!this.builder.hasRoom(isZero ? 0 : length)) return
    this.operations += 1
    const id = this.operations
    if (isZero) this.builder.addZero({ sector, sectors, mayUnmap: true, uniqueLow: id, uniqueHigh: 0 })
    else {
      const buffer = Buffer.alloc(length)
      for (let i = 0; i < sectors; i += 1) fillSector(buffer, i * SECTOR_BYTES, id, sector + i)
      this.builder.addWrite({ sector, buffer, start: 0, length, uniqueLow: id, uniqueHigh: 0 })
    }
    volume.fill(isZero ? 0 : id, sector, sector + sectors)
  }

  private async destage(journal: Journal): Promise<void> {
    this.now = { volume: this.now.volume, backing: this.now.volume }
    this.next = this.now
    await settled((done) => journal.checkpoint(journal.lastCompleteBatchSeq, {}, done))
  }
}

function fillSector(buffer: Buffer, start: number, id: number, sector: number): void {
  for (let at = 0; at < SECTOR_BYTES; at += 8) {
    buffer.writeUInt32LE(id, start + at)
    buffer.writeUInt32LE(sector, start + at + 4)
  }
}

/** Recovers from `image`; `backing` is what the slow device holds. Returns the ids that readers of the volume get. */
export async function recover(image: Buffer, backing: Uint32Array): Promise<Uint32Array> {
  const storage = new RecordingStorage(image)
  recovering.reset()
  const probe = await probeCache(storage, recovering)
  if (probe.kind !== 'forebay') throw new Error(`the cache is ${probe.kind} after a crash`)
  const recovered = new RecoveredRequests(7n)
  const options = {
    storage,
    memory: recovering,
    superblock: probe.superblock,
    ackedSeqKnown: 0,
    acceptDataLoss: false,
    recovered,
  }
  const { tables }: Replayed = await replay(options)
  return readVolume(tables, image, backing)
}

function readVolume({ index, zeros }: CacheTables, image: Buffer, backing: Uint32Array): Uint32Array {
  const volume = backing.slice()
  for (let sector = 0; sector < VOLUME_SECTORS; sector += 1) if (zeros.covers(sector)) volume[sector] = 0
  for (let block = 0; block < VOLUME_SECTORS / SECTORS_PER_BLOCK; block += 1) {
    const fragments = index.find(block)
    for (let i = 0; i < fragments; i += 1) {
      for (let s = 0; s < SECTORS_PER_BLOCK; s += 1) {
        if (((index.fragmentValid[i] as number) & (1 << s)) === 0) continue
        const at = ((index.fragmentBase[i] as number) + s) * SECTOR_BYTES
        const sector = block * SECTORS_PER_BLOCK + s
        volume[sector] = image.readUInt32LE(at + 4) === sector ? image.readUInt32LE(at) : 0xffffffff
      }
    }
  }
  return volume
}

function settled(call: (done: IoDone) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error: IoError | null) => {
      if (error === null) resolve()
      else reject(error)
    })
  })
}
