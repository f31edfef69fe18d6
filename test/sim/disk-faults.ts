// What may go wrong with one simulated disk, switched on and off by incidents while a run goes on. Counts say how many
// of the next operations are hit; the `injected` counters say what was really done, for reports and for checkers that
// excuse an error only if there was a fault.
import type { Prng } from '../../base/prng.ts'

export type FaultCode = 'EIO' | 'ENOSPC'

export interface InjectedFaults {
  errors: number
  hangs: number
  lostWrites: number
  misdirectedWrites: number
  corruptSectors: number
  tornWrites: number
  lostFlushes: number
}

export class DiskFaults {
  /** That many of the next operations of a kind fail. */
  failReads = 0
  failWrites = 0
  failFlushes = 0
  /** Every operation of that kind fails until switched off. */
  allReadsFail = false
  allWritesFail = false
  code: FaultCode = 'EIO'
  /** A failed flush keeps its writes for the next flush, or drops them from what can ever become durable. */
  failedFlushDrops = false
  /** Nothing completes before that time. */
  hungUntilMs = 0
  slowFactor = 1
  /** That many of the next writes are acknowledged and not done, or done at another place. */
  loseWrites = 0
  misdirectWrites = 0
  /** Time of the latest injected error; checkers excuse an EIO near it. */
  lastErrorMs = Number.NEGATIVE_INFINITY
  readonly injected: InjectedFaults = {
    errors: 0,
    hangs: 0,
    lostWrites: 0,
    misdirectedWrites: 0,
    corruptSectors: 0,
    tornWrites: 0,
    lostFlushes: 0,
  }

  /** Ends every fault that is still switched on; what was done stays done. */
  heal(): void {
    this.failReads = 0
    this.failWrites = 0
    this.failFlushes = 0
    this.allReadsFail = false
    this.allWritesFail = false
    this.hungUntilMs = 0
    this.slowFactor = 1
    this.loseWrites = 0
    this.misdirectWrites = 0
    this.failedFlushDrops = false
  }

  get isFailing(): boolean {
    return this.allReadsFail || this.allWritesFail || this.failReads + this.failWrites + this.failFlushes > 0
  }

  /** Whether this operation fails; uses up one of the counted failures. */
  takeFailure(kind: 'read' | 'write' | 'zero' | 'flush'): boolean {
    if (kind === 'read') return this.allReadsFail || (this.failReads > 0 && this.failReads-- > 0)
    if (kind === 'flush') return this.allWritesFail || (this.failFlushes > 0 && this.failFlushes-- > 0)
    return this.allWritesFail || (this.failWrites > 0 && this.failWrites-- > 0)
  }

  /** What an acknowledged write really does. */
  takeWriteFate(): 'done' | 'lost' | 'misdirected' {
    if (this.loseWrites > 0) {
      this.loseWrites--
      this.injected.lostWrites++
      return 'lost'
    }
    if (this.misdirectWrites > 0) {
      this.misdirectWrites--
      this.injected.misdirectedWrites++
      return 'misdirected'
    }
    return 'done'
  }
}

/** Which sectors of a write in flight reach the medium when the power goes. Index true: it arrived. */
export function tornSubset(prng: Prng, sectors: number): boolean[] {
  const all = (value: boolean): boolean[] => Array.from({ length: sectors }, () => value)
  const mode = prng.below(6)
  const chosen = prng.below(sectors)
  switch (mode) {
    case 0:
      return all(false)
    case 1:
      return all(true)
    case 2: // The front part, as a disk that writes in order leaves it.
      return all(false).map((_, index) => index < chosen)
    case 3: // All but one, the hardest to notice.
      return all(true).map((_, index) => index !== chosen)
    case 4:
      return all(false).map((_, index) => index === chosen)
    default:
      return all(false).map(() => prng.chance(0.5))
  }
}
