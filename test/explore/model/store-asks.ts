// What a replica store answers: the product's decisions (protocol/store-table.ts), asked once for each state of a store and
// each message, and what the store then holds.
import type { Answer } from '../../../csi-driver/protocol/store-rows.ts'
import {
  appendDecision,
  fetchDecision,
  heartbeatDecision,
  helloDecision,
  learnDecision,
  prepareDecision,
  promoteDecision,
  sealDecision,
  type Sender,
  trimDecision,
} from '../../../csi-driver/protocol/store-table.ts'
import { SEAL_WAIT_MS } from '../../../csi-driver/protocol/lease-times.ts'
import { isOfNewerEngine } from '../../../csi-driver/protocol/stored-log.ts'
import { type Batch, type Log, uuidOf, type Volume } from './log-pool.ts'
import type { Model } from './model.ts'
import { LEASE, type State, type StoreView } from './state.ts'

/** Refusals that an engine tells apart: it is fenced, or this store cannot go on with it. */
export const ANSWER = { drop: 0, fenced: 1, refused: 2, done: 3, already: 4, wait: 5, endEngine: 6 } as const

const ORDER = {
  hello: 0,
  append: 1,
  trim: 2,
  heartbeat: 3,
  seal: 4,
  learn: 5,
  prepare: 6,
  promote: 7,
  fetch: 8,
} as const

const ANSWERS: Readonly<Record<string, number>> = {
  drop: ANSWER.drop,
  welcome: ANSWER.already,
  persist: ANSWER.done,
  create: ANSWER.done,
  store: ANSWER.done,
  duplicate: ANSWER.already,
  trim: ANSWER.done,
  'trimmed-already': ANSWER.already,
  renew: ANSWER.done,
  grant: ANSWER.done,
  wait: ANSWER.wait,
  'end-own-engine': ANSWER.endEngine,
  'persist-promise': ANSWER.done,
  'start-empty': ANSWER.done,
  'write-pending': ANSWER.done,
  'prepared-already': ANSWER.already,
  'promote-first': ANSWER.wait,
  promote: ANSWER.done,
  'promoted-already': ANSWER.already,
  send: ANSWER.done,
  'send-end': ANSWER.already,
}

function numberOf<Action extends string>(answer: Answer<Action>): number {
  if (typeof answer === 'string') return ANSWERS[answer] as number
  return isOfNewerEngine(answer.refuse) ? ANSWER.fenced : ANSWER.refused
}

function keyOf(order: number, { present, purpose, epoch, run }: Sender, of: number): number {
  return order | (Number(present) << 4) | (Number(purpose === 'opener') << 5) | (epoch << 6) | (run << 9) | (of << 12)
}

function asked(volume: Volume, key: number, ask: () => number): number {
  let answer = volume.decided.get(key)
  if (answer === undefined) volume.decided.set(key, (answer = ask()))
  return answer
}

/** HELLO; what it demands is written by `greet`. */
export function askHello(model: Model, state: State, store: number, sender: Sender): number {
  const volume = model.volume(state, store)
  const { tables } = model.rules
  const ask = (): number =>
    numberOf(helloDecision({ ...sender, proof: 'right', room: 'there' }, volume?.state ?? null, tables).then)
  return volume === null ? ask() : asked(volume, keyOf(ORDER.hello, sender, 0), ask)
}

/** The store has accepted the HELLO: promise, epoch and run are durable, older connections are at their end. */
export function greet(model: Model, next: State, store: number, { epoch, run }: Sender): void {
  const volume = model.volume(next, store)
  const promise = Math.max(epoch, volume?.state.promise ?? 0)
  next.store(store).volume = model.logs.volumeOf(promise, epoch, run, volume?.log ?? null).id
  if (next.lateAppend.to !== store + 1) return
  if (model.rules.endedIsDropped) clearLateAppend(next)
  else next.lateAppend.ended = 1
}

export function askAppend(model: Model, volume: Volume, sender: Sender, batch: Batch): number {
  return asked(volume, keyOf(ORDER.append, sender, batch.id), () => {
    const place = {
      batchSeq: batch.seq,
      logUuid: uuidOf(batch.name),
      previousHash: BigInt(batch.previous),
      headerHash: BigInt(batch.id),
      heldHash: heldHash(volume.log, batch.seq),
    }
    return numberOf(appendDecision(sender, volume.state, place, model.rules.tables).then)
  })
}

