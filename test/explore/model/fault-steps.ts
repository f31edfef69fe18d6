// What goes wrong, as often as the scenario allows, and what mends itself.
import { ACTION, action } from '../actions.ts'
import type { Successors } from '../successors.ts'
import { mayDiscard } from './discards.ts'
import type { Model } from './model.ts'
import { cacheOf, memberOf, NODES } from './record-pool.ts'
import { isUp, LEASE, MODE, reachesRegister, type State } from './state.ts'
import { clearLateAppend, keepNoLog } from './store-asks.ts'

export const LINKS = 2 * NODES

export function faultSteps(model: Model, out: Successors): void {
  for (let node = 0; node < NODES; node++) hostSteps(model, out, node)
  for (let store = 0; store < NODES; store++) discard(model, out, store)
  for (let link = 0; link < LINKS; link++) linkSteps(out, link)
}

function hostSteps(model: Model, out: Successors, node: number): void {
  const { from } = out
  if (!isUp(from, node)) {
    out.fork().globals.up |= 1 << node
    out.add(action(ACTION.hostUp, node))
    return
  }
  if (from.budgets.hostCrashes > 0) {
    const down = out.fork()
    down.budgets.hostCrashes -= 1
    hostDown(down, node)
    out.add(action(ACTION.hostDown, node))
    if (from.store(node).volume !== 0) {
      const restarted = out.fork()
      restarted.budgets.hostCrashes -= 1
      storeRestarts(restarted, node)
      out.add(action(ACTION.storeRestart, node))
    }
  }
  if (from.budgets.storeLosses === 0) return
  if (from.store(node).volume !== 0) {
    const lost = out.fork()
    lost.budgets.storeLosses -= 1
    storeRestarts(lost, node)
    loseContent(lost, node)
    out.add(action(ACTION.storeLost, node))
  }
  const cache = cacheOf(node)
  if (from.store(cache).volume === 0) return
  const down = out.fork()
  down.budgets.storeLosses -= 1
  hostDown(down, node)
  loseContent(down, cache)
  out.add(action(ACTION.hostDownCacheLost, node))
  if (from.engine(node).mode !== MODE.serving) return
  const lost = out.fork()
  lost.budgets.storeLosses -= 1
  loseContent(lost, cache)
  out.add(action(ACTION.storeLost, cache))
}

/** Backing writes that were submitted may land all the same. */
function hostDown(next: State, node: number): void {
  next.globals.up &= ~(1 << node)
  next.clearEngine(node)
  storeRestarts(next, node)
}

/** It forgets its leases, and its connections are gone. */
function storeRestarts(next: State, store: number): void {
  const view = next.store(store)
  if (view.volume !== 0) view.recent = 1
  view.lease = LEASE.none
  if (next.lateAppend.to === store + 1) clearLateAppend(next)
}

function loseContent(next: State, store: number): void {
  const view = next.store(store)
  view.incarnation += 1
  view.volume = 0
}

/** 7.1: a store that looks at the register drops what it is not needed for any more. */
function discard(model: Model, out: Successors, store: number): void {
  const { from } = out
  if (!isUp(from, store) || !reachesRegister(from, store)) return
  const volume = model.volume(from, store)
  if (volume === null || volume.log === null) return
  const { record } = model.records.get(from.globals.register)
  const member = memberOf(store, from.store(store).incarnation)
  if (!mayDiscard(model, { record, store: member, log: volume.log, learnOrdered: false })) return
  keepNoLog(model, out.fork(), store)
  out.add(action(ACTION.discard, store))
}

function linkSteps(out: Successors, link: number): void {
  const { from } = out
  const bit = 1 << link
  if ((from.globals.links & bit) === 0) {
    out.fork().globals.links |= bit
    out.add(action(ACTION.heal, link))
  } else if (from.budgets.cuts > 0) {
    const next = out.fork()
    next.budgets.cuts -= 1
    next.globals.links &= ~bit
    out.add(action(ACTION.cut, link))
  }
}
