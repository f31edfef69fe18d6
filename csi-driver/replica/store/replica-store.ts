// A replica store: the logs of up to 256 volumes on one storage, a file or partition on flash, or a file in memory.
// Front door of this folder. It owns the superblocks and the volume table; each StoredVolume owns its slot and its log.
// Format and recovery: docs/formats/replica-store.md.
//
// Invariants:
//  - Whatever was answered is durable, and found again by the next start; where it is not, the volume has no log and
//    says why. The one exception: damage of everything behind a batch that then looks like the log's end.
//  - A segment is written again only after its batches were trimmed, cut or discarded durably.
//  - Nothing is dropped to make room: a reservation that does not fit is refused.
//  - A volume that was lost or removed and is created anew has another incarnation: it is not the member that it was.
import type { Clock } from '../../../base/clock.ts'
import { CacheError, IoError } from '../../../base/errors.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Bytes } from '../../../base/units.ts'
import { BLOCK_BYTES, roundDown } from '../../../base/units.ts'
import type { AlignedMemory, Storage } from '../../io/storage.ts'
import type { RecoveredLog } from './log-recovery.ts'
import { type SegmentAccount, SegmentTable } from './segment-table.ts'
import type { StoreDone, StoreError } from './slot-queue.ts'
import { SlotWriter } from './slot-writer.ts'
import {
  type FoundSlot,
  formatStore,
  probeStore,
  refusedStorage,
  refuseForeign,
  writeSuperblock,
} from './store-disk.ts'
import { notLegal, storeClosed, tooManyVolumes } from './store-errors.ts'
import { geometryProblem, segmentBytesFor, segmentCount, STORE_VOLUMES_MAX } from './store-geometry.ts'
import { type ImageVolume, readStoreImage } from './store-image.ts'
import type { StoreResource, StoreSuperblock } from './store-superblock.ts'
import { orderEnded, type RandomFill, type StoreParts } from './store-parts.ts'
import { type FoundLogParts, StoredVolume } from './stored-volume.ts'
import { type SlotContent, slotProblem, type VolumeSlot } from './volume-slot.ts'

export interface StorePorts {
  /** Every completed write is durable (flash: O_DIRECT|O_DSYNC; memory: as durable as the resource). */
  readonly storage: Storage
  readonly memory: AlignedMemory
  readonly clock: Clock
  readonly random: RandomFill
  readonly log: EventLog
}

export interface StoreOptions extends StorePorts {
  readonly resource: StoreResource
  /** What the store may use of the storage. A store that exists grows to it, and never shrinks. */
  readonly sizeBytes: Bytes
  /** An empty storage, or a store without any valid superblock, becomes a new store. */
  readonly allowFormat: boolean
  /** Of a new store; smaller ones for tests. */
  readonly segmentBytes?: Bytes
  readonly slotCount?: number
}

export interface NewVolume {
  readonly volume: string
  /** 32 hexadecimal digits. */
  readonly volumeUuid: string
  /** 32 bytes. */
  readonly volumeKey: Buffer
  /** The node by whose certificate it comes; empty: not known. */
  readonly createdBy: string
}

/** What is known of one entry of the volume table. */
interface TableEntry {
  generation: number
  state: 'free' | 'volume' | 'unusable'
}

export class ReplicaStore {
  private readonly ports: StorePorts
  private readonly parts: StoreParts
  private readonly table: SegmentTable
  private readonly entries: TableEntry[] = []
  private readonly byUuid = new Map<string, StoredVolume>()
  /** Being created. */
  private readonly coming = new Set<string>()
  private superblock: StoreSuperblock
  /** Ends when every superblock write that was begun has ended; never rejects. */
  private superblockWrites: Promise<void> = Promise.resolve()

