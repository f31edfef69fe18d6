// The state that is explored: the register, three nodes with a cache, a replica store and maybe an engine each, the backing, writes and
// messages under way, and the faults that may still happen. All of it is one array of bytes; logs, store contents and
// register records are numbers of the pools (log-pool.ts, record-pool.ts). Everything that has no meaning in a state is
// zero, so that equal states have equal bytes.
import { byteViewOf } from '../byte-view.ts'
import { cacheOf, isCache, NODES, nodeOfStore, STORES } from './record-pool.ts'

export const WRITES = 3
export const BLOCKS = 2
export const BACKING_WRITES = 2

/** What may still happen, so that the search ends. */
export const BUDGETS = {
  writes: 1,
  /** Of an engine, whose holder starts it again. */
  engineCrashes: 1,
  hostCrashes: 1,
  storeLosses: 1,
  cuts: 1,
  /** Changes of the register whose reply is lost, or whose request lands late. */
  unknownOutcomes: 1,
  claims: 1,
  /** Of a member that answers. */
  removals: 1,
  learners: 1,
  lateAppends: 1,
  bypasses: 1,
  handOvers: 1,
  policyChanges: 1,
} as const
export type Budget = keyof typeof BUDGETS

/** What an engine is doing. */
export const MODE = {
  none: 0,
  /** Has claimed the epoch; fences and seals. */
  claimed: 1,
  /** Has gathered; makes its log on the members to be. */
  renaming: 2,
  /** Restarted, or was handed the volume: makes all members equal. */
  resuming: 3,
  serving: 4,
  /** Has stopped and asked the register to name another owner; what became of that is not known. */
  handing: 5,
  /** Has handed the volume over, and takes its own entry off the register. */
  leaving: 6,
} as const

export const WRITE = { unissued: 0, pending: 1, onBacking: 2, answered: 3, undecided: 4 } as const
/** How an issued write is to be acknowledged. */
export const ROUTE = { log: 0, backing: 1, bypass: 2 } as const
/** What a state shows to be broken; texts are in checks.ts. */
export const VIOLATION = {
  servesWithout: 1,
  oldAcknowledges: 2,
  oldWritesBacking: 3,
  copiesDiffer: 4,
  asserts: 5,
  memberLacks: 10,
  backingLacks: 20,
  oldReadsStale: 21,
  readsBack: 22,
  undecidedAppears: 23,
} as const
export const LEASE = { none: 0, mayRun: 1, released: 2 } as const
/** Bits of an engine's leases: its node's lease runs; a read of the register since then has shown the own epoch (8.4). */
export const NODE_LEASE = 8
export const PERMISSION = 16

const Globals = byteViewOf({
  /** Record of the register. */
  register: 2,
  /** Record of a change whose request is still under way and may land. */
  lateChange: 2,
  /** Largest epoch that has served. */
  served: 1,
  /** Bits 0 to 2: between nodes; 3 to 5: node to register. */
  links: 1,
  /** Bit n: node n is cut from the backing. */
  cutOff: 1,
  /** Bit n: node n is up. */
  up: 1,
  /** Bit n: a successor has written into node n's lease record that its engine of an older epoch stops. */
  revoked: 1,
  violation: 1,
  backing0: 1,
  backing1: 1,
  /** What was acknowledged or read of each block. */
  floor0: 1,
  floor1: 1,
})

/** `run`: of the engine that knows of it. */
const WriteFields = byteViewOf({ state: 1, node: 1, epoch: 1, run: 1, route: 1 })
/** `write` 0: none. `seq`: of the record that is destaged. */
const BackingWriteFields = byteViewOf({ write: 1, node: 1, epoch: 1, run: 1, seq: 1, through: 1 })
/** `to` 0: none, else the store + 1. `ended`: its connection is, by a newer HELLO. */
const LateAppendFields = byteViewOf({ to: 1, epoch: 1, run: 1, opener: 1, batch: 2, ended: 1 })

const StoreFields = byteViewOf({
  incarnation: 1,
  /** LEASE: what its owner may still do under its last answer. */
  lease: 1,
  /** Younger than the wait before a seal. */
  recent: 1,
  /** Volume of the pool; 0: the store knows nothing of it. */
  volume: 2,
})

