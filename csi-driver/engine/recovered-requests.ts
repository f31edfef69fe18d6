// Requests that the log holds although their answer may never have reached the kernel. After a restart the kernel sends
// them again; applied twice, an old write could come back over a newer one that was acknowledged since. They are
// recognised by the session of the FUSE connection and the request's unique number, never by the number alone: a fresh
// connection starts with the same numbers (DESIGN.md §7.2).
import type { Seq } from '../../base/units.ts'
import type { BatchView } from '../batch/batch-view.ts'
import type { Request } from './request.ts'

export class RecoveredRequests {
  private readonly session: bigint
  private readonly seqs = new Map<bigint, Seq>()

  /** `session` 0n: the front end names no requests, nothing is recognised. */
  constructor(session: bigint) {
    this.session = session
  }

  get count(): number {
    return this.seqs.size
  }

  /** Takes note of a recovered batch. Its ackedSeq says which older records were surely answered: they are forgotten. */
  note(view: BatchView): void {
    for (const [unique, seq] of this.seqs) if (seq <= view.ackedSeq) this.seqs.delete(unique)
    if (this.session === 0n || view.session !== this.session) return
    for (let i = 0; i < view.count; i += 1) {
      const unique = keyOf(view.uniqueLow(i), view.uniqueHigh(i))
      if (unique !== 0n) this.seqs.set(unique, view.firstSeq + i)
    }
  }

  /** Seq of the record that a re-sent request left in the log; 0 when it left none. */
  seqOf(request: Request): Seq {
    if (!request.resent || this.seqs.size === 0) return 0
    return this.seqs.get(keyOf(request.uniqueLow, request.uniqueHigh)) ?? 0
  }

  /** The oldest record that a re-sent request may still ask for; Infinity when there is none. */
  lowestSeq(): Seq {
    let lowest = Infinity
    for (const seq of this.seqs.values()) if (seq < lowest) lowest = seq
    return lowest
  }

  /** All re-sent requests have been read: none can come any more. */
  clear(): void {
    this.seqs.clear()
  }
}

function keyOf(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
}
