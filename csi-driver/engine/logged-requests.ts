// Requests that the log holds and that are not answered yet: sent again by the kernel after a restart (rule 3.4), or
// logged in write-back that ended before they were answered (2.2). They are answered by the rule of the present phase: in
// write-back from the log, in DrainWT once the backing has them.
import type { Seq } from '../../base/units.ts'
import type { EngineCore } from './engine-core.ts'
import type { RecoveredRequests } from './recovered-requests.ts'
import type { Request } from './request.ts'
import { REQUEST_OK } from './request.ts'

export class LoggedRequests {
  private readonly core: EngineCore
  private readonly recovered: RecoveredRequests
  private readonly onAnswered: () => void
  private waiting: { readonly request: Request; readonly seq: Seq }[] = []
  /** Every record up to here is durable on the backing. */
  private backingHasSeq: Seq = 0

  constructor(core: EngineCore, recovered: RecoveredRequests, onAnswered: () => void) {
    this.core = core
    this.recovered = recovered
    this.onAnswered = onAnswered
  }

  get count(): number {
    return this.waiting.length
  }

  /** False: the log does not hold this re-sent request. */
  takeResent(request: Request): boolean {
    const seq = this.recovered.seqOf(request)
    if (seq === 0) return false
    this.add(request, seq)
    return true
  }

  add(request: Request, seq: Seq): void {
    this.waiting.push({ request, seq })
    this.answer()
  }

  backingHas(seq: Seq): void {
    this.backingHasSeq = seq
    this.answer()
  }

  /** Answers what may be answered now. */
  answer(): void {
    const { core, waiting } = this
    if (waiting.length === 0 || !core.mayAnswer) return
    // WriteThrough: dirty=false is settled, so the backing has everything.
    const hasSeq = core.phase === 'WriteBack' || core.phase === 'WriteThrough' ? Infinity : this.backingHasSeq
    this.waiting = waiting.filter((item) => item.seq > hasSeq)
    for (const item of waiting) if (item.seq <= hasSeq) item.request.complete(REQUEST_OK)
    this.onAnswered()
  }

  /** Lowest record whose request is not answered; Infinity: none. */
  unrepliedSeq(): Seq {
    // Until all re-sent requests have been read, each recovered record may be one of theirs.
    let lowest = this.core.resendPending ? this.recovered.lowestSeq() : Infinity
    for (const { seq } of this.waiting) lowest = Math.min(lowest, seq)
    return lowest
  }
}
