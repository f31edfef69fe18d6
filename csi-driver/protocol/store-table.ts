// What a replica store does with a message: finds the few facts that decide, and asks the tables of store-rows.ts. Pure
// and synchronous; the receiver keeps what is asked here (state as durable, connection, time of the last heartbeat) and
// carries the answer out. Asked again after each step that an answer demands.
// The last parameter of every decision is the tables, so that the explorer can run changed ones.
import type { BatchSeq, Bytes, Epoch, Ms, Run } from '../../base/units.ts'
import { logEpoch, NO_LOG_UUID } from '../register/record.ts'
import { decide } from './decision-table.ts'
import { SEAL_WAIT_MS } from './lease-times.ts'
import {
  type Answer,
  APPEND_ROWS,
  type AppendFacts,
  type EngineAge,
  FETCH_ROWS,
  type FetchFacts,
  HELLO_ROWS,
  type HelloAction,
  type HelloFacts,
  LEARN_ROWS,
  PREPARE_ROWS,
  type PrepareFacts,
  PROMOTE_ROWS,
  type PromoteFacts,
  type Purpose,
  SEAL_ROWS,
  type SealAction,
  type SealFacts,
  SENDER_ROWS,
  type StoreOrder,
  TRIM_ROWS,
  type TrimFacts,
} from './store-rows.ts'
import { LOG_NAMES_MAX, type LogBegin, type LogName, type StoredLog, type VolumeState } from './stored-log.ts'

export const STORE_TABLES = {
  hello: HELLO_ROWS,
  sender: SENDER_ROWS,
  append: APPEND_ROWS,
  trim: TRIM_ROWS,
  seal: SEAL_ROWS,
  learn: LEARN_ROWS,
  prepare: PREPARE_ROWS,
  promote: PROMOTE_ROWS,
  fetch: FETCH_ROWS,
}
export type StoreTables = typeof STORE_TABLES

export interface StoreDecision<Action extends string> {
  /** The row, for logs and tests. */
  readonly label: string
  readonly then: Answer<Action>
}

/** The engine at the other end of a connection, as its HELLO named it. */
export interface Sender {
  /** False as soon as another connection of the volume has said HELLO. */
  readonly present: boolean
  readonly purpose: Purpose
  readonly epoch: Epoch
  readonly run: Run
}

/** The promise is never smaller than the epoch, and runs compare only within one epoch (3.3). */
export function engineAge(state: VolumeState | null, { epoch, run }: { epoch: Epoch; run: Run }): EngineAge {
  if (state === null) return 'newer'
  if (epoch < state.promise) return 'epoch-old'
  if (epoch > state.epoch || run > state.run) return 'newer'
  return run === state.run ? 'same' : 'run-old'
}

export interface HelloInput {
  readonly purpose: Purpose
  readonly epoch: Epoch
  readonly run: Run
  readonly proof: HelloFacts['proof']
  readonly room: HelloFacts['room']
}

