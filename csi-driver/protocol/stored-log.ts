// What a replica store holds of one volume, in the words of the replication protocol (docs/decisions/0001), and why it
// refuses: the store keeps it durably, the wire carries it, the tables decide by it.
//
// A log is one chain of batches: numbered, each naming the headerHash of the one before. Its *names* (logUuid) are a
// lineage: from `firstBatchSeq` on the batches carry `logUuid`. A new ownership does not copy the log: it appends a name.
import type { BatchSeq, Bytes, Epoch, Run, Seq } from '../../base/units.ts'

export interface LogName {
  readonly logUuid: string
  readonly firstBatchSeq: BatchSeq
}

/** Names that a log may have at once. Each open adds one, each trim past a name's last batch drops it. */
export const LOG_NAMES_MAX = 16

/** Where the un-trimmed log begins: numbers of its first batch and record, headerHash of the batch before (0: none). */
export interface LogBegin {
  readonly batchSeq: BatchSeq
  readonly seq: Seq
  readonly previousHash: bigint
}

export interface StoredLog {
  /** Oldest first, 1 to LOG_NAMES_MAX; the last one is the log's present name. */
  readonly lineage: readonly LogName[]
  /** A name that counts only once the register has it (rule 5.1). */
  readonly pending: LogName | null
  readonly tail: LogBegin
  /** The last batch; tail.batchSeq - 1 where the log is empty. */
  readonly lastBatchSeq: BatchSeq
  readonly lastSeq: Seq
  /** headerHash of the last batch; tail.previousHash where the log is empty. */
  readonly lastHash: bigint
  /** Largest ackedSeq that any batch carried (rule 5.4). */
  readonly ackedSeq: Seq
  /** What its batches take in the store. */
  readonly storedBytes: Bytes
}

export interface VolumeState {
  /** Engines of a smaller epoch are refused (rules 3.3, S2). */
  readonly promise: Epoch
  /** The newest engine that has written here. */
  readonly epoch: Epoch
  readonly run: Run
  /** null: no log of the volume is here, which is not the same as an empty one. */
  readonly log: StoredLog | null
}

/** Why a store refuses; the text beside it says what to do. */
export type RefusalCode =
  /** No common version of the wire protocol. */
  | 'version'
  /** The HMAC is wrong, or the volume is unknown and no key came. */
  | 'proof'
  | 'bad-message'
  /** The store has promised itself to a newer epoch. */
  | 'epoch-old'
  /** A newer run of the same epoch has said HELLO. */
  | 'run-old'
  /** The batch does not follow the last one. */
  | 'gap'
  /** Same number, other content (rule 3.3). */
  | 'hash-differs'
  | 'corrupt'
  | 'full'
  /** A limit on volumes or connections. */
  | 'too-many'
  /** The order needs a log, or a name of it, that is not here. */
  | 'not-held'
  /** An engine of a smaller epoch lives on the store's node and does not end (S2). */
  | 'busy-engine'
  | 'io'
  | 'stopping'

/** A newer engine of the volume is known there: whoever is refused so is fenced, if the store's word counts. */
export function isOfNewerEngine(code: RefusalCode): boolean {
  return code === 'epoch-old' || code === 'run-old'
}