function heldHash(log: Log | null, seq: number): bigint | null {
  const held = log?.batches[seq] ?? 0
  return held === 0 ? null : BigInt(held)
}

export function askTrim(model: Model, volume: Volume, sender: Sender, seq: number): number {
  return asked(volume, keyOf(ORDER.trim, sender, seq), () =>
    numberOf(trimDecision(sender, volume.state, seq, model.rules.tables).then),
  )
}

export function askHeartbeat(model: Model, volume: Volume, sender: Sender): number {
  return asked(volume, keyOf(ORDER.heartbeat, sender, 0), () =>
    numberOf(heartbeatDecision(sender, volume.state, model.rules.tables).then),
  )
}

/** Any time that is long after the start of a store whose age does not matter. */
const NOW_MS = 10 * SEAL_WAIT_MS

export interface SealAsked {
  readonly predecessorOff: boolean
  readonly ownEngine: 'unasked' | 'ended'
}

/** The times stand for what the state says of the store's lease and age. */
export function askSeal(
  model: Model,
  volume: Volume,
  sender: Sender,
  { lease, recent, predecessorOff, ownEngine }: SealAsked & Pick<StoreView, 'lease' | 'recent'>,
): number {
  const of = lease | (recent << 2) | (Number(predecessorOff) << 3) | (Number(ownEngine === 'ended') << 4)
  return asked(volume, keyOf(ORDER.seal, sender, of), () => {
    const input = {
      predecessorOff,
      ownEngine,
      nowMs: NOW_MS,
      startedAtMs: recent === 1 ? NOW_MS : 0,
      lastHeartbeatAtMs: lease === LEASE.none ? null : NOW_MS,
      released: lease === LEASE.released,
    }
    return numberOf(sealDecision(sender, volume.state, input, model.rules.tables).then)
  })
}

export function askLearn(model: Model, volume: Volume, sender: Sender, { stored }: Log): number {
  const learn = { lineage: stored.lineage, begin: stored.tail, logBytes: 1, availableBytes: 1 }
  return numberOf(learnDecision(sender, volume.state, learn, model.rules.tables).then)
}

export interface Preparation {
  /** Names of the log that the register gave the opener, and of the one to be. */
  readonly authoritative: number
  readonly name: number
  readonly last: number
  readonly lastBatch: number
}

export function askPrepare(model: Model, volume: Volume, sender: Sender, asks: Preparation): number {
  const { authoritative, name, last, lastBatch } = asks
  const prepare = {
    authoritativeLogUuid: uuidOf(authoritative),
    newLogUuid: uuidOf(name),
    lastBatchSeq: last,
    lastHash: BigInt(lastBatch),
    heldHash: heldHash(volume.log, last),
  }
  return numberOf(prepareDecision(sender, volume.state, prepare, model.rules.tables).then)
}

export function askPromote(model: Model, volume: Volume, sender: Sender, name: number): number {
  return asked(volume, keyOf(ORDER.promote, sender, name), () =>
    numberOf(promoteDecision(sender, volume.state, uuidOf(name), model.rules.tables).then),
  )
}

export function askFetch(model: Model, volume: Volume, sender: Sender, seq: number): number {
  return asked(volume, keyOf(ORDER.fetch, sender, seq), () =>
    numberOf(fetchDecision(sender, volume.state, seq, model.rules.tables).then),
  )
}

export function clearLateAppend({ lateAppend }: State): void {
  lateAppend.to = lateAppend.epoch = lateAppend.run = lateAppend.opener = lateAppend.batch = lateAppend.ended = 0
}

/** The store now holds `log`; promise, epoch and run stay. */
export function keepLog(model: Model, next: State, store: number, log: Log): void {
  const { promise, epoch, run } = (model.volume(next, store) as Volume).state
  next.store(store).volume = model.logs.volumeOf(promise, epoch, run, log).id
}

export function keepNoLog(model: Model, next: State, store: number): void {
  const { promise, epoch, run } = (model.volume(next, store) as Volume).state
  next.store(store).volume = model.logs.volumeOf(promise, epoch, run, null).id
}