  /** Use ReplicaStore.open. */
  constructor(ports: StorePorts, superblock: StoreSuperblock) {
    const { storeUuid } = superblock
    this.ports = ports
    this.superblock = superblock
    this.table = new SegmentTable(segmentCount(superblock))
    const activity = { inFlight: 0, closing: false, onIdle: () => undefined }
    const registry = {
      beginIncarnation: (done: StoreDone) => this.beginIncarnation(done),
      removed: (volumeUuid: string, slot: SlotContent) => this.removed(volumeUuid, slot),
    }
    this.parts = { ...ports, geometry: superblock, storeUuid, table: this.table, activity, registry }
  }

  /**
   * Opens the store that is there, or makes one where that is allowed. Rejects with CacheError `invalid` (nothing was
   * changed) or IoError. A volume whose log cannot be followed to its end is there without a log.
   */
  static async open(options: StoreOptions): Promise<ReplicaStore> {
    const superblock = await openSuperblock(options)
    const { storage, memory, clock, random, log } = options
    const store = new ReplicaStore({ storage, memory, clock, random, log }, superblock)
    await store.load()
    const { capacityBytes, freeBytes, storeUuid, incarnation, resource } = store
    const volumes = store.byUuid.size
    log.event('replica.store.opened', { storeUuid, incarnation, resource, volumes, capacityBytes, freeBytes })
    return store
  }

  get storeUuid(): string {
    return this.superblock.storeUuid
  }
  /** What a volume gets that is created now. A volume that is there is a member under its own: StoredVolume.incarnation. */
  get incarnation(): number {
    return this.superblock.incarnation
  }
  get resource(): StoreResource {
    return this.superblock.resource
  }
  get capacityBytes(): Bytes {
    return this.table.count * this.superblock.segmentBytes
  }
  /** Neither used nor reserved. */
  get freeBytes(): Bytes {
    return this.table.uncommitted * this.superblock.segmentBytes
  }
  get segmentBytes(): Bytes {
    return this.superblock.segmentBytes
  }

  volumes(): StoredVolume[] {
    return [...this.byUuid.values()]
  }

  find(volumeUuid: string): StoredVolume | null {
    return this.byUuid.get(volumeUuid) ?? null
  }

  /** A new volume, without a log. */
  create(volume: NewVolume, done: (error: StoreError | null, volume: StoredVolume | null) => void): void {
    const { activity } = this.parts
    const { volumeUuid } = volume
    if (activity.closing) return done(storeClosed(), null)
    if (this.byUuid.has(volumeUuid) || this.coming.has(volumeUuid)) {
      return done(notLegal(`volume is there already volumeUuid=${volumeUuid}`), null)
    }
    const index = this.entries.findIndex((entry) => entry.state === 'free')
    const entry = this.entries[index]
    if (entry === undefined) return done(tooManyVolumes(this.superblock.slotCount), null)
    const slot = this.newSlot(volume, index, entry.generation + 1)
    const problem = slotProblem(slot)
    if (problem !== null) return done(notLegal(problem), null)
    // Until a next start, if this fails: nobody knows what is on the disk then.
    entry.state = 'unusable'
    activity.inFlight += 1
    this.coming.add(volumeUuid)
    this.slotWriter().write(slot, (error) => {
      this.coming.delete(volumeUuid)
      if (error === null) {
        this.add({ slot, worseCopy: 0, recovered: null })
        this.ports.log.event('replica.store.volume_created', { volume: volume.volume, volumeUuid })
      }
      done(error, this.find(volumeUuid))
      orderEnded(activity)
    })
  }

  /** Takes no more orders, waits for those in flight, and closes the storage. Rejects with its IoError. */
  async close(): Promise<void> {
    const { activity } = this.parts
    activity.closing = true
    await new Promise<void>((resolve) => {
      activity.onIdle = resolve
      if (activity.inFlight === 0) resolve()
    })
    await this.superblockWrites
    await new Promise<void>((resolve, reject) => {
      this.ports.storage.close((error) => (error === null ? resolve() : reject(error)))
    })
  }

