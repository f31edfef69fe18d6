// Steps of an engine that dies and of the one that its holder starts next: what becomes of the epoch the product says
// (protocol/restart-table.ts), and then, step by step, how all copies are made equal (protocol/resume-table.ts).
import { decide } from '../../../csi-driver/protocol/decision-table.ts'
import { fenced as fencedEntry, removeMember } from '../../../csi-driver/protocol/register-transitions.ts'
import { restartFacts } from '../../../csi-driver/protocol/restart-table.ts'
import { type ResumeInput, type ResumeStep, resumeStep } from '../../../csi-driver/protocol/resume-table.ts'
import type { Unfenced } from '../../../csi-driver/register/record.ts'
import type { RegisterIntent } from '../../../csi-driver/register/settlement.ts'
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import type { Log, Volume } from './log-pool.ts'
import { fenced, senderOf } from './log-steps.ts'
import type { Model } from './model.ts'
import { cacheOf, isCache, memberOf, nodeOf, storeOf } from './record-pool.ts'
import { changeRegister, ownLogOf, serve } from './register-steps.ts'
import {
  adoptCache,
  MODE,
  ownCache,
  reaches,
  setAcked,
  setIncarnation,
  type State,
  VIOLATION,
  WRITE,
  WRITES,
} from './state.ts'
import { ANSWER, askAppend, askFetch, askHello, askPromote, askTrim, greet, keepLog } from './store-asks.ts'

const INTENT: RegisterIntent = { change: 'explored', expectedRv: 1, baseEpoch: 1, registerNonce: '', changeId: 'own' }

/** The engine dies, whatever it does; its holder starts another. */
export function crashSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  if (engine.mode === MODE.none || from.budgets.engineCrashes === 0) return
  const decision = restartDecision(model, from, node)
  if (decision === 'wait') return
  const resumes = decision === 'resume' || decision === 'settle-first'
  const next = out.fork()
  next.budgets.engineCrashes -= 1
  for (let write = 1; write <= WRITES; write++) {
    if (next.write(write).state === WRITE.onBacking && model.isOwed(from, node, write))
      next.write(write).state = WRITE.pending
  }
  const { record, intent, current, wish, handedOver } = engine
  next.clearEngine(node)
  if (resumes) {
    const after = next.engine(node)
    after.mode = MODE.resuming
    after.record = record
    after.current = current
    after.wish = wish
    after.handedOver = handedOver
    after.run = (model.volume(from, cacheOf(node)) as Volume).state.run + 1
    if (decision === 'settle-first') {
      after.intent = intent
      after.found = 1
    }
  }
  out.add(action(resumes ? ACTION.restart : ACTION.endEngine, node))
}

function restartDecision(model: Model, state: State, node: number): string {
  const engine = state.engine(node)
  const { epoch, record } = model.record(engine)
  const volume = model.volume(state, cacheOf(node))
  // A superblock of another epoch is not that of this engine: it died before it had a log of its own.
  const isMine = volume !== null && volume.log !== null && volume.state.epoch === epoch
  const store = memberOf(cacheOf(node), ownCache(state, node).incarnation)
  const reaped = !state.backingWrites.some((write) => write.write !== 0 && write.node === node)
  const superblock = isMine ? { store, settled: record, intent: engine.intent === 0 ? null : INTENT } : null
  const facts = restartFacts({ sameHolder: true, predecessorReaped: reaped, superblock })
  return decide(model.rules.tables.restart, facts).then
}

export function resumeSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  const { members } = model.record(engine)
  for (let store = 0; members >> store > 0; store++) {
    if (((members & ~engine.met) >> store) & 1 && !isCache(store)) meet(model, out, node, store)
  }
  if (engine.intent !== 0) return
  const [entry] = model.record(engine).record.unfenced
  if (entry === undefined) carryOut(model, out, node, stepOf(model, from, node))
  else removeEntry(model, out, node, entry)
}

function carryOut(model: Model, out: Successors, node: number, step: ResumeStep): void {
  switch (step.step) {
    case 'open':
      out.fork().clearEngine(node)
      out.add(action(ACTION.endEngine, node))
      break
    case 'promote':
      promote(model, out, node, storeOf(step.member))
      break
    case 'corrupt':
      out.fork().globals.violation = VIOLATION.copiesDiffer
      out.add(action(ACTION.corrupt, node))
      break
    case 'wait':
      break
    case 'remove':
      remove(model, out, node, storeOf(step.member))
      break
    case 'adopt':
      adopt(model, out, node, storeOf(step.member))
      break
    case 'trim-own': {
      const log = ownLogOf(model, out.from, node)
      if (log === null) break
      keepLog(model, out.fork(), cacheOf(node), model.logs.trim(log, step.before - 1))
      out.add(action(ACTION.trim, node, cacheOf(node), step.before - 1))
      break
    }
    case 'equalise':
      for (const { member, batchSeq } of step.sends) send(model, out, node, { store: storeOf(member), seq: batchSeq })
      for (const { member, batchSeq } of step.trims) trim(model, out, node, { store: storeOf(member), seq: batchSeq })
      break
    case 'serve':
      resumed(model, out, node)
      break
  }
}

