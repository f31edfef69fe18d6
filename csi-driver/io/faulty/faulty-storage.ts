// A storage device that goes wrong as its FaultPlan says, around any other: real devices in tests of the kernel path,
// simulated ones in the simulator. What a rule cannot mean for an operation (a torn flush) is an error of it instead.
import { IoError } from '../../../base/errors.ts'
import type { Timers } from '../../../base/clock.ts'
import type { Prng } from '../../../base/prng.ts'
import { BLOCK_BYTES, SECTOR_BYTES } from '../../../base/units.ts'
import type { Bytes } from '../../../base/units.ts'
import type { AlignedMemory, BackingStorage, ByteRange, IoDone, Storage } from '../storage.ts'
import type { FaultPlan } from './fault-plan.ts'
import type { FaultEffect, FaultOperation } from './fault-rule.ts'

export interface FaultyStorageParts<Device extends Storage> {
  readonly device: Device
  readonly plan: FaultPlan
  readonly timers: Timers
  /** For copies of data that is to be written wrong. */
  readonly memory: AlignedMemory
}

/** An operation as the effects see it: how to do it here, elsewhere, or in part. */
interface Attempt {
  readonly operation: FaultOperation
  readonly done: IoDone
  /** Does it as it was meant. */
  perform(done: IoDone): void
  /** Does it `bytes` further on; absent where there is no place. */
  performAt?(bytes: number, done: IoDone): void
  /** Does the chosen parts only; absent where nothing is written. */
  performTorn?(shape: 'prefix' | 'subset', done: IoDone): void
  /** Does it with wrong bits. */
  performFlipped?(bits: number, done: IoDone): void
}

export class FaultyStorage<Device extends Storage = Storage> implements Storage {
  protected readonly device: Device
  private readonly plan: FaultPlan
  private readonly timers: Timers
  private readonly memory: AlignedMemory
  private hanging: (() => void)[] = []

  constructor(parts: FaultyStorageParts<Device>) {
    this.device = parts.device
    this.plan = parts.plan
    this.timers = parts.timers
    this.memory = parts.memory
  }

  get name(): string {
    return this.device.name
  }

  get sizeBytes(): Bytes {
    return this.device.sizeBytes
  }

  get alignmentBytes(): Bytes {
    return this.device.alignmentBytes
  }

  /** Operations that a rule keeps from being answered. */
  get hangingCount(): number {
    return this.hanging.length
  }

