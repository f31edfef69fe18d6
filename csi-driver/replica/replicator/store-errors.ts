// What goes wrong between an engine and a replica store, as errors for the cold path.
import { CacheError, type ErrorKind } from '../../../base/errors.ts'
import type { BatchSeq } from '../../../base/units.ts'
import type { RefusalCode } from '../../protocol/stored-log.ts'

const KINDS: Readonly<Record<RefusalCode, ErrorKind>> = {
  version: 'invalid',
  proof: 'invalid',
  'bad-message': 'invalid',
  'epoch-old': 'fenced',
  'run-old': 'fenced',
  gap: 'invalid',
  'hash-differs': 'corrupt',
  corrupt: 'corrupt',
  full: 'full',
  'too-many': 'retry',
  'not-held': 'invalid',
  'busy-engine': 'retry',
  io: 'retry',
  stopping: 'retry',
}

/** A store has answered REFUSED. */
export class StoreRefusedError extends CacheError {
  readonly node: string
  readonly refusal: RefusalCode

  constructor(node: string, refusal: RefusalCode, message: string) {
    super(KINDS[refusal], 'CACHE_STORE_REFUSED', `store refused node=${node} code=${refusal}: ${message}`)
    this.node = node
    this.refusal = refusal
  }
}

/** A fetched batch is not what was written: it must come from another member (rule S3). */
export class ReplicaCorruptError extends CacheError {
  readonly node: string
  readonly batchSeq: BatchSeq

  constructor(node: string, batchSeq: BatchSeq, problem: string) {
    super(
      'corrupt',
      'CACHE_REPLICA_CORRUPT',
      `batch of a replica is damaged node=${node} batchSeq=${batchSeq}: ${problem}`,
    )
    this.node = node
    this.batchSeq = batchSeq
  }
}

/** No connection could be made. */
export function unreachable(node: string, reason: string): CacheError {
  return new CacheError('retry', 'CACHE_STORE_UNREACHABLE', `store is not reachable node=${node}: ${reason}`)
}

/** The connection ended, or an answer did not come: what was ordered may have happened. */
export function lost(node: string, reason: string): CacheError {
  return new CacheError('unknown-outcome', 'CACHE_STORE_LOST', `connection to a store ended node=${node}: ${reason}`)
}
