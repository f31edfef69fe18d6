// Proves: whoever writes more than the backing can take, for however long, is answered at the speed of the backing and
// evenly: no moment is much better or worse than another, and nobody waits much longer than all the others, whichever
// limit is the tightest. Time is simulated; cache and backing take theirs for every operation.
import { createPrng } from '../../base/prng.ts'
import type { Timer } from '../../base/clock.ts'
import { MIB } from '../../base/units.ts'
import type { IoDone } from '../../csi-driver/io/storage.ts'
import { SUPERBLOCK_AREA_BYTES } from '../../csi-driver/journal/journal.ts'
import { aWrite, during, TestMachine, TestStorage, TestTime } from '../unit/csi-driver/engine/harness.ts'

const VOLUME_BYTES = 64 * MIB
const BACKING_MS = 2
const CACHE_READ_MS = 0.1
const CACHE_WRITE_MS = 0.2
const WINDOW_MS = 100
/** Until the cache has filled and the delay has found its place. */
const FILLING_MS = 600
const MEASURED_MS = 800

/** Timers as coarse as those of the system; `exactly` is for devices. */
class CoarseTime extends TestTime {
  override after(delayMs: number, callback: () => void): Timer {
    return super.after(Math.max(1, Math.ceil(delayMs)), callback)
  }

  exactly(delayMs: number, callback: () => void): void {
    super.after(delayMs, callback)
  }
}

interface Speed {
  readonly readMs: number
  readonly writeMs: number
  readonly flushMs: number
  /** Operations that take their time together; the others wait in order. */
  readonly inFlightMax: number
}

class TimedStorage extends TestStorage {
  private readonly time: CoarseTime
  private readonly speed: Speed
  private readonly waiting: (() => void)[] = []
  private inFlight = 0

  constructor(name: string, sizeBytes: number, time: CoarseTime, speed: Speed) {
    super(name, sizeBytes)
    this.time = time
    this.speed = speed
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  override read(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.take(this.speed.readMs, () => super.read(buffer, start, length, position, done))
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  override write(buffer: Buffer, start: number, length: number, position: number, done: IoDone): void {
    this.take(this.speed.writeMs, () => super.write(buffer, start, length, position, done))
  }

  override flush(done: IoDone): void {
    this.take(this.speed.flushMs, () => super.flush(done))
  }

  private take(tookMs: number, act: () => void): void {
    if (this.inFlight === this.speed.inFlightMax) {
      this.waiting.push(() => this.take(tookMs, act))
      return
    }
    this.inFlight += 1
    this.time.exactly(tookMs, () => {
      this.inFlight -= 1
      act()
      this.waiting.shift()?.()
    })
  }
}

interface Overload {
  readonly writers: number
  readonly inFlightMax: number
  readonly flushMs: number
  readonly dirtyLimitBytes: number
  readonly logBytes: number
}

interface Seen {
  /** Answers in each window. */
  readonly counts: readonly number[]
  readonly latenciesMs: readonly number[]
}

async function overloaded({ writers, inFlightMax, flushMs, dirtyLimitBytes, logBytes }: Overload): Promise<Seen> {
  const machine = new TestMachine()
  const time = new CoarseTime()
  const cacheBytes = SUPERBLOCK_AREA_BYTES + logBytes + MIB
  const cacheSpeed = { readMs: CACHE_READ_MS, writeMs: CACHE_WRITE_MS, flushMs: 0, inFlightMax: Infinity }
  const backingSpeed = { readMs: BACKING_MS, writeMs: BACKING_MS, flushMs, inFlightMax }
  machine.time = time
  machine.cache = new TimedStorage('cache', cacheBytes, time, cacheSpeed)
  machine.backing = new TimedStorage('backing', VOLUME_BYTES, time, backingSpeed)
  const volume = await during(time, machine.open({ cacheBytes, logBytes, dirtyLimitBytes }))
  const prng = createPrng(1)
  const counts: number[] = []
  const latenciesMs: number[] = []
  let over = false
  const writeOn = (): void => {
    if (over) return
    const request = aWrite(prng.below(VOLUME_BYTES / 4096) * 4096, 1)
    const begunMs = time.nowMs
    request.onComplete = () => {
      latenciesMs.push(time.nowMs - begunMs)
      time.soon(writeOn)
    }
    volume.submit(request)
    volume.kick()
  }
  for (let i = 0; i < writers; i += 1) writeOn()
  await time.advance(FILLING_MS)
  latenciesMs.length = 0
  for (let passedMs = 0; passedMs < MEASURED_MS; passedMs += WINDOW_MS) {
    const before = latenciesMs.length
    // oxlint-disable-next-line eslint/no-await-in-loop -- one window after the other
    await time.advance(WINDOW_MS)
    counts.push(latenciesMs.length - before)
  }
  over = true
  return { counts, latenciesMs }
}

const BUSY: Overload = { writers: 32, inFlightMax: 6, flushMs: 2, dirtyLimitBytes: 6 * MIB, logBytes: 16 * MIB }
/** A record of 4 KiB that is alone in its batch takes 8 KiB of the log. */
const ALONE: Overload = { ...BUSY, writers: 1, inFlightMax: 1, dirtyLimitBytes: 2 * MIB, logBytes: 5 * MIB }

test.each<[string, Overload]>([
  ['many writers', BUSY],
  ['a backing so fast that the delay is shorter than a timer', { ...BUSY, inFlightMax: 32 }],
  ['a flush takes as long as ten writes', { ...BUSY, flushMs: 20 }],
  ['one writer, and the log is tighter than the dirty limit', ALONE],
])('writers are slowed down evenly, to the speed of the backing: %s', async (_name, overload) => {
  const { counts, latenciesMs } = await overloaded(overload)
  const mean = latenciesMs.length / counts.length
  expect(latenciesMs.length).toBeGreaterThan(0.75 * (MEASURED_MS / BACKING_MS) * overload.inFlightMax)
  expect(Math.min(...counts)).toBeGreaterThan(mean / 3)
  expect(Math.max(...counts)).toBeLessThan(2 * mean)
  const meanMs = latenciesMs.reduce((sum, each) => sum + each, 0) / latenciesMs.length
  expect(Math.max(...latenciesMs)).toBeLessThan(5 * meanMs)
})
