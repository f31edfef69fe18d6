// What must hold in every state. The strong invariant (PROTOCOL §10): each listed member's log over the backing gives every
// write that was acknowledged or read, whoever would open the volume now; a clean register means that the backing does.
// And whoever may serve reads shows nothing older than that, and nothing that was undecided and has not been seen since.
import type { Model } from './model.ts'
import { memberOf, nodeOfStore, NODES, storeOf } from './record-pool.ts'
import { backingOf, BLOCKS, floorOf, MODE, type State, VIOLATION, WRITE } from './state.ts'

const TEXTS: Readonly<Record<number, string>> = {
  [VIOLATION.servesWithout]: 'a new owner serves without a write that was acknowledged or read',
  [VIOLATION.oldAcknowledges]: 'an old epoch acknowledges after a new one has served',
  [VIOLATION.oldWritesBacking]: 'a write of an old epoch reaches the backing after a new one has served',
  [VIOLATION.copiesDiffer]: 'two copies of the log hold different batches under one number',
  [VIOLATION.asserts]: 'a change of the register asserts',
  [VIOLATION.backingLacks]: 'the register says clean, but the backing lacks a write that was acknowledged or read',
  [VIOLATION.oldReadsStale]: 'an old owner serves a stale read',
  [VIOLATION.readsBack]: 'a read of the present owner goes back in time',
  [VIOLATION.undecidedAppears]: 'a write that was lost with its owner appears later',
}

export function violationText(violation: number): string {
  const member = violation - VIOLATION.memberLacks
  if (member >= 0 && member < 2 * NODES) {
    const name = `${member < NODES ? 'store' : 'cache'} n${nodeOfStore(member)}`
    return `listed ${name} would recover to a state that lacks a write that was acknowledged or read`
  }
  return TEXTS[violation] ?? `violation ${violation}`
}

/** 0, or what is broken. */
export function check(model: Model, state: State): number {
  const { globals } = state
  if (globals.violation !== 0) return globals.violation
  return checkRegister(model, state) || checkReaders(model, state)
}

function checkRegister(model: Model, state: State): number {
  const { record, dirty, logName } = model.records.get(state.globals.register)
  if (!dirty) {
    for (let block = 0; block < BLOCKS; block++) {
      if (backingOf(state.globals, block) < floorOf(state.globals, block)) return VIOLATION.backingLacks
    }
    return 0
  }
  for (const member of record.members) {
    const store = storeOf(member)
    // What lost its content is no copy any more, and nobody takes it for one.
    if (memberOf(store, state.store(store).incarnation).incarnation !== member.incarnation) continue
    if (!recovers(model, state, store, logName)) return VIOLATION.memberLacks + store
  }
  return 0
}

function recovers(model: Model, state: State, store: number, logName: number): boolean {
  const log = model.volume(state, store)?.log ?? null
  const last = model.lastUnder(log, logName)
  for (let block = 0; block < BLOCKS; block++) {
    const floor = floorOf(state.globals, block)
    const shows = log === null || last < 0 ? backingOf(state.globals, block) : model.over(state, log, last, block)
    if (shows < floor) return false
  }
  return true
}

function checkReaders(model: Model, state: State): number {
  for (let node = 0; node < NODES; node++) {
    const engine = state.engine(node)
    if (engine.mode !== MODE.serving) continue
    for (let block = 0; block < BLOCKS; block++) {
      if (model.rules.flags.readsWaitForBypass && model.bypassUnderWay(state, node, block)) continue
      const shows = model.reads(state, node, block)
      if (shows < 0) continue
      const floor = floorOf(state.globals, block)
      if (shows < floor) {
        const isOld = model.record(engine).epoch < state.globals.served
        return isOld ? VIOLATION.oldReadsStale : VIOLATION.readsBack
      }
      if (shows > floor && state.write(shows).state === WRITE.undecided) return VIOLATION.undecidedAppears
    }
  }
  return 0
}
