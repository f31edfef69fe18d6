// Steps between an engine and the backing: newest committed versions are written back, a checkpoint trims what is there,
// and what was submitted lands some time later, whatever became of the engine, unless the node has been cut off.
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import { type Log, SUPERSEDES } from './log-pool.ts'
import type { Model } from './model.ts'
import { cacheOf } from './record-pool.ts'
import { BACKING_WRITE_KIND } from './rules.ts'
import {
  backingOf,
  BACKING_WRITES,
  type BackingWriteView,
  BLOCKS,
  clearBackingWrite,
  destagedOf,
  type EngineView,
  MODE,
  setBacking,
  setCached,
  setDestaged,
  type State,
  WRITE,
  VIOLATION,
} from './state.ts'
import { startBackingWrite } from './write-steps.ts'

export function destageSteps(model: Model, out: Successors, node: number): void {
  for (let block = 0; block < BLOCKS; block++) destage(model, out, node, block)
  checkpoint(model, out, node)
}

function destage(model: Model, out: Successors, node: number, block: number): void {
  const { from } = out
  const engine = from.engine(node)
  const log = model.log(engine)
  const seq = model.newest(log, model.committed(from, node), block)
  if (seq === 0 || destagedOf(engine, block) >= seq) return
  const content = log.contents[seq] as number
  if (content >= SUPERSEDES) {
    setDestaged(out.fork().engine(node), block, seq)
    out.add(action(ACTION.skipDestage, node, block))
    return
  }
  const inFlight = model.backingWriteInFlight(from, node, block)
  if (model.rules.flags.destageWaitsForBypass && model.bypassUnderWay(from, node, block)) return
  const { destage: kind } = BACKING_WRITE_KIND
  if (model.rules.backingWrite.get(0, kind, Number(inFlight), 1, 1, 0) !== 'submit') return
  if (!startBackingWrite(model, out.fork(), node, { write: content, seq, through: 0 })) return
  out.add(action(ACTION.submitDestage, node, content))
}

function checkpoint(model: Model, out: Successors, node: number): void {
  const { from } = out
  const engine = from.engine(node)
  const log = model.log(engine)
  const trimTo = trimmable(model, from, node)
  if (trimTo === log.trimmed) return
  const next = out.fork()
  const after = next.engine(node)
  // What leaves the log may stay readable as a clean block.
  for (let seq = log.trimmed + 1; seq <= trimTo; seq++) {
    const content = (log.contents[seq] as number) % SUPERSEDES
    const block = model.blockOf(content)
    if (model.newest(log, log.last, block) === seq) setCached(after, block, content)
  }
  after.log = model.logs.trim(log, trimTo).id
  trimOwnCache(model, next, node, trimTo)
  out.add(action(ACTION.checkpoint, node, trimTo))
}

/** Up to where rule 2.6 lets the log be trimmed. */
function trimmable(model: Model, state: State, node: number): number {
  const engine = state.engine(node)
  const log = model.log(engine)
  const committed = model.committed(state, node)
  let seq = log.trimmed
  while (seq < committed && mayTrimRecord(model, state, engine, { log, seq: seq + 1 })) seq++
  return seq
}

function mayTrimRecord(
  model: Model,
  state: State,
  engine: EngineView,
  { log, seq }: { log: Log; seq: number },
): boolean {
  const content = (log.contents[seq] as number) % SUPERSEDES
  const { state: is, epoch } = state.write(content)
  const replied = is === WRITE.answered || is === WRITE.undecided || epoch !== model.record(engine).epoch
  const destaged = destagedOf(engine, model.blockOf(content)) >= seq
  return model.rules.trimRule.get(Number(destaged), Number(replied), 1)
}

/** The checkpoint stands in the superblock beside the log. */
export function trimOwnCache(model: Model, next: State, node: number, trimTo: number): void {
  const cache = next.store(cacheOf(node))
  const volume = model.volume(next, cacheOf(node))
  if (volume === null || volume.log === null || volume.log.name !== model.log(next.engine(node)).name) return
  const { promise, epoch, run } = volume.state
  const log = model.logs.trim(volume.log, Math.min(trimTo, volume.log.last))
  cache.volume = model.logs.volumeOf(promise, epoch, run, log).id
}

export function landingSteps(model: Model, out: Successors): void {
  const { from } = out
  for (let i = 0; i < BACKING_WRITES; i++) {
    const { write, node } = from.backingWrites[i] as BackingWriteView
    if (write === 0) continue
    const isCut = ((from.globals.cutOff >> node) & 1) === 1
    const next = out.fork()
    if (!isCut) land(model, next, i)
    clearBackingWrite(next.backingWrites[i] as BackingWriteView)
    inOrder(next)
    out.add(action(isCut ? ACTION.fencedOff : ACTION.landed, node, write))
  }
}

function land(model: Model, next: State, index: number): void {
  const { write, node, epoch, run, seq, through } = next.backingWrites[index] as BackingWriteView
  const { globals } = next
  const block = model.blockOf(write)
  if (epoch < globals.served && backingOf(globals, block) !== write) globals.violation = VIOLATION.oldWritesBacking
  setBacking(globals, block, write)
  const engine = next.engine(node)
  if (engine.mode !== MODE.serving || model.record(engine).epoch !== epoch || engine.run !== run) return
  if (through === 0) setDestaged(engine, block, Math.max(destagedOf(engine, block), seq))
  else if (next.write(write).state === WRITE.pending) next.write(write).state = WRITE.onBacking
}

/** Which place a write in flight has means nothing: the first one is used first. */
function inOrder({ backingWrites }: State): void {
  const [first, second] = backingWrites as [BackingWriteView, BackingWriteView]
  if (first.write !== 0 || second.write === 0) return
  first.write = second.write
  first.node = second.node
  first.epoch = second.epoch
  first.run = second.run
  first.seq = second.seq
  first.through = second.through
  clearBackingWrite(second)
}