function stepOf(model: Model, state: State, node: number): ResumeStep {
  const engine = state.engine(node)
  const { record } = model.record(engine)
  const parts = record.members.map((member) => {
    const store = storeOf(member)
    const { incarnation, volume } = state.store(store)
    const isMet = Number(((engine.met >> store) & 1) === 1)
    return ((volume * 4 + incarnation) * 2 + isMet) * 2 + Number(reaches(state, node, store))
  })
  const { incarnation, volume } = ownCache(state, node)
  const key = `${node} ${engine.record} ${engine.handedOver} ${volume} ${incarnation} ${parts.join()}`
  return model.resumeStep(key, () => resumeStep(inputOf(model, state, node), model.rules.resumeTables))
}

function inputOf(model: Model, state: State, node: number): ResumeInput {
  const engine = state.engine(node)
  const { record } = model.record(engine)
  const own = ownLog(model, state, node)
  const others = record.members.filter((member) => storeOf(member) !== cacheOf(node))
  return {
    record,
    ownStore: memberOf(cacheOf(node), ownCache(state, node).incarnation),
    own: own === null ? null : ownView(own),
    handedOver: engine.handedOver === 1,
    members: others.map((member) => {
      const store = storeOf(member)
      const isMet = ((engine.met >> store) & 1) === 1
      const log = model.volume(state, store)?.log ?? null
      const { storeUuid, incarnation } = memberOf(store, state.store(store).incarnation)
      return {
        member,
        answer: !reaches(state, node, store) ? 'late' : isMet ? 'welcome' : 'silent',
        found: isMet ? { storeUuid, incarnation } : null,
        log: isMet ? (log?.stored ?? null) : null,
        damaged: false,
        diverges: log !== null && own !== null && diverges(model, own, log),
      }
    }),
  }
}

/** Of a new owner what its cache holds of earlier epochs means nothing. */
function ownLog(model: Model, state: State, node: number): Log | null {
  const engine = state.engine(node)
  const volume = model.volume(state, cacheOf(node))
  const isOld = engine.handedOver === 1 && volume?.state.epoch !== model.record(engine).epoch
  return isOld ? null : (volume?.log ?? null)
}

function ownView(log: Log): ResumeInput['own'] {
  return {
    tail: log.stored.tail,
    lastBatchSeq: log.last,
    lastHash: log.stored.lastHash,
    hashAt: (seq) => ((log.batches[seq] ?? 0) === 0 ? null : BigInt(log.batches[seq] as number)),
  }
}

/** What was fetched does not follow the own end. */
function diverges(model: Model, own: Log, log: Log): boolean {
  return (
    log.last > own.last && log.trimmed <= own.last && model.logs.ancestor(log.lastBatch, own.last) !== own.lastBatch
  )
}

function meet(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const engine = from.engine(node)
  if (!reaches(from, node, store)) return
  const sender = senderOf(model, engine)
  const answer = askHello(model, from, store, sender)
  if (answer === ANSWER.fenced) fenced(out, node, store)
  if (answer !== ANSWER.done && answer !== ANSWER.already) return
  const next = out.fork()
  greet(model, next, store, sender)
  next.engine(node).met |= 1 << store
  setIncarnation(next.engine(node), store, next.store(store).incarnation)
  out.add(action(ACTION.meet, node, store))
}

function promote(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const volume = model.volume(from, store)
  const engine = from.engine(node)
  if (volume === null || volume.log === null || !reaches(from, node, store)) return
  if (askPromote(model, volume, senderOf(model, engine), model.record(engine).logName) !== ANSWER.done) return
  keepLog(model, out.fork(), store, model.logs.promote(volume.log))
  out.add(action(ACTION.promote, node, store))
}

function remove(model: Model, out: Successors, node: number, store: number): void {
  const engine = out.from.engine(node)
  const { record } = model.record(engine)
  const listed = record.members.find((member) => storeOf(member) === store)
  if (listed === undefined) return
  const proposed = model.records.changed(engine.record, `resume-remove ${store}`, (old) => removeMember(old, listed))
  const before = (next: State): void => {
    next.engine(node).met &= ~(1 << store)
  }
  changeRegister(model, out, node, { action: action(ACTION.removeMember, node, store), proposed, before })
}

