// Proves that a read of a sequential stream never shows old data, whatever interleaves: a real volume with writes, zeroes,
// destage and through-writes beside reads, on a backing whose operations end in any order and whose reads bring what stood
// there when they began. Each block that a read shows was acknowledged last when it began, or was on its way meanwhile. And
// that this test would see it: without the poisoning it fails.
import * as fc from 'fast-check'
import { ReadAhead } from '../../csi-driver/engine/read-ahead/read-ahead.ts'
import type { Volume } from '../../csi-driver/engine/volume.ts'
import type { IoDone } from '../../csi-driver/io/storage.ts'
import { aRead, aWrite, aZero, settle, submit, TestMachine, TestStorage } from '../unit/csi-driver/engine/harness.ts'

const BLOCK = 4096
const BLOCKS = 48
const LIMITS = { pieceBytes: 4 * BLOCK, pieces: 8, startBytes: BLOCK }
const RUNS = 150

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('read' as const), blocks: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('jump' as const), block: fc.nat({ max: BLOCKS - 1 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('write', 'zero'), ahead: fc.nat({ max: 11 }) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat({ max: 7 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('drain', 'write-through', 'write-back', 'pause') }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** A device that reads as early as it may: content is old by the time it arrives. */
class EarlyStorage extends TestStorage {
  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  override read(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    const early = Buffer.from(this.bytes.subarray(position, position + length))
    super.read(buffer, start, length, position, (error) => {
      if (error === null) early.copy(buffer, start)
      done(error)
    })
  }
}

/** What each block may show. */
class Model {
  readonly last = new Array<number>(BLOCKS).fill(0)
  readonly pending = new Array<number | null>(BLOCKS).fill(null)
  readonly problems: string[] = []
  private readonly reads = new Set<{ readonly block: number; readonly allowed: Set<number>[] }>()
  private value = 0

  read(volume: Volume, block: number, blocks: number): void {
    const allowed = Array.from({ length: blocks }, (_, i) => {
      const pending = this.pending[block + i] ?? null
      return new Set(pending === null ? [this.last[block + i] as number] : [this.last[block + i] as number, pending])
    })
    const open = { block, allowed }
    this.reads.add(open)
    const request = aRead(block * BLOCK, blocks * BLOCK)
    request.onComplete = () => {
      this.reads.delete(open)
      if (request.result !== 0) this.problems.push(`read of block ${block} failed`)
      for (const [i, values] of allowed.entries()) {
        const found = request.bytes[i * BLOCK] as number
        if (!values.has(found)) this.problems.push(`block ${block + i} shows ${found}, not ${[...values].join()}`)
      }
    }
    submit(volume, request)
  }

  write(volume: Volume, kind: 'write' | 'zero', block: number): void {
    if (this.pending[block] !== null) return
    this.value = (this.value % 250) + 1
    const value = kind === 'zero' ? 0 : this.value
    this.pending[block] = value
    for (const read of this.reads) read.allowed[block - read.block]?.add(value)
    const request = kind === 'zero' ? aZero(block * BLOCK) : aWrite(block * BLOCK, value)
    request.onComplete = () => {
      this.last[block] = value
      this.pending[block] = null
    }
    submit(volume, request)
  }
}

async function run(steps: readonly Step[]): Promise<{ problems: string[]; usedBytes: number }> {
  const machine = new TestMachine()
  machine.backing = new EarlyStorage('backing', BLOCKS * BLOCK)
  const volume = await machine.open({ readAheadLimits: LIMITS })
  machine.backing.hold('read', 'write', 'zero')
  const model = new Model()
  const failed: unknown[] = []
  const background = (move: Promise<void>): void => void move.catch((error: unknown) => failed.push(error))
  let cursor = 0
  for (const one of steps) {
    if (one.kind === 'read' && 'blocks' in one) {
      const blocks = Math.min(one.blocks, BLOCKS - cursor)
      model.read(volume, cursor, blocks)
      cursor = (cursor + blocks) % BLOCKS
    } else if ('block' in one) cursor = one.block
    else if ('ahead' in one) model.write(volume, one.kind, (cursor + one.ahead) % BLOCKS)
    else if ('which' in one) machine.backing.held[one.which % Math.max(1, machine.backing.held.length)]?.complete()
    else if (one.kind === 'drain') background(volume.drain())
    else if (one.kind === 'pause') await machine.time.advance(100)
    else background(volume.setPolicy(one.kind))
    await settle()
  }
  machine.backing.letGo()
  for (let i = 0; i < 40; i += 1) await machine.time.advance(50)
  for (let block = 0; block < BLOCKS; block += 3) model.read(volume, block, 3)
  await machine.time.advance(50)
  const { readAheadUsedBytes } = volume.status().counters
  await Promise.all([volume.suspend(), machine.time.advance(100)])
  return { problems: [...model.problems, ...failed.map(String)], usedBytes: readAheadUsedBytes }
}

const steps = fc.array(step, { minLength: 20, maxLength: 70 })

test('reads of a stream show what was acknowledged, also from what was read ahead', async () => {
  let usedBytes = 0
  await fc.assert(
    fc.asyncProperty(steps, async (some) => {
      const outcome = await run(some)
      usedBytes += outcome.usedBytes
      expect(outcome.problems).toEqual([])
    }),
    { numRuns: RUNS },
  )
  expect(usedBytes).toBeGreaterThan(RUNS * BLOCK)
}, 120_000)

test('without the poisoning old data is found', async () => {
  const poison = Object.getOwnPropertyDescriptor(ReadAhead.prototype, 'poison') ?? {}
  Object.defineProperty(ReadAhead.prototype, 'poison', { ...poison, value: () => undefined })
  try {
    const property = fc.asyncProperty(steps, async (some) => (await run(some)).problems.length === 0)
    const { failed } = await fc.check(property, { numRuns: 10 * RUNS, endOnFailure: true })
    expect(failed).toBe(true)
  } finally {
    Object.defineProperty(ReadAhead.prototype, 'poison', poison)
  }
}, 120_000)