const EngineFields = byteViewOf({
  mode: 1,
  run: 1,
  /** The last settled record. */
  record: 2,
  /** The record of an open change; 0: none is open. */
  intent: 2,
  /** Is `record` the newest version of the register? */
  current: 1,
  /** The intent was found at the restart: its own request cannot be repeated. */
  found: 1,
  /** Stores that are waited for though not listed: learners that hold everything; while renaming, all that are to be listed. */
  joined: 1,
  /** Stores that catch up. */
  learners: 1,
  /** Bit s: the lease of store s runs; NODE_LEASE, PERMISSION. */
  leases: 1,
  /** Two bits for each replica store, and for the own cache: the life of it that the engine talks to. */
  incarnations: 1,
  acked0: 1,
  acked1: 1,
  acked2: 1,
  ackedOwn: 1,
  /** Number of the record up to which each block is on the backing. */
  destaged0: 1,
  destaged1: 1,
  cached0: 1,
  cached1: 1,
  /** Its log with what is being appended. */
  log: 2,
  /** Stores that have granted a seal. */
  sealed: 1,
  /** Stores that RESUME has spoken to; while renaming, those that hold the new name. */
  met: 1,
  /** Of a claim: bit n: node n is cut from the backing, bit 3 + n: node n is off, which is proven. */
  proofs: 1,
  /** Of a claim: stores that do not answer in time. */
  ignored: 1,
  /** The user wants write-through. */
  wish: 1,
  /** This epoch came by a hand-over. */
  handedOver: 1,
  /** The user accepted the loss of what no copy gives. */
  gaveUp: 1,
})

const Budgets = byteViewOf(BUDGETS)

export type GlobalView = InstanceType<typeof Globals>
export type WriteView = InstanceType<typeof WriteFields>
export type BackingWriteView = InstanceType<typeof BackingWriteFields>
export type LateAppendView = InstanceType<typeof LateAppendFields>
export type BudgetView = InstanceType<typeof Budgets>
export type StoreView = InstanceType<typeof StoreFields>
export type EngineView = InstanceType<typeof EngineFields>

const WRITES_AT = Globals.sizeBytes
const BACKING_WRITES_AT = WRITES_AT + WRITES * WriteFields.sizeBytes
const LATE_APPEND_AT = BACKING_WRITES_AT + BACKING_WRITES * BackingWriteFields.sizeBytes
const BUDGETS_AT = LATE_APPEND_AT + LateAppendFields.sizeBytes
const STORES_AT = BUDGETS_AT + Budgets.sizeBytes
const ENGINES_AT = STORES_AT + STORES * StoreFields.sizeBytes
const END = ENGINES_AT + NODES * EngineFields.sizeBytes

export const STATE_WORDS = Math.ceil(END / 4)

const ENGINE_BYTES = EngineFields.sizeBytes

export class State {
  readonly words: Uint32Array
  readonly bytes: Uint8Array
  readonly globals: GlobalView
  /** From number 1 on. */
  readonly writes: readonly WriteView[]
  readonly backingWrites: readonly BackingWriteView[]
  readonly lateAppend: LateAppendView
  readonly budgets: BudgetView
  readonly stores: readonly StoreView[]
  readonly engines: readonly EngineView[]

  constructor() {
    this.words = new Uint32Array(STATE_WORDS)
    this.bytes = new Uint8Array(this.words.buffer)
    const { bytes } = this
    const many = <View>(count: number, make: (i: number) => View): View[] =>
      Array.from({ length: count }, (_, i) => make(i))
    this.globals = new Globals(bytes, 0)
    this.writes = many(
      WRITES + 1,
      (i) => new WriteFields(bytes, WRITES_AT + Math.max(0, i - 1) * WriteFields.sizeBytes),
    )
    this.backingWrites = many(
      BACKING_WRITES,
      (i) => new BackingWriteFields(bytes, BACKING_WRITES_AT + i * BackingWriteFields.sizeBytes),
    )
    this.lateAppend = new LateAppendFields(bytes, LATE_APPEND_AT)
    this.budgets = new Budgets(bytes, BUDGETS_AT)
    this.stores = many(STORES, (i) => new StoreFields(bytes, STORES_AT + i * StoreFields.sizeBytes))
    this.engines = many(NODES, (i) => new EngineFields(bytes, ENGINES_AT + i * ENGINE_BYTES))
  }

  store(store: number): StoreView {
    return this.stores[store] as StoreView
  }

