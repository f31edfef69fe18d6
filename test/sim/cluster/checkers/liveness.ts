// Liveness after all faults have ended: the volume serves and answers everything within a bound, or it is Blocked and no
// intact copy is left (PROTOCOL.md §10). Decides which of the two a run has come to.
import { CacheError } from '../../../../base/errors.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { describeError } from '../../run-result.ts'

export interface Standstill {
  readonly record: RegisterRecord | null
  /** Listed copies that no fault has destroyed. */
  readonly intactCopies: number
  /** What holders said that gave up, in their order. */
  readonly refusals: readonly unknown[]
  /** Who serves or tries to. */
  readonly state: string
  /** The oldest operation without an answer, in words; '': there is none. */
  readonly stuck: string
}

export type Verdict = { readonly excused: string } | { readonly violation: string }

/** Codes by which a volume says that acknowledged writes are not to be had. */
const LOSS_CODES = /^CACHE_(BLOCKED|DIRTY_ELSEWHERE|LOG_CORRUPT|UNREADABLE)/

export function judgeStandstill({ record, intactCopies, refusals, state, stuck }: Standstill): Verdict {
  const said = refusals.findLast((error) => error instanceof CacheError && LOSS_CODES.test(error.code))
  const nothingLeft = record !== null && record.dirty && intactCopies === 0
  if (nothingLeft && said instanceof CacheError) return { excused: `loss said: ${said.code}` }
  if (nothingLeft && record.phase === 'Blocked') return { excused: 'loss said: Blocked' }
  // An engine whose copies went while it served may still hold everything in memory, or wait for ever: both say nothing false.
  if (nothingLeft && stuck !== '') return { excused: 'stalled without any copy' }
  const what = stuck === '' ? '' : ` first=${stuck}`
  const last = refusals.length === 0 ? 'none' : describeError(refusals.at(-1))
  return {
    violation: `not served after all faults ended state=${state} intactCopies=${intactCopies}${what} lastRefusal=${last}`,
  }
}