  /** Lets everything that hangs go on as if nothing had been. */
  release(): void {
    const released = this.hanging
    this.hanging = []
    for (const go of released) go()
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  read(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const readAt = (from: Bytes, end: IoDone): void => this.device.read(buffer, start, length, from, end)
    this.attempt(this.plan.strike('read', position, length), {
      operation: 'read',
      done,
      perform: (end) => readAt(position, end),
      performAt: (bytes, end) => readAt(this.elsewhere(position, length, bytes), end),
      performFlipped: (bits, end) => {
        readAt(position, (error) => {
          if (error === null) flipBits(buffer.subarray(start, start + length), bits, this.plan.prng)
          end(error)
        })
      },
    })
  }

  // oxlint-disable-next-line eslint/max-params -- the signature of Storage
  write(buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const writeAt = (to: Bytes, end: IoDone): void => this.device.write(buffer, start, length, to, end)
    this.attempt(this.plan.strike('write', position, length), {
      operation: 'write',
      done,
      perform: (end) => writeAt(position, end),
      performAt: (bytes, end) => writeAt(this.elsewhere(position, length, bytes), end),
      performTorn: (shape, end) => {
        const unit = Math.max(SECTOR_BYTES, this.device.alignmentBytes)
        const parts = chooseParts({ position: 0, length }, unit, shape, this.plan.prng)
        inTurn(parts, end, (part, next) => {
          this.device.write(buffer, start + part.position, part.length, position + part.position, next)
        })
      },
      performFlipped: (bits, end) => {
        const copy = this.memory.allocate(length)
        buffer.copy(copy, 0, start, start + length)
        flipBits(copy, bits, this.plan.prng)
        this.device.write(copy, 0, length, position, end)
      },
    })
  }

  flush(done: IoDone): void {
    this.attempt(this.plan.strike('flush'), { operation: 'flush', done, perform: (end) => this.device.flush(end) })
  }

  close(done: IoDone): void {
    this.attempt(this.plan.strike('close'), { operation: 'close', done, perform: (end) => this.device.close(end) })
  }

  protected strikeZero(ranges: readonly ByteRange[]): FaultEffect | null {
    const start = Math.min(...ranges.map(({ position }) => position))
    const end = Math.max(...ranges.map(({ position, length }) => position + length))
    return this.plan.strike('zero', start, end - start)
  }

  protected tornParts(ranges: readonly ByteRange[], shape: 'prefix' | 'subset'): ByteRange[] {
    return ranges.flatMap((range) => chooseParts(range, BLOCK_BYTES, shape, this.plan.prng))
  }

  protected attempt(effect: FaultEffect | null, attempt: Attempt): void {
    const { done } = attempt
    const fail = (code: string): void => {
      const error = new IoError(code, `injected fault device=${this.name} op=${attempt.operation} errno=${code}`)
      this.timers.soon(() => done(error))
    }
    switch (effect?.kind) {
      case undefined:
      case 'split':
        attempt.perform(done)
        return
      case 'error':
        fail(effect.code)
        return
      case 'delay':
        this.timers.after(effect.delayMs, () => attempt.perform(done))
        return
      case 'hang':
        this.hanging.push(() => attempt.perform(done))
        return
      case 'lost':
        this.timers.soon(() => done(null))
        return
      case 'torn':
        if (attempt.performTorn === undefined) fail('EIO')
        else attempt.performTorn(effect.shape, () => fail('EIO'))
        return
      case 'flip':
        if (attempt.performFlipped === undefined) fail('EIO')
        else attempt.performFlipped(effect.bits, done)
        return
      case 'misdirect':
        if (attempt.performAt === undefined) fail('EIO')
        else attempt.performAt(effect.bytes, done)
    }
  }

  /** `bytes` further on, around the end of the device, aligned. */
  private elsewhere(position: Bytes, length: Bytes, bytes: number): Bytes {
    const unit = this.device.alignmentBytes
    const places = Math.floor((this.device.sizeBytes - length) / unit) + 1
    const place = (position + bytes) / unit
    return (((Math.round(place) % places) + places) % places) * unit
  }
}

export class FaultyBacking extends FaultyStorage<BackingStorage> implements BackingStorage {
  get canZero(): boolean {
    return this.device.canZero
  }

  zero(ranges: readonly ByteRange[], done: IoDone): void {
    this.attempt(ranges.length === 0 ? null : this.strikeZero(ranges), {
      operation: 'zero',
      done,
      perform: (end) => this.device.zero(ranges, end),
      performTorn: (shape, end) => {
        const parts = this.tornParts(ranges, shape)
        if (parts.length === 0) end(null)
        else this.device.zero(parts, end)
      },
    })
  }

  refreshSize(done: IoDone): void {
    this.device.refreshSize(done)
  }
}

/** Some units of a range, neighbours joined: a prefix, or each one by the toss of a coin; never all of them. */
function chooseParts(range: ByteRange, unit: Bytes, shape: 'prefix' | 'subset', prng: Prng): ByteRange[] {
  const units = Math.ceil(range.length / unit)
  const chosen = new Set<number>()
  const prefix = prng.below(units)
  for (let i = 0; i < units; i++) if (shape === 'prefix' ? i < prefix : prng.chance(0.5)) chosen.add(i)
  if (chosen.size === units) chosen.delete(prng.below(units))
  const parts: ByteRange[] = []
  for (let i = 0; i < units; i++) {
    if (!chosen.has(i)) continue
    let end = i + 1
    while (chosen.has(end)) end++
    const position = range.position + i * unit
    parts.push({ position, length: Math.min(range.position + range.length, range.position + end * unit) - position })
    i = end
  }
  return parts
}

function inTurn(parts: readonly ByteRange[], done: IoDone, step: (part: ByteRange, next: IoDone) => void): void {
  const [first, ...rest] = parts
  if (first === undefined) done(null)
  else step(first, (error) => (error === null ? inTurn(rest, done, step) : done(error)))
}

function flipBits(bytes: Buffer, bits: number, prng: Prng): void {
  const places = new Set<number>()
  const all = bytes.length * 8
  while (places.size < Math.min(bits, all)) places.add(prng.below(all))
  for (const place of places) bytes[place >> 3] = (bytes[place >> 3] as number) ^ (1 << (place & 7))
}