/** Every answer but a refusal also ends all other connections of the volume, before anything else is done. */
export function helloDecision(
  { purpose, epoch, run, proof, room }: HelloInput,
  state: VolumeState | null,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<HelloAction> {
  const volume = state === null ? 'unknown' : 'known'
  return decide(tables.hello, { purpose, proof, volume, engine: engineAge(state, { epoch, run }), room })
}

/** May this sender order this at all? Alone it decides RELEASE and STATE; every other decision begins with it. */
export function orderDecision(
  sender: Sender,
  order: StoreOrder,
  state: VolumeState,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<'go-on'> {
  const connection = sender.present ? 'present' : 'ended'
  return decide(tables.sender, { connection, engine: engineAge(state, sender), purpose: sender.purpose, order })
}

/** `inner` is asked only where the sender may order this. */
function ordered<Action extends string>(
  outer: StoreDecision<'go-on'>,
  inner: () => StoreDecision<Action>,
): StoreDecision<Action> {
  const { label, then } = outer
  return then === 'go-on' ? inner() : { label, then }
}

/**
 * A store does not know who is a member, so it answers every heartbeat of the present owner. That is harmless: the owner
 * counts only answers of listed members (lease.ts), and here an answer only makes a later seal wait.
 */
export function heartbeatDecision(
  sender: Sender,
  state: VolumeState,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<'renew'> {
  return ordered(orderDecision(sender, 'HEARTBEAT', state, tables), () => ({ label: 'heartbeat', then: 'renew' }))
}

export interface BatchPlace {
  readonly batchSeq: BatchSeq
  readonly logUuid: string
  readonly previousHash: bigint
  readonly headerHash: bigint
  /** headerHash of the batch of this number here; null where none is held. */
  readonly heldHash: bigint | null
}

export function appendDecision(
  sender: Sender,
  state: VolumeState,
  batch: BatchPlace,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<'store' | 'duplicate'> {
  return ordered(orderDecision(sender, 'APPEND', state, tables), () => decide(tables.append, appendFacts(state, batch)))
}

function appendFacts({ log }: VolumeState, batch: BatchPlace): AppendFacts {
  if (log === null) return { log: 'none', position: 'gap', name: 'other' }
  return { log: 'held', position: appendPosition(log, batch), name: nameOf(log, batch) }
}

function appendPosition(log: StoredLog, batch: BatchPlace): AppendFacts['position'] {
  const { batchSeq } = batch
  if (batchSeq < log.tail.batchSeq) return 'below-tail'
  if (batchSeq <= log.lastBatchSeq) return batch.heldHash === batch.headerHash ? 'held-same' : 'held-other'
  if (batchSeq > log.lastBatchSeq + 1) return 'gap'
  return batch.previousHash === log.lastHash ? 'next' : 'next-of-other-chain'
}

function nameOf({ lineage, pending }: StoredLog, { batchSeq, logUuid }: BatchPlace): AppendFacts['name'] {
  const name = nameAt(lineage, batchSeq)
  if (name === logUuid || name === NO_LOG_UUID) return 'lineage'
  return pending?.logUuid === logUuid ? 'pending' : 'other'
}

/**
 * The logUuid that batch `batchSeq` carries; null where the lineage does not reach back so far. NO_LOG_UUID stands for
 * names that were merged because a log took too many: any.
 */
export function nameAt(lineage: readonly LogName[], batchSeq: BatchSeq): string | null {
  let name: string | null = null
  for (const entry of lineage) if (entry.firstBatchSeq <= batchSeq) name = entry.logUuid
  return name
}

/** TRIM of everything up to and including `batchSeq`. */
export function trimDecision(
  sender: Sender,
  state: VolumeState,
  batchSeq: BatchSeq,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<'trim' | 'trimmed-already'> {
  return ordered(orderDecision(sender, 'TRIM', state, tables), () =>
    decide(tables.trim, trimFacts(state.log, batchSeq)),
  )
}

function trimFacts(log: StoredLog | null, batchSeq: BatchSeq): TrimFacts {
  if (log === null) return { log: 'none', position: 'ahead' }
  if (batchSeq < log.tail.batchSeq) return { log: 'held', position: 'behind' }
  return { log: 'held', position: batchSeq <= log.lastBatchSeq ? 'within' : 'ahead' }
}

/** What a store knows when it is asked for its seal; all times by its own clock, which runs on while the host sleeps. */
export interface SealInput {
  readonly predecessorOff: boolean
  readonly ownEngine: SealFacts['ownEngine']
  readonly nowMs: Ms
  /** Of this life of the store. */
  readonly startedAtMs: Ms
  /** The last one that was answered, whoever sent it; null: none in this life of the store. */
  readonly lastHeartbeatAtMs: Ms | null
  /** RELEASE came after that heartbeat. */
  readonly released: boolean
}

export interface SealDecision extends StoreDecision<SealAction> {
  /** While it waits: how long at most. */
  readonly remainingMs: Ms
}

export function sealDecision(
  sender: Sender,
  state: VolumeState,
  input: SealInput,
  tables: StoreTables = STORE_TABLES,
): SealDecision {
  const restMs = sealRest(input)
  const { label, then } = ordered<SealAction>(orderDecision(sender, 'SEAL', state, tables), () =>
    decide(tables.seal, {
      promise: state.promise >= sender.epoch ? 'durable' : 'smaller',
      ownEngine: input.ownEngine,
      lease: restMs.lease > 0 ? (input.released ? 'released' : 'may-run') : 'none',
      start: restMs.start > 0 ? 'recent' : 'long-ago',
      predecessorOff: input.predecessorOff,
    }),
  )
  const remainingMs = Math.max(restMs.start, input.released ? 0 : restMs.lease)
  return { label, then, remainingMs: then === 'wait' ? remainingMs : 0 }
}

function sealRest({ nowMs, startedAtMs, lastHeartbeatAtMs }: SealInput): { readonly start: Ms; readonly lease: Ms } {
  const rest = (sinceMs: Ms): Ms => Math.max(0, sinceMs + SEAL_WAIT_MS - nowMs)
  return { start: rest(startedAtMs), lease: lastHeartbeatAtMs === null ? 0 : rest(lastHeartbeatAtMs) }
}

export interface LearnInput {
  readonly lineage: readonly LogName[]
  readonly begin: LogBegin
  readonly logBytes: Bytes
  /** What can be reserved, with what is reserved for this volume now. */
  readonly availableBytes: Bytes
}

/**
 * 7.1c, whose other half is the owner's (membership-table.ts): that no change of the members is open and that the settled
 * ones lack this store. Repeated it starts anew.
 */
export function learnDecision(
  sender: Sender,
  state: VolumeState,
  learn: LearnInput,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<'start-empty'> {
  return ordered(orderDecision(sender, 'LEARN', state, tables), () =>
    decide(tables.learn, {
      begin: isValidBegin(sender, learn) ? 'valid' : 'invalid',
      space: learn.logBytes <= learn.availableBytes ? 'fits' : 'lacks',
    }),
  )
}

function isValidBegin(sender: Sender, { lineage, begin }: LearnInput): boolean {
  const [first] = lineage
  if (first === undefined || lineage.length > LOG_NAMES_MAX || first.firstBatchSeq > begin.batchSeq) return false
  return lineage.every(({ logUuid, firstBatchSeq }, i) => {
    const before = lineage[i - 1]
    return (before === undefined || before.firstBatchSeq < firstBatchSeq) && logEpoch(logUuid) <= sender.epoch
  })
}

export interface PrepareInput {
  /** The name that the register gave to the log when the opener claimed. */
  readonly authoritativeLogUuid: string
  readonly newLogUuid: string
  /** The gathered end. */
  readonly lastBatchSeq: BatchSeq
  readonly lastHash: bigint
  /** headerHash of the batch of that number here; null where none is held. */
  readonly heldHash: bigint | null
}

export function prepareDecision(
  sender: Sender,
  state: VolumeState,
  prepare: PrepareInput,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<'write-pending' | 'prepared-already' | 'promote-first'> {
  return ordered(orderDecision(sender, 'PREPARE', state, tables), () =>
    decide(tables.prepare, prepareFacts(state.log, prepare)),
  )
}

function prepareFacts(log: StoredLog | null, prepare: PrepareInput): PrepareFacts {
  if (log === null) return { log: 'none', authoritative: 'other', end: 'beyond', pending: 'none' }
  const { pending } = log
  const wanted =
    pending?.logUuid === prepare.newLogUuid && pending.firstBatchSeq === prepare.lastBatchSeq + 1 ? 'same' : 'other'
  return {
    log: 'held',
    authoritative: nameHere(log, prepare.authoritativeLogUuid),
    end: preparedEnd(log, prepare),
    pending: pending === null ? 'none' : wanted,
  }
}

function preparedEnd(log: StoredLog, { lastBatchSeq, lastHash, heldHash }: PrepareInput): PrepareFacts['end'] {
  if (lastBatchSeq > log.lastBatchSeq) return 'beyond'
  const here = lastBatchSeq === log.tail.batchSeq - 1 ? log.tail.previousHash : heldHash
  return here === lastHash ? 'held' : 'differs'
}

function nameHere({ lineage, pending }: StoredLog, logUuid: string): PromoteFacts['name'] {
  if (lineage.at(-1)?.logUuid === logUuid) return 'current'
  return pending?.logUuid === logUuid ? 'pending' : 'other'
}

/** By the owner after settled S5, or by an opener to whom the register gave this name (5.1). */
export function promoteDecision(
  sender: Sender,
  state: VolumeState,
  logUuid: string,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<'promote' | 'promoted-already'> {
  const { log } = state
  return ordered(orderDecision(sender, 'PROMOTE', state, tables), () =>
    decide(tables.promote, {
      log: log === null ? 'none' : 'held',
      name: log === null ? 'other' : nameHere(log, logUuid),
    }),
  )
}

export function fetchDecision(
  sender: Sender,
  state: VolumeState,
  fromBatchSeq: BatchSeq,
  tables: StoreTables = STORE_TABLES,
): StoreDecision<'send' | 'send-end'> {
  return ordered(orderDecision(sender, 'FETCH', state, tables), () =>
    decide(tables.fetch, fetchFacts(state.log, fromBatchSeq)),
  )
}

function fetchFacts(log: StoredLog | null, from: BatchSeq): FetchFacts {
  if (log === null) return { log: 'none', from: 'beyond' }
  if (from < log.tail.batchSeq) return { log: 'held', from: 'below-tail' }
  if (from <= log.lastBatchSeq) return { log: 'held', from: 'within' }
  return { log: 'held', from: from === log.lastBatchSeq + 1 ? 'at-end' : 'beyond' }
}
