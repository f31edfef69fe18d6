// What is explored, as a whole: the scenario, the rules, the pools, and the questions about a state that the steps and the
// checks ask. Which steps there are is in the files beside this one; what an engine may do in a step the product's tables
// say. Nodes 0 to 2; the volume is first owned by node 0, its cache and the replica stores of as many other nodes as the
// scenario has replicas are the members.
import { waitedFor } from '../../../csi-driver/protocol/acknowledge-table.ts'
import { leasesNeeded, serveFacts } from '../../../csi-driver/protocol/lease.ts'
import type { GatherStep } from '../../../csi-driver/protocol/gather-table.ts'
import type { MembershipAction } from '../../../csi-driver/protocol/membership-table.ts'
import type { ResumeStep } from '../../../csi-driver/protocol/resume-table.ts'
import { writeRoute } from '../../../csi-driver/protocol/phase-table.ts'
import type { Sender } from '../../../csi-driver/protocol/store-table.ts'
import { PHASES } from '../../../csi-driver/register/record.ts'
import { type Log, LogPool, SUPERSEDES, type Volume } from './log-pool.ts'
import { cacheOf, firstRecord, type KnownRecord, maskOf, memberOf, nodeName, NODES, RecordPool } from './record-pool.ts'
import { CHANGE, NEWEST, OWN_LOG, Rules } from './rules.ts'
import {
  ackedOf,
  adoptCache,
  backingOf,
  type Budget,
  cachedOf,
  type EngineView,
  incarnationOf,
  LEASE,
  MODE,
  NODE_LEASE,
  PERMISSION,
  ROUTE,
  type State,
  WRITE,
  WRITES,
} from './state.ts'

export interface Scenario {
  readonly name: string
  readonly replicas: number
  /** Nodes whose stores are members at first; without it the first `replicas` after node 0. */
  readonly members?: readonly number[]
  /** The block that each write goes to, from write 1 on. */
  readonly blocks: readonly number[]
  readonly budgets: Readonly<Partial<Record<Budget, number>>>
  /** Writes to a block that another write to it has not been answered yet. */
  readonly concurrent?: boolean
  /** Each node keeps a lease of its own, as 8.4 has it; without one what is alone and may be clean reads the backing. */
  readonly nodeLease?: boolean
  /** The user accepts the loss of what no copy gives; not together with changes of unknown outcome. */
  readonly acceptsLoss?: boolean
  /** A fence may power a host off, or does nothing else. */
  readonly powersOff?: 'maybe' | 'always'
  /** Only these changes may have an unknown outcome. */
  readonly unknownOnly?: 'add'
}

/** What an engine may and must do by the register, with the record and the open change that it knows. */
export interface Standing {
  /** Stores whose acknowledgements are waited for, learners apart. */
  readonly waited: number
  /** Replica stores whose leases are needed. */
  readonly leases: number
  readonly frozen: boolean
  readonly alone: boolean
  readonly maybeClean: boolean
}

const ROUTES = ['log', 'log-and-backing', 'backing', 'wait'] as const

export class Model {
  readonly scenario: Scenario
  readonly rules: Rules
  readonly logs = new LogPool()
  readonly records = new RecordPool()
  readonly #gatherSteps = new Map<string, GatherStep>()
  readonly #resumeSteps = new Map<string, ResumeStep>()
  readonly #memberships = new Map<number, MembershipAction>()
  readonly #senders: Sender[] = []
  readonly #standings = new Map<number, Standing>()
  /** By phase: position in the domain of `route`. */
  readonly #routes = PHASES.map((phase) => ROUTES.indexOf(writeRoute(phase)))

  constructor(scenario: Scenario, rules: Rules = new Rules()) {
    this.scenario = scenario
    this.rules = rules
  }

  first(state: State): void {
    const { replicas, budgets } = this.scenario
    const { globals } = state
    state.words.fill(0)
    const peers = this.scenario.members ?? Array.from({ length: replicas }, (_, i) => i + 1)
    const stores = [cacheOf(0), ...peers]
    const record = this.records.add(firstRecord(stores.map((store) => memberOf(store, 1))))
    const log = this.logs.freshLog(1, 0)
    globals.register = record.id
    globals.served = 1
    globals.links = 0b111_111
    globals.up = 0b111
    // Nobody but the owner has ever had the backing.
    globals.cutOff = 0b110
    for (let store = 0; store < 2 * NODES; store++) state.store(store).incarnation = 1
    for (const store of stores) {
      state.store(store).volume = this.logs.volumeOf(1, 1, 0, log).id
      if (store !== cacheOf(0)) state.store(store).lease = LEASE.mayRun
    }
    const engine = state.engine(0)
    engine.mode = MODE.serving
    engine.record = record.id
    engine.current = 1
    engine.log = log.id
    adoptCache(state, 0)
    for (const store of peers) {
      engine.leases |= 1 << store
      engine.incarnations |= 1 << (2 * store)
    }
    if (peers.length === 0 && this.scenario.nodeLease === true) engine.leases = NODE_LEASE | PERMISSION
    Object.assign(state.budgets, budgets)
  }

