// Proves: whatever sequence of appends, checkpoints, completions, crashes and reopenings happens on a tiny ring, the
// journal gives back exactly what a plain list of batches says: every complete, un-trimmed batch with its bytes, in
// order, and of the batch in flight at a crash either all or nothing. A crash leaves any subset of the 512-byte sectors
// of each write in flight. Data is often a copy of what lies in the log (frames inside of frames) or the data of a torn
// batch again (the front end re-sends), the two ways in which leftovers could pass for batches.
import { deepEqual, equal } from 'node:assert/strict'
import fc from 'fast-check'
import { createPrng, type Prng } from '../../base/prng.ts'
import { checkJournal } from '../../csi-driver/journal/invariants.ts'
import { readJournalImage } from '../../csi-driver/journal/journal-image.ts'
import {
  batchOf,
  format,
  type FoundBatch,
  LOG_START,
  open,
  type Opened,
  own,
  PAYLOAD_BYTES_MAX,
  probed,
  type Write,
} from '../unit/csi-driver/journal/journal-kit.ts'
import { heapMemory, MemoryStorage } from '../unit/csi-driver/journal/memory-storage.ts'

type Content = 'new' | 'copy-of-log' | 'sent-again'

type Action =
  | { kind: 'append'; sectors: readonly number[]; content: Content; from: number }
  | { kind: 'complete'; pick: number }
  | { kind: 'checkpoint'; part: number }
  | { kind: 'crash'; seed: number; keep: number }
  | { kind: 'reopen' }

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      sectors: fc.array(fc.integer({ min: 1, max: 8 }), { maxLength: 4 }),
      content: fc.constantFrom<Content>('new', 'copy-of-log', 'sent-again'),
      from: fc.nat(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('complete' as const), pick: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('checkpoint' as const),
      part: fc.double({ min: 0.3, max: 1, maxExcluded: true, noNaN: true }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('crash' as const),
      seed: fc.nat(),
      keep: fc.constantFrom(0, 0.1, 0.5, 0.9, 1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
)

interface ModelBatch {
  readonly batchSeq: number
  readonly firstSeq: number
  readonly writes: readonly Write[]
  complete: boolean
}

class Harness {
  storage: MemoryStorage
  opened: Opened
  batches: ModelBatch[] = []
  /** Tails that a reopening may find: the durable one, and those of checkpoints under way. */
  tails = new Set<number>([1])
  tornWrites: readonly Write[] = []
  fill = 0
  readonly reached: Map<string, number>

  constructor(storage: MemoryStorage, opened: Opened, reached: Map<string, number>) {
    this.storage = storage
    this.opened = opened
    this.reached = reached
  }

  async step(next: Action): Promise<void> {
    switch (next.kind) {
      case 'append':
        return this.append(next)
      case 'complete':
        if (this.storage.heldWrites > 0) this.storage.complete(next.pick % this.storage.heldWrites)
        return
      case 'checkpoint':
        return this.checkpoint(next.part)
      case 'crash':
        return this.crash(createPrng(next.seed), next.keep)
      case 'reopen':
        this.storage.completeAll()
        return this.reopen()
    }
  }

  append({ sectors, content, from }: { sectors: readonly number[]; content: Content; from: number }): void {
    const { journal } = this.opened
    if (journal.appendInFlight && from % 8 === 0) return
    while (journal.appendInFlight) this.storage.complete()
    const writes =
      content === 'sent-again' && this.tornWrites.length > 0 ? this.tornWrites : this.newWrites(sectors, content, from)
    const builder = batchOf(writes)
    const hasRoom =
      writes.length === 0 ? journal.canAppendReserved(builder.frameBytes) : journal.canAppend(builder.frameBytes)
    if (!hasRoom) return this.mark('full')
    const batch: ModelBatch = {
      batchSeq: journal.lastBatchSeq + 1,
      firstSeq: journal.lastSeq + 1,
      writes,
      complete: false,
    }
    this.batches.push(batch)
    const acked = this.batches.filter((known) => known.complete).at(-1)
    const ackedSeq = acked === undefined ? 0 : acked.firstSeq + acked.writes.length - 1
    journal.append(builder, { ackedSeq, session: 1n, wallMs: 1 }, (error) => {
      batch.complete = error === null
    })
    equal(journal.lastAppend.batchSeq, batch.batchSeq)
    equal(journal.lastAppend.firstSeq, batch.firstSeq)
    if (journal.lastAppend.position === LOG_START && batch.batchSeq > 1) this.mark('wrapped')
  }

  newWrites(sectors: readonly number[], content: Content, from: number): Write[] {
    const writes: Write[] = []
    let room = PAYLOAD_BYTES_MAX
    for (const count of sectors) {
      const bytes = Math.min(room, count * 512)
      if (bytes === 0) break
      room -= bytes
      this.fill = (this.fill + 1) % 251
      const log = this.storage.bytes.subarray(LOG_START)
      const at = (from * 4096) % (log.length - 4096)
      const data =
        content === 'copy-of-log' ? Buffer.from(log.subarray(at, at + bytes)) : Buffer.alloc(bytes, this.fill)
      writes.push({ sector: this.fill * 8, data })
    }
    return writes
  }

  checkpoint(part: number): void {
    const { journal } = this.opened
    if (journal.isUpdatingSuperblock) return
    const complete = this.batches.filter((batch) => batch.complete)
    const batch = complete[Math.floor(part * complete.length)]
    if (batch === undefined) return
    this.tails.add(batch.batchSeq + 1)
    journal.checkpoint(batch.batchSeq, { wallMs: batch.batchSeq }, (error) => {
      equal(error, null)
      this.settleTail(batch.batchSeq + 1)
    })
  }

  settleTail(tail: number): void {
    this.tails = new Set([tail])
    this.batches = this.batches.filter((batch) => batch.batchSeq >= tail)
  }

  async crash(prng: Prng, keep: number): Promise<void> {
    this.storage = this.storage.crash(() => prng.float() < keep)
    await this.reopen()
  }

  async reopen(): Promise<void> {
    const storage = new MemoryStorage(this.storage.bytes)
    this.storage = storage
    const image = await readJournalImage({ storage, memory: heapMemory })
    deepEqual(checkJournal(image), [])
    const before = Buffer.from(storage.bytes)
    const opened = await open(storage)
    equal(storage.bytes.equals(before), true)
    const { tail } = await probed(storage)
    equal(this.tails.has(tail.batchSeq), true)
    this.settleTail(tail.batchSeq)
    this.mark(opened.journal.recovery.label)
    this.compare(opened.found)
    equal(opened.journal.lastBatchSeq, this.batches.at(-1)?.batchSeq ?? tail.batchSeq - 1)
    this.opened = await own(opened)
    storage.holdWrites = true
  }

  /** The batch in flight may be there or not; what is there must be what was written. */
  compare(found: readonly FoundBatch[]): void {
    const last = this.batches.at(-1)
    if (last !== undefined && !last.complete && found.length < this.batches.length) {
      this.tornWrites = last.writes
      this.batches.pop()
      this.mark('lost in flight')
    }
    deepEqual(
      found.map((batch) => batch.batchSeq),
      this.batches.map((batch) => batch.batchSeq),
    )
    this.batches.forEach((batch, index) => {
      batch.complete = true
      const records = found[index]?.records ?? []
      deepEqual(
        records.map((record) => record.seq),
        batch.writes.map((_, at) => batch.firstSeq + at),
      )
      batch.writes.forEach((write, at) => {
        equal(records[at]?.sector, write.sector)
        equal(records[at]?.data?.equals(write.data), true)
      })
    })
  }

  mark(what: string): void {
    this.reached.set(what, (this.reached.get(what) ?? 0) + 1)
  }
}

test('the journal agrees with a plain list of batches through crashes', async () => {
  const reached = new Map<string, number>()
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 50, maxLength: 200, size: 'max' }), async (actions) => {
      const { storage } = await format()
      const opened = await own(await open(storage))
      storage.holdWrites = true
      const harness = new Harness(storage, opened, reached)
      for (const next of actions) await harness.step(next)
      harness.storage.completeAll()
      await harness.reopen()
    }),
    // Shrinking a failure may take minutes; what it reached by then is reported.
    { seed: 20_260_101, numRuns: 150, interruptAfterTimeLimit: 50_000 },
  )
  const labels = [...reached.keys()]
  expect(labels).toEqual(
    expect.arrayContaining(['wrapped', 'full', 'lost in flight', 'log_end', 'torn_here', 'torn_at_start']),
  )
})
