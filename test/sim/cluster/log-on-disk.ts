// What one disk holds of the volume's log, read from its bytes alone and kept up to date with every write that lands:
// the batches that a recovery would find, and what they make of each sector. It follows the formats (docs/formats) and
// not the product's memory, so that it says what would be left if everything lost power now.
// Two kinds: the own cache of an engine (cache-on-disk.ts), and a peer's replica store (store-on-disk.ts).
import { BLOCK_BYTES, SECTOR_BYTES } from '../../../base/units.ts'
import { OP_ZERO } from '../../../csi-driver/batch/batch-format.ts'
import type { BatchView } from '../../../csi-driver/batch/batch-view.ts'
import { CONTENT_ZERO, readSector } from '../content.ts'
import type { DiskOperation, DiskWatcher, SimulatedDisk } from '../disk.ts'

/** No batch of the log touches the sector. */
export const NOT_IN_LOG = -3

/** One record: what stands in its sectors. */
export interface FoundRecord {
  readonly sector: number
  readonly contents: readonly number[]
}

export interface FoundBatch {
  readonly position: number
  readonly bytes: number
  readonly batchSeq: number
  readonly previousHash: bigint
  readonly headerHash: bigint
  readonly records: readonly FoundRecord[]
}

/** What superblock or slot say. */
export interface LogHead {
  readonly storeUuid: string
  readonly incarnation: number
  /** Null: the store knows the volume and holds no log of it. */
  readonly log: {
    readonly logUuid: string
    readonly pending: { readonly logUuid: string; readonly firstBatchSeq: number } | null
    readonly tailBatchSeq: number
    readonly tailPreviousHash: bigint
  } | null
}

export abstract class LogOnDisk implements DiskWatcher {
  readonly disk: SimulatedDisk
  head: LogHead | null = null
  /** What the log makes of each sector; NOT_IN_LOG where the backing has it. */
  readonly content: Int32Array
  lastBatchSeq = 0
  /** Times that the register named it by a name that leaves batches behind, which a promotion drops; for the summary. */
  tailsToDrop = 0
  /** Told about sectors of which the log says something else now. */
  onTouched: (sector: number) => void = () => {}
  /** Told when the log is another, or has another name. */
  onHead: () => void = () => {}
  /** Told about batches that have left the log at its tail. */
  onTrimmed: (batches: readonly FoundBatch[]) => void = () => {}
  private lastHash = 0n
  private readonly byPosition = new Map<number, FoundBatch>()
  private readonly bySeq = new Map<number, FoundBatch[]>()
  private readonly before: Int32Array
  /** Batches from here on do not count: the register names the log that ends before them. */
  private endBefore = Number.POSITIVE_INFINITY

  constructor(disk: SimulatedDisk, sectors: number) {
    this.disk = disk
    this.content = new Int32Array(sectors).fill(NOT_IN_LOG)
    this.before = new Int32Array(sectors)
  }

  onLanded(disk: SimulatedDisk, operation: DiskOperation): void {
    if (disk !== this.disk) return
    for (const { position, length } of operation.ranges) this.landed(position, length, operation.data)
  }

  onWiped(disk: SimulatedDisk): void {
    if (disk !== this.disk) return
    this.forgetHead()
    this.byPosition.clear()
    this.bySeq.clear()
    this.headChanged(null)
  }

  /**
   * Whether the log counts as the one that the register names, by its present or its pending name; from now on only what
   * belongs to that one counts.
   */
  named(logUuid: string): boolean {
    const log = this.head?.log ?? null
    const isPending = log?.pending?.logUuid === logUuid
    const endBefore = isPending && log?.pending ? log.pending.firstBatchSeq : Number.POSITIVE_INFINITY
    if (endBefore !== this.endBefore) {
      if (this.lastBatchSeq >= endBefore) this.tailsToDrop++
      this.endBefore = endBefore
      this.rebuild()
    }
    return isPending || log?.logUuid === logUuid
  }

  /** Whether a write at this place changes the head; where it does, the new one. */
  protected abstract readHead(position: number, length: number, data: Buffer | null): LogHead | null | 'elsewhere'
  protected abstract forgetHead(): void
  /** The whole, intact batch that begins there, or null. */
  protected abstract readBatch(position: number): FoundBatch | null
  /** Whether a batch with the right number and hash counts under the present head. */
  protected abstract counts(batch: FoundBatch): boolean

  private landed(position: number, length: number, data: Buffer | null): void {
    const head = this.readHead(position, length, data)
    if (head !== 'elsewhere') {
      this.headChanged(head)
      return
    }
    const lostSome = this.drop(position, length)
    // Several frames may share a write, and where it was torn the first of them need not be whole.
    for (let at = position; at < position + length; ) {
      const batch = this.readBatch(at)
      if (batch !== null) this.add(batch)
      at += batch?.bytes ?? BLOCK_BYTES
    }
    if (lostSome) this.rebuild()
    else this.extend()
  }