  /** The engine at the newest connection to a store. */
  sender(purpose: Sender['purpose'], epoch: number, run: number): Sender {
    const key = (purpose === 'opener' ? 64 : 0) + epoch * 8 + run
    return (this.#senders[key] ??= { present: true, purpose, epoch, run })
  }

  record(engine: EngineView): KnownRecord {
    return this.records.get(engine.record)
  }

  log(engine: EngineView): Log {
    return this.logs.log(engine.log) as Log
  }

  /** Null: the store knows nothing of the volume. */
  volume(state: State, store: number): Volume | null {
    const { volume } = state.store(store)
    return volume === 0 ? null : this.logs.volume(volume)
  }

  blockOf(content: number): number {
    return this.scenario.blocks[(content % SUPERSEDES) - 1] as number
  }

  standing(state: State, node: number): Standing {
    const engine = state.engine(node)
    const cache = incarnationOf(engine, cacheOf(node))
    const key = ((engine.record * 65_536 + engine.intent) * 4 + cache) * 4 + node
    let found = this.#standings.get(key)
    if (found === undefined) this.#standings.set(key, (found = this.#standingOf(engine, node, cache)))
    return found
  }

  /** What a claimant does next, asked once for all that it can know. */
  gatherStep(key: string, ask: () => GatherStep): GatherStep {
    return known(this.#gatherSteps, key, ask)
  }

  resumeStep(key: string, ask: () => ResumeStep): ResumeStep {
    return known(this.#resumeSteps, key, ask)
  }

  membership(key: number, ask: () => MembershipAction): MembershipAction {
    return known(this.#memberships, key, ask)
  }

  #standingOf(engine: EngineView, node: number, cacheIncarnation: number): Standing {
    const settled = this.record(engine).record
    const proposed = engine.intent === 0 ? null : this.records.get(engine.intent).record
    const ownStore = memberOf(cacheOf(node), cacheIncarnation)
    const { frozen, alone, register } = serveFacts({
      node: nodeName(node),
      ownStore,
      settled,
      proposed,
      fenced: false,
      answered: [],
      nowMs: 0,
      permission: 'withdrawn',
    })
    const members = waitedFor({ settled, proposed })
    return {
      waited: maskOf(members),
      leases: maskOf(leasesNeeded(members, ownStore)),
      frozen,
      alone,
      maybeClean: register === 'maybe-clean',
    }
  }

  /** Stores that an acknowledgement waits for. */
  waited(state: State, node: number): number {
    return this.standing(state, node).waited | state.engine(node).joined
  }

  /** Every batch up to it is on all stores that are waited for. */
  committed(state: State, node: number): number {
    const engine = state.engine(node)
    let committed = this.log(engine).last
    const waited = this.waited(state, node)
    for (let store = 0; waited >> store > 0; store++) {
      if ((waited >> store) & 1) committed = Math.min(committed, ackedOf(engine, store))
    }
    return committed
  }

  /** Position in SERVING. */
  serving(state: State, node: number): number {
    const engine = state.engine(node)
    const { frozen, alone, leases, maybeClean } = this.standing(state, node)
    const held = (engine.leases & leases) === leases
    return this.rules.serve.get(
      0,
      Number(frozen),
      Number(held),
      Number(alone),
      Number(maybeClean),
      this.#permission(engine),
    )
  }

  #permission({ leases }: EngineView): number {
    return Number(
      this.rules.permission.get(Number((leases & NODE_LEASE) !== 0), 0, Number((leases & PERMISSION) !== 0), 0),
    )
  }

  /** Position in the domain of `change`. */
  change(state: State, node: number): number {
    if (state.engine(node).intent === 0) return CHANGE.none
    return this.standing(state, node).frozen ? CHANGE.freezes : CHANGE.keeps
  }

  /** Position in the domain of `route` for a write that is not meant for the backing alone. */
  phaseRoute(engine: EngineView): number {
    return this.#routes[PHASES.indexOf(this.record(engine).phase)] as number
  }

  /** Are appends held back while a change is open (2.4)? */
  holdsAppendsBack(state: State, node: number): boolean {
    const freezes = this.rules.logEmpty.get(OWN_LOG.trimmed, 0, 0, 0) === 'freeze'
    return freezes && this.change(state, node) === CHANGE.freezes
  }

  /** Number of the newest record of a block in the log up to `last`, 0 for none. */
  newest({ contents, trimmed }: Log, last: number, block: number): number {
    for (let seq = last; seq > trimmed; seq--) if (this.blockOf(contents[seq] as number) === block) return seq
    return 0
  }

  /** The batch that has write `write`, 0 for none. */
  find({ contents, trimmed, last }: Log, write: number): number {
    for (let seq = trimmed + 1; seq <= last; seq++) if ((contents[seq] as number) % SUPERSEDES === write) return seq
    return 0
  }

  /** What the log over the backing gives. */
  over(state: State, log: Log, last: number, block: number): number {
    const seq = this.newest(log, last, block)
    const content = seq === 0 ? SUPERSEDES : (log.contents[seq] as number)
    return content < SUPERSEDES ? content : backingOf(state.globals, block)
  }

  /** The last batch of a store's log that counts under the name; -1: it does not hold that log. */
  lastUnder(log: Log | null, name: number): number {
    if (log === null) return -1
    if (log.name === name) return log.last
    return log.pending === name ? log.pendingAfter : -1
  }

  /** What a reader would get now; -1: he has to wait. */
  reads(state: State, node: number, block: number): number {
    const engine = state.engine(node)
    const log = this.log(engine)
    const committed = this.committed(state, node)
    const newest = this.newest(log, log.last, block)
    const cached = cachedOf(engine, block)
    const older = newest > committed ? this.newest(log, committed, block) : 0
    const fact = newest === 0 ? NEWEST.none : newest <= committed ? NEWEST.committed : NEWEST.uncommitted
    const from = this.rules.read.get(fact, Number(older !== 0), this.serving(state, node), Number(cached !== 0))
    if (from === 'wait') return -1
    if (from === 'newest-record') return this.#content(state, log, newest, block)
    if (from === 'older-record') return this.#content(state, log, older, block)
    if (from === 'cache') return cached
    // The fence refuses reads, too (8.4).
    return ((state.globals.cutOff >> node) & 1) === 1 ? -1 : backingOf(state.globals, block)
  }

  #content(state: State, log: Log, seq: number, block: number): number {
    const content = log.contents[seq] as number
    return content < SUPERSEDES ? content : backingOf(state.globals, block)
  }

  /** Writes of this engine that were not answered yet. */
  isOwed(state: State, node: number, write: number): boolean {
    const { state: is, node: of, epoch } = state.write(write)
    return (
      (is === WRITE.pending || is === WRITE.onBacking) && of === node && epoch === this.record(state.engine(node)).epoch
    )
  }

  owesAny(state: State, node: number): boolean {
    for (let write = 1; write <= WRITES; write++) if (this.isOwed(state, node, write)) return true
    return false
  }

  /** Is a write past the log, over records of the block, on its way? Only where a switch allows that. */
  bypassUnderWay(state: State, node: number, block: number): boolean {
    for (let write = 1; write <= WRITES; write++) {
      if (state.write(write).route !== ROUTE.bypass || this.blockOf(write) !== block) continue
      if (!this.isOwed(state, node, write)) continue
      const { state: is } = state.write(write)
      const submitted = state.backingWrites.some((other) => other.write === write)
      const seq = this.find(this.log(state.engine(node)), write)
      if ((is === WRITE.onBacking || submitted) && !(seq !== 0 && seq <= this.committed(state, node))) return true
    }
    return false
  }

  /** An engine knows only of its own run. */
  backingWriteInFlight(state: State, node: number, block: number): boolean {
    const { run } = state.engine(node)
    const { epoch } = this.record(state.engine(node))
    return state.backingWrites.some(
      (other) =>
        other.write !== 0 &&
        other.node === node &&
        other.run === run &&
        other.epoch === epoch &&
        this.blockOf(other.write) === block,
    )
  }
}

function known<Key, Value>(all: Map<Key, Value>, key: Key, ask: () => Value): Value {
  let found = all.get(key)
  if (found === undefined) all.set(key, (found = ask()))
  return found
}