  engine(node: number): EngineView {
    return this.engines[node] as EngineView
  }

  write(number: number): WriteView {
    return this.writes[number] as WriteView
  }

  copyFrom(other: State): void {
    this.words.set(other.words)
  }

  /** No engine: everything of it is zero. */
  clearEngine(node: number): void {
    const at = ENGINES_AT + node * ENGINE_BYTES
    this.bytes.fill(0, at, at + ENGINE_BYTES)
  }
}

/** Number of the last batch that the store is known to hold; of caches an engine has only its own. */
export function ackedOf(engine: EngineView, store: number): number {
  if (isCache(store)) return engine.ackedOwn
  return store === 0 ? engine.acked0 : store === 1 ? engine.acked1 : engine.acked2
}

export function setAcked(engine: EngineView, store: number, seq: number): void {
  if (isCache(store)) engine.ackedOwn = seq
  else if (store === 0) engine.acked0 = seq
  else if (store === 1) engine.acked1 = seq
  else engine.acked2 = seq
}

/** The life of a store that the engine talks to; of caches it has only its own. */
export function incarnationOf(engine: EngineView, store: number): number {
  return (engine.incarnations >> (2 * Math.min(store, NODES))) & 3
}

export function setIncarnation(engine: EngineView, store: number, incarnation: number): void {
  const shift = 2 * Math.min(store, NODES)
  engine.incarnations = (engine.incarnations & ~(3 << shift)) | (incarnation << shift)
}

/** The engine finds its cache: as this life of it it is listed, and acknowledges. */
export function adoptCache(state: State, node: number): void {
  setIncarnation(state.engine(node), cacheOf(node), ownCache(state, node).incarnation)
}

export function isUp({ globals }: State, node: number): boolean {
  return ((globals.up >> node) & 1) === 1
}

/** Can the engine of `node` talk to the store? */
export function reaches(state: State, node: number, store: number): boolean {
  const other = nodeOfStore(store)
  if (!isUp(state, node)) return false
  if (other === node) return true
  return !isCache(store) && isUp(state, other) && ((state.globals.links >> linkOf(node, other)) & 1) === 1
}

export function reachesRegister(state: State, node: number): boolean {
  return isUp(state, node) && ((state.globals.links >> (NODES + node)) & 1) === 1
}

/** Bit of the link between two nodes. */
function linkOf(a: number, b: number): number {
  return a + b - 1
}

export function ownCache(state: State, node: number): StoreView {
  return state.store(cacheOf(node))
}

export function destagedOf(engine: EngineView, block: number): number {
  return block === 0 ? engine.destaged0 : engine.destaged1
}

export function setDestaged(engine: EngineView, block: number, seq: number): void {
  if (block === 0) engine.destaged0 = seq
  else engine.destaged1 = seq
}

export function cachedOf(engine: EngineView, block: number): number {
  return block === 0 ? engine.cached0 : engine.cached1
}

export function setCached(engine: EngineView, block: number, write: number): void {
  if (block === 0) engine.cached0 = write
  else engine.cached1 = write
}

export function backingOf(globals: GlobalView, block: number): number {
  return block === 0 ? globals.backing0 : globals.backing1
}

export function setBacking(globals: GlobalView, block: number, write: number): void {
  if (block === 0) globals.backing0 = write
  else globals.backing1 = write
}

export function floorOf(globals: GlobalView, block: number): number {
  return block === 0 ? globals.floor0 : globals.floor1
}

/** The loss of everything newer than `write` was accepted. */
export function lowerFloor(globals: GlobalView, block: number, write: number): void {
  if (block === 0) globals.floor0 = Math.min(globals.floor0, write)
  else globals.floor1 = Math.min(globals.floor1, write)
}

/** What was acknowledged or read may only grow. */
export function raiseFloor(globals: GlobalView, block: number, write: number): void {
  if (block === 0) globals.floor0 = Math.max(globals.floor0, write)
  else globals.floor1 = Math.max(globals.floor1, write)
}

/** Nobody waits for an answer any more. */
export function endWrite(view: WriteView, state: number): void {
  view.state = state
  view.node = view.epoch = view.run = view.route = 0
}

export function clearBackingWrite(view: BackingWriteView): void {
  view.write = view.node = view.epoch = view.run = view.seq = view.through = 0
}
