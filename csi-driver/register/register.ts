// Port of the register of one volume: a linearizable cell that holds one record and changes by compare-and-swap only.
// Whether a change happened may stay open ('unknown'); register-client.ts settles it.
import type { RegisterRecord } from './record.ts'

/**
 * applied: this call's record is the register's, durably.
 * conflict: the version was another one. (The cause may be this writer's own earlier attempt: compare `changeId`.)
 * unknown: it may have happened, may still happen, or may never.
 */
export type CasReply = 'applied' | 'conflict' | 'unknown'

export interface Register {
  /**
   * The newest record, durably written; null if the volume has none. Linearizable: it shows every change that was
   * reported as applied before the call.
   * Throws CacheError `retry` when the register can't be reached, `corrupt` when what it holds is no record.
   */
  read(): Promise<RegisterRecord | null>
  /**
   * Writes `next` if the present version is `expectedRv` (0: no record exists). `next.rv` must be `expectedRv` + 1.
   * Repeating a call with the same arguments is harmless: a version is written once.
   * Throws CacheError `retry` only when it is certain that nothing happened and nothing will.
   */
  compareAndSwap(expectedRv: number, next: RegisterRecord): Promise<CasReply>
}