/** One batch at a time: the engine may die in between. */
function adopt(model: Model, out: Successors, node: number, store: number): void {
  const { from } = out
  const volume = model.volume(from, store)
  if (volume === null || volume.log === null || !reaches(from, node, store)) return
  const { log } = volume
  const engine = from.engine(node)
  const own = ownLog(model, from, node)
  const next = out.fork()
  const cache = ownCache(next, node)
  if (own === null) {
    const { epoch } = model.record(engine)
    cache.volume = model.logs.volumeOf(epoch, epoch, 0, model.logs.emptyLog(log, log.trimmed)).id
    out.add(action(ACTION.gather, node, store))
    return
  }
  const seq = own.last + 1
  if (seq > log.last) return
  if (askFetch(model, volume, senderOf(model, engine), seq) !== ANSWER.done) return
  keepLog(model, next, cacheOf(node), model.logs.append(own, log.batches[seq] as number))
  out.add(action(ACTION.adopt, node, store, seq))
}

function send(model: Model, out: Successors, node: number, { store, seq }: { store: number; seq: number }): void {
  const { from } = out
  const own = ownLogOf(model, from, node)
  const volume = model.volume(from, store)
  const batch = own?.batches[seq] ?? 0
  if (volume === null || volume.log === null || batch === 0 || !reaches(from, node, store)) return
  const answer = askAppend(model, volume, senderOf(model, from.engine(node)), model.logs.batch(batch))
  if (answer === ANSWER.fenced) fenced(out, node, store)
  if (answer !== ANSWER.done) return
  keepLog(model, out.fork(), store, model.logs.append(volume.log, batch))
  out.add(action(ACTION.append, node, store, seq))
}

function trim(model: Model, out: Successors, node: number, { store, seq }: { store: number; seq: number }): void {
  const { from } = out
  const volume = model.volume(from, store)
  if (volume === null || volume.log === null || !reaches(from, node, store)) return
  const answer = askTrim(model, volume, senderOf(model, from.engine(node)), seq)
  if (answer === ANSWER.fenced) fenced(out, node, store)
  if (answer !== ANSWER.done) return
  keepLog(model, out.fork(), store, model.logs.trim(volume.log, seq))
  out.add(action(ACTION.trim, node, store, seq))
}

/**
 * 6: what was handed over, settled, is itself the evidence that the old owner had closed the backing. The node acquires the
 * backing first: only a change that is settled after a fence of the node was lifted shows that nobody has set it anew.
 */
function removeEntry(model: Model, out: Successors, node: number, entry: Unfenced): void {
  if (!drained(model, out.from, node)) return
  const engine = out.from.engine(node)
  const proposed = model.records.changed(engine.record, `closed ${entry.node} ${entry.epoch}`, (record) =>
    fencedEntry(record, entry, 'closed'),
  )
  const before = (next: State): void => {
    next.globals.cutOff &= ~(1 << node)
  }
  changeRegister(model, out, node, { action: action(ACTION.removeEntry, node, nodeOf(entry.node)), proposed, before })
}

/** 5.3: has everything that older engines of this node sent to the backing come to its end? */
export function drained(model: Model, state: State, node: number): boolean {
  if (!model.rules.flags.drainsBeforeReturn) return true
  const { epoch } = model.record(state.engine(node))
  return !state.backingWrites.some((write) => write.write !== 0 && write.node === node && write.epoch < epoch)
}

/** All copies are equal: the run is persisted, and the volume serves. */
function resumed(model: Model, out: Successors, node: number): void {
  const own = ownLogOf(model, out.from, node)
  if (own === null) return
  const next = out.fork()
  const engine = next.engine(node)
  const { epoch, members, logName } = model.record(engine)
  const log = own.pending === logName ? model.logs.promote(own) : model.logs.withoutPending(own)
  ownCache(next, node).volume = model.logs.volumeOf(epoch, epoch, engine.run, log).id
  adoptCache(next, node)
  engine.mode = MODE.serving
  engine.log = log.id
  engine.met = 0
  if (engine.handedOver === 1) {
    // The own cache holds everything, and is waited for until the register lists it.
    engine.joined = 1 << cacheOf(node)
    engine.handedOver = 0
    setAcked(engine, cacheOf(node), log.last)
  }
  for (let store = 0; members >> store > 0; store++) {
    if ((members >> store) & 1 && (!isCache(store) || store === cacheOf(node))) setAcked(engine, store, log.last)
  }
  engine.destaged0 = engine.destaged1 = log.trimmed
  serve(model, next, node)
  out.add(action(ACTION.resumed, node))
}
