// May a store drop a log? Asked of the product (protocol/discard-table.ts).
import { decide } from '../../../csi-driver/protocol/decision-table.ts'
import { discardFacts } from '../../../csi-driver/protocol/discard-table.ts'
import type { Member, RegisterRecord } from '../../../csi-driver/register/record.ts'
import { type Log, uuidOf } from './log-pool.ts'
import type { Model } from './model.ts'

export interface Discard {
  /** The register as the store, or the owner that orders it, knows it. */
  readonly record: RegisterRecord
  readonly store: Member
  readonly log: Log
  readonly learnOrdered: boolean
}

export function mayDiscard(model: Model, { record, store, log, learnOrdered }: Discard): boolean {
  const logUuid = uuidOf(log.name)
  const facts = discardFacts({ record, store, logUuid, promotedLogUuids: [logUuid], learnOrdered, volumeGone: 'no' })
  return decide(model.rules.tables.discard, facts).then === 'discard'
}