  private add(batch: FoundBatch): void {
    this.byPosition.set(batch.position, batch)
    const same = this.bySeq.get(batch.batchSeq)
    if (same === undefined) this.bySeq.set(batch.batchSeq, [batch])
    else same.push(batch)
  }

  /** Forgets what stood in a range. True: something of the log that counts was among it. */
  private drop(position: number, length: number): boolean {
    let lostSome = false
    const tailBatchSeq = this.head?.log?.tailBatchSeq ?? Number.POSITIVE_INFINITY
    for (const batch of this.byPosition.values()) {
      if (batch.position >= position + length || position >= batch.position + batch.bytes) continue
      this.byPosition.delete(batch.position)
      const same = this.bySeq.get(batch.batchSeq) ?? []
      const rest = same.filter((one) => one !== batch)
      if (rest.length === 0) this.bySeq.delete(batch.batchSeq)
      else this.bySeq.set(batch.batchSeq, rest)
      lostSome ||= batch.batchSeq >= tailBatchSeq && batch.batchSeq <= this.lastBatchSeq
    }
    return lostSome
  }

  private headChanged(head: LogHead | null): void {
    const isSame = describeHead(head) === describeHead(this.head)
    const trimmed = this.trimmedBy(head)
    this.head = head
    this.rebuild()
    if (!isSame) this.onHead()
    if (trimmed.length > 0) this.onTrimmed(trimmed)
  }

  /** What stands before the new tail, if that is one of the same log. */
  private trimmedBy(head: LogHead | null): FoundBatch[] {
    const before = this.head?.log ?? null
    const after = head?.log ?? null
    if (before === null || after === null || after.tailBatchSeq <= before.tailBatchSeq) return []
    const trimmed: FoundBatch[] = []
    let hash = before.tailPreviousHash
    for (let batchSeq = before.tailBatchSeq; batchSeq < after.tailBatchSeq; batchSeq++) {
      const batch = this.bySeq.get(batchSeq)?.find((one) => one.previousHash === hash)
      if (batch === undefined) return []
      trimmed.push(batch)
      hash = batch.headerHash
    }
    return hash === after.tailPreviousHash ? trimmed : []
  }

  /** Follows the chain from the tail. */
  private rebuild(): void {
    const { content, before } = this
    before.set(content)
    content.fill(NOT_IN_LOG)
    const log = this.head?.log ?? null
    this.lastBatchSeq = (log?.tailBatchSeq ?? 1) - 1
    this.lastHash = log?.tailPreviousHash ?? 0n
    this.extend()
    for (let sector = 0; sector < content.length; sector++) {
      if (content[sector] !== before[sector]) this.onTouched(sector)
    }
  }

  private extend(): void {
    if (this.head === null || this.head.log === null) return
    for (;;) {
      if (this.lastBatchSeq + 1 >= this.endBefore) return
      const candidates = this.bySeq.get(this.lastBatchSeq + 1)
      const next = candidates?.find((one) => one.previousHash === this.lastHash && this.counts(one))
      if (next === undefined) return
      for (const { sector, contents } of next.records) {
        for (let i = 0; i < contents.length; i++) {
          this.content[sector + i] = contents[i] as number
          this.onTouched(sector + i)
        }
      }
      this.lastBatchSeq = next.batchSeq
      this.lastHash = next.headerHash
    }
  }
}

/** What checkers see of it. */
export type CopyOfLog = Pick<LogOnDisk, 'disk' | 'head' | 'content' | 'named' | 'onTouched' | 'onHead' | 'onTrimmed'>

/** What tells one log from another. */
function describeHead(head: LogHead | null): string {
  if (head === null) return ''
  const { storeUuid, incarnation, log } = head
  return `${storeUuid} ${incarnation} ${log?.logUuid} ${log?.pending?.logUuid} ${log?.pending?.firstBatchSeq}`
}

/** The records of a parsed, whole batch. */
export function recordsOf(view: BatchView): FoundRecord[] {
  const records: FoundRecord[] = []
  for (let index = 0; index < view.count; index++) {
    const sector = view.sector(index)
    const isZero = view.op(index) === OP_ZERO
    const at = isZero ? 0 : view.dataStart(index)
    const contents = Array.from({ length: view.sectors(index) }, (_, i) =>
      isZero ? CONTENT_ZERO : readSector(view.buffer, at + i * SECTOR_BYTES, sector + i),
    )
    records.push({ sector, contents })
  }
  return records
}