  private async load(): Promise<void> {
    const { storage, memory } = this.ports
    const image = await readStoreImage({ storage, memory, superblock: this.superblock })
    this.entries.push(...image.slots.map(entryOf))
    // Logs that are whole claim their segments first, whatever a damaged one says is its own.
    const isLost = (volume: ImageVolume): boolean => volume.recovered?.lost != null
    for (const volume of image.volumes) if (!isLost(volume)) this.add(volume)
    for (const volume of image.volumes) if (isLost(volume)) this.add(volume)
    const nobody = this.table.open(this.superblock.slotCount)
    for (const segment of image.unreadable) if (this.table.isFree(segment)) this.table.claim(nobody, segment)
    await this.giveUpSlots(image.slots)
    for (const volume of this.byUuid.values()) await new Promise<void>((resolve) => volume.begin(() => resolve()))
  }

  private add({ slot, worseCopy, recovered }: ImageVolume): void {
    const account = this.table.open(slot.index)
    const log = recovered === null ? { live: null, lost: null } : this.claim(account, recovered)
    // Where a reservation does not fit (only after damage), what is used still counts.
    this.table.reserve(account, slot.log?.reservedSegments ?? 0)
    this.byUuid.set(slot.volumeUuid, new StoredVolume(this.parts, { slot, account, worseCopy, ...log }))
    this.entries[slot.index] = { generation: slot.generation, state: 'volume' }
    if (log.lost === null) return
    const { volume, volumeUuid } = slot
    this.ports.log.event('replica.store.log_lost', { volume, volumeUuid, reason: log.lost.reason }, 'error')
  }

  /** Gives the log its segments. One that another log has cannot hold anything of this one. */
  private claim(account: SegmentAccount, { live, lost }: RecoveredLog): FoundLogParts {
    const wanted = live === null ? lost.segments : live.index.segments.map((each) => each.segment)
    const segments = wanted.filter((segment) => this.table.isFree(segment))
    for (const segment of segments) this.table.claim(account, segment)
    if (live !== null && segments.length === wanted.length) return { live, lost: null }
    const { reason, batchSeq } = lost ?? { reason: 'a segment of the log belongs to another one', batchSeq: null }
    return { live: null, lost: { reason, batchSeq, segments } }
  }

  /** Nobody knows any more what these volumes had promised: none of them may come back as the member that it was. */
  private async giveUpSlots(slots: readonly FoundSlot[]): Promise<void> {
    const damaged = slots.filter(({ state }) => state === 'damaged')
    if (damaged.length === 0) return
    await new Promise<void>((resolve, reject) => {
      this.beginIncarnation((error) => (error === null ? resolve() : reject(error)))
    })
    for (const { index } of damaged) {
      const slot: SlotContent = { kind: 'lost', index, generation: 1, wallMs: this.ports.clock.wallMs() }
      await new Promise<void>((resolve, reject) => {
        this.slotWriter().write(slot, (error) => (error === null ? resolve() : reject(error)))
      })
      this.ports.log.event('replica.store.slot_lost', { index, incarnation: this.incarnation }, 'error')
    }
  }

  private newSlot(
    { volume, volumeUuid, volumeKey, createdBy }: NewVolume,
    index: number,
    generation: number,
  ): VolumeSlot {
    const numbers = { index, generation, wallMs: this.ports.clock.wallMs(), incarnation: this.incarnation }
    const key = Buffer.from(volumeKey)
    const identity = { volume, volumeUuid, volumeKey: key, createdBy }
    return { ...numbers, ...identity, kind: 'volume', promise: 0, epoch: 0, run: 0, log: null }
  }

  private slotWriter(): SlotWriter {
    const { storage, memory } = this.ports
    return new SlotWriter({ storage, memory, geometry: this.superblock, storeUuid: this.storeUuid })
  }

