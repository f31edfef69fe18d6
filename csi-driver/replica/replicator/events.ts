// What the engine hears of its peers, and what people see of them. Types only.
import type { BatchSeq, Bytes, Ms } from '../../../base/units.ts'
import type { NetworkAddress } from '../../io/network.ts'
import type { RefusalCode } from '../../protocol/stored-log.ts'
import type { Member } from '../../register/record.ts'

export type Resource = 'flash' | 'memory'

export type ReplicatorEvent =
  /** The peer answers; `store` is the life of its store. Whether that is the member's is said by the other events. */
  | {
      readonly kind: 'connected'
      readonly node: string
      readonly store: Member
      readonly resource: Resource
      readonly freeBytes: Bytes
    }
  /** The connection is gone; the next attempt is under way. */
  | { readonly kind: 'lost'; readonly node: string; readonly reason: string }
  /** A member did not answer in time; once, until it is back. Freeze, remove it by CAS, call waitFor (rule 4.1). */
  | { readonly kind: 'late'; readonly node: string; readonly member: Member; readonly reason: string }
  /** A member that was late holds everything again. Where its removal was not sent yet, nothing need be done. */
  | { readonly kind: 'back'; readonly node: string; readonly member: Member }
  /** A member has not what it acknowledged. Its answers count no more: it must be removed by CAS (rule 2.1). */
  | { readonly kind: 'lost-content'; readonly node: string; readonly member: Member; readonly reason: string }
  /** A learner holds the whole un-trimmed log and is waited for: ask joinedMember, then CAS add (rules 1.2, 4.2). */
  | { readonly kind: 'joined'; readonly node: string; readonly member: Member }
  /** A learner was dropped. Its store holds nothing of use; `learn` begins anew. */
  | { readonly kind: 'learner-failed'; readonly node: string; readonly reason: string }
  | { readonly kind: 'refused'; readonly node: string; readonly code: RefusalCode; readonly message: string }
  /** A member knows a newer engine of the volume: nothing is acknowledged or read any more, by this engine, ever. */
  | { readonly kind: 'fenced'; readonly node: string; readonly code: RefusalCode; readonly message: string }

/**
 * offline: no connection. candidate: connected, holds nothing that counts. member: waited for and up to date. behind:
 * waited for, but not answering or not yet compared. lost-content: waited for in vain. learning, catching-up, joined: the
 * steps of a learner. refused: as lastError says.
 */
export type PeerState =
  | 'offline'
  | 'candidate'
  | 'member'
  | 'behind'
  | 'lost-content'
  | 'learning'
  | 'catching-up'
  | 'joined'
  | 'refused'

export interface PeerStatus {
  readonly node: string
  /** null: nobody has said where this member is. */
  readonly address: NetworkAddress | null
  readonly domain: string
  readonly state: PeerState
  /** Of the store that answered last; '' and 0 before the first answer. */
  readonly storeUuid: string
  readonly incarnation: number
  readonly resource: Resource | null
  readonly freeBytes: Bytes
  /** Batches that a member or learner has not acknowledged; 0 for others. */
  readonly lagBatches: number
  /** Bytes that are on their way to it. */
  readonly lagBytes: Bytes
  readonly trimmedBatchSeq: BatchSeq
  /** Monotonic time up to which its lease is held; -Infinity: not held. */
  readonly leaseUntilMs: Ms
  readonly lastError: string | null
}