  private beginIncarnation(done: StoreDone): void {
    const { activity } = this.parts
    const { storage, memory } = this.ports
    activity.inFlight += 1
    const write = async (): Promise<StoreError | null> => {
      const { generation, incarnation } = this.superblock
      const next = { ...this.superblock, generation: generation + 1, incarnation: incarnation + 1 }
      try {
        await writeSuperblock(storage, memory, next)
        this.superblock = next
        return null
      } catch (error) {
        if (error instanceof IoError || error instanceof CacheError) return error
        throw error
      }
    }
    this.superblockWrites = this.superblockWrites.then(write).then((error) => {
      done(error)
      orderEnded(activity)
    })
  }

  private removed(volumeUuid: string, slot: SlotContent): void {
    this.byUuid.delete(volumeUuid)
    this.entries[slot.index] = { generation: slot.generation, state: 'free' }
    this.ports.log.event('replica.store.volume_removed', { volumeUuid })
  }
}

function entryOf({ content, state }: FoundSlot): TableEntry {
  if (content === null) return { generation: 0, state: state === 'unused' ? 'free' : 'unusable' }
  const { kind, generation } = content
  return { generation, state: kind === 'lost' ? 'unusable' : kind }
}

async function openSuperblock(options: StoreOptions): Promise<StoreSuperblock> {
  const { storage, memory, resource, sizeBytes } = options
  const probe = await probeStore(storage, memory)
  if (probe.kind === 'foreign') refuseForeign(storage.name)
  if (probe.kind !== 'store') return newStore(options, probe.kind)
  const { superblock } = probe
  if (superblock.resource !== resource) {
    const remedy = `Use --resource ${superblock.resource}, or another path.`
    throw refusedStorage(storage.name, `the store was made for ${superblock.resource}`, remedy)
  }
  if (superblock.capacityBytes > storage.sizeBytes) {
    const what = `the store is longer than its storage storeBytes=${superblock.capacityBytes} bytes=${storage.sizeBytes}`
    throw refusedStorage(storage.name, what, 'Bring the storage back to its size.')
  }
  const capacityBytes = roundDown(Math.min(sizeBytes, storage.sizeBytes), BLOCK_BYTES)
  if (capacityBytes <= superblock.capacityBytes) return superblock
  const grown = { ...superblock, generation: superblock.generation + 1, capacityBytes }
  await writeSuperblock(storage, memory, grown)
  return grown
}

async function newStore(options: StoreOptions, found: 'empty' | 'damaged'): Promise<StoreSuperblock> {
  const { storage, memory, clock, random, resource, sizeBytes, log } = options
  if (!options.allowFormat) {
    const what = found === 'empty' ? 'there is no replica store' : 'no superblock of the replica store is valid'
    throw refusedStorage(storage.name, what, 'Check the path, or make a new, empty store there with --format-store.')
  }
  const capacityBytes = roundDown(sizeBytes, BLOCK_BYTES)
  const segmentBytes = options.segmentBytes ?? segmentBytesFor(capacityBytes)
  const geometry = { capacityBytes, segmentBytes, slotCount: options.slotCount ?? STORE_VOLUMES_MAX }
  const problem = capacityBytes > storage.sizeBytes ? 'storage is smaller than that' : geometryProblem(geometry)
  if (problem !== null) {
    throw refusedStorage(storage.name, `no store can be made: ${problem} sizeBytes=${sizeBytes}`, 'Give another size.')
  }
  const drawn = Buffer.alloc(16)
  random.fill(drawn)
  const storeUuid = drawn.toString('hex')
  const madeWallMs = Math.max(0, Math.floor(clock.wallMs()))
  const superblock = { ...geometry, generation: 1, storeUuid, incarnation: 1, resource, madeWallMs }
  await formatStore(storage, memory, superblock)
  log.event('replica.store.made', { storeUuid, resource, capacityBytes, segmentBytes, found })
  return superblock
}
