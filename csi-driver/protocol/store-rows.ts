// What a replica store does with each message about a volume: the tables. Facts are few and small, so that every
// combination can be walked; store-table.ts finds the facts and asks. Rule numbers are those of the replication protocol
// (docs/decisions/0001), a name in brackets there is the rule's switch in the explorer.
// Every message passes SENDER_ROWS first: who sends, may he still, and may he order this. A refusal ends the connection.
import type { DecisionRow } from './decision-table.ts'
import type { RefusalCode } from './stored-log.ts'

/** owner: writes the log. opener: has claimed the epoch, seals and gathers, and drops nothing old (5.2). */
export type Purpose = 'owner' | 'opener'

export const STORE_ORDERS = [
  'APPEND',
  'TRIM',
  'HEARTBEAT',
  'RELEASE',
  'LEARN',
  'SEAL',
  'FETCH',
  'PREPARE',
  'PROMOTE',
  'STATE',
] as const
export type StoreOrder = (typeof STORE_ORDERS)[number]

export interface Refusal {
  readonly refuse: RefusalCode
  /** What is wrong and what to do; the caller adds the values. */
  readonly text: string
}

/** drop: nobody is there to be answered. */
export type Answer<Action extends string> = Action | 'drop' | Refusal

type Rows<Facts, Action extends string> = readonly DecisionRow<Facts, Answer<Action>>[]

const refuse = (code: RefusalCode, text: string): Refusal => ({ refuse: code, text })

const EPOCH_OLD = refuse('epoch-old', 'this store has promised itself to a newer owner of the volume; stop')
const RUN_OLD = refuse('run-old', 'a newer run of the engine has taken over; stop')
const NO_LOG = refuse('not-held', 'no log of the volume is here, which is not an empty one; order LEARN')
const OTHER_CONTENT = refuse('hash-differs', 'another batch stands under this number; resume with every member')

/** How the engine of a connection stands to what this store has promised and to who has written here. */
export type EngineAge = 'epoch-old' | 'run-old' | 'same' | 'newer'

export interface HelloFacts {
  readonly purpose: Purpose
  /** `no-key`: the volume is unknown here and no key came. */
  readonly proof: 'right' | 'wrong' | 'no-key'
  readonly volume: 'known' | 'unknown'
  /** `newer` where the volume is unknown. */
  readonly engine: EngineAge
  /** Is there room for one more volume, and may the node of this engine have one more? */
  readonly room: 'there' | 'none' | 'none-for-node'
}

/**
 * All of them end every other connection of the volume before anything else is processed (3.3).
 * welcome: nothing to write. persist: promise, epoch and run first. create: the volume, with these and without a log; it
 * is durable from its LEARN on, before which nobody can be a member with it.
 */
export type HelloAction = 'welcome' | 'persist' | 'create'

const KNOWN = { proof: ['right'], volume: ['known'] } as const
const UNKNOWN = { proof: ['right'], volume: ['unknown'] } as const

// biome-ignore format: a table
export const HELLO_ROWS: Rows<HelloFacts, HelloAction> = [
  { label: 'proof-wrong', rules: '7.1', when: { proof: ['wrong'] }, then: refuse('proof', 'the proof of the volume key is wrong') },
  { label: 'key-missing', rules: '7.1', when: { proof: ['no-key'] }, then: refuse('proof', 'the volume is unknown here; its first HELLO must carry the key') },
  // The promise holds for everybody, however they come.
  { label: 'promised-to-newer', rules: 'S2 8.1', when: { ...KNOWN, engine: ['epoch-old'] }, then: EPOCH_OLD },
  { label: 'newer-run-was-here', rules: '3.3 h-runfence', when: { ...KNOWN, engine: ['run-old'] }, then: RUN_OLD },
  { label: 'reconnect', rules: '3.3', when: { ...KNOWN, engine: ['same'] }, then: 'welcome' },
  // Durable before the answer: after a restart of the store a delayed batch of the older run is refused, too.
  { label: 'newer-engine', rules: '3.3 h-runfence', when: { ...KNOWN, engine: ['newer'] }, then: 'persist' },
  // What has lost a volume cannot stand for the member that it was.
  { label: 'opener-finds-nothing', rules: '2.1 S2', when: { ...UNKNOWN, purpose: ['opener'] }, then: refuse('not-held', 'the volume is unknown here') },
  { label: 'new-volume', rules: '4.2', when: { ...UNKNOWN, purpose: ['owner'], room: ['there'] }, then: 'create' },
  { label: 'too-many-volumes', rules: 'invariant 10', when: { ...UNKNOWN, purpose: ['owner'], room: ['none'] }, then: refuse('too-many', 'this store holds as many volumes as it may') },
  { label: 'too-many-volumes-of-node', rules: 'invariant 10', when: { ...UNKNOWN, purpose: ['owner'], room: ['none-for-node'] }, then: refuse('too-many', 'this store holds as many volumes as one node may bring; give up those that are gone') },
]

export interface SenderFacts {
  /** ended: a newer HELLO of the volume has come in; what this connection still delivers is late. */
  readonly connection: 'present' | 'ended'
  readonly engine: EngineAge
  readonly purpose: Purpose
  readonly order: StoreOrder
}

const PRESENT = { connection: ['present'], engine: ['same', 'newer'] } as const
const BOTH = ['APPEND', 'FETCH', 'PROMOTE', 'STATE'] as const

// biome-ignore format: a table
export const SENDER_ROWS: Rows<SenderFacts, 'go-on'> = [
  { label: 'connection-ended', rules: '3.3 h-runfence', when: { connection: ['ended'] }, then: 'drop' },
  { label: 'epoch-old', rules: 'S2 8.1', when: { connection: ['present'], engine: ['epoch-old'] }, then: EPOCH_OLD },
  { label: 'run-old', rules: '3.3 h-runfence', when: { connection: ['present'], engine: ['run-old'] }, then: RUN_OLD },
  { label: 'anybody', rules: '3.2 S3', when: { ...PRESENT, order: BOTH }, then: 'go-on' },
  { label: 'owner-orders', rules: '2.6 7.1c 8.1', when: { ...PRESENT, purpose: ['owner'], order: ['TRIM', 'LEARN', 'HEARTBEAT', 'RELEASE'] }, then: 'go-on' },
  { label: 'opener-orders', rules: 'S2 S4', when: { ...PRESENT, purpose: ['opener'], order: ['SEAL', 'PREPARE'] }, then: 'go-on' },
  // Until S5 is settled the old records are what the next open would go by.
  { label: 'opener-drops-nothing', rules: '5.2 h-learner-discard', when: { ...PRESENT, purpose: ['opener'], order: ['TRIM', 'LEARN'] }, then: refuse('bad-message', 'an opener drops nothing before the register names its log') },
  { label: 'opener-serves-nothing', rules: '8.1', when: { ...PRESENT, purpose: ['opener'], order: ['HEARTBEAT', 'RELEASE'] }, then: refuse('bad-message', 'an opener has no lease') },
  { label: 'owner-seals-nothing', rules: 'S2 S4', when: { ...PRESENT, purpose: ['owner'], order: ['SEAL', 'PREPARE'] }, then: refuse('bad-message', 'only an opener seals and prepares') },
]

export interface AppendFacts {
  readonly log: 'held' | 'none'
  /**
   * next: follows the last batch, by number and hash. next-of-other-chain: by number only. held-same, held-other: a
   * batch of this number is here, with the same or with another headerHash. below-tail: trimmed here. gap: beyond next.
   */
  readonly position: 'next' | 'next-of-other-chain' | 'held-same' | 'held-other' | 'below-tail' | 'gap'
  /** Its logUuid is the one that the lineage gives for its number, that of the pending name, or neither. */
  readonly name: 'lineage' | 'pending' | 'other'
}

const HELD = { log: ['held'] } as const

// biome-ignore format: a table
export const APPEND_ROWS: Rows<AppendFacts, 'store' | 'duplicate'> = [
  { label: 'append-without-log', rules: '4.2 S4', when: { log: ['none'] }, then: NO_LOG },
  { label: 'append-next', rules: '2.1', when: { ...HELD, position: ['next'], name: ['lineage'] }, then: 'store' },
  { label: 'append-under-pending-name', rules: '5.1', when: { ...HELD, position: ['next'], name: ['pending'] }, then: refuse('not-held', 'the name of this log is pending; send PROMOTE first') },
  { label: 'append-under-other-name', rules: '5.1', when: { ...HELD, position: ['next'], name: ['other'] }, then: refuse('not-held', 'a log of this name is not here') },
  { label: 'append-to-other-chain', rules: '3.3 h-reconcile', when: { ...HELD, position: ['next-of-other-chain'] }, then: OTHER_CONTENT },
  { label: 'append-again', rules: '3.3', when: { ...HELD, position: ['held-same'] }, then: 'duplicate' },
  { label: 'append-other-content', rules: '3.3 h-reconcile', when: { ...HELD, position: ['held-other'] }, then: OTHER_CONTENT },
  // Cannot be proven equal any more, and whoever knows the trim point never sends it.
  { label: 'append-below-tail', rules: '2.8 h-lrnjump', when: { ...HELD, position: ['below-tail'] }, then: refuse('gap', 'the batch was trimmed here') },
  { label: 'append-gap', rules: '3.3', when: { ...HELD, position: ['gap'] }, then: refuse('gap', 'batches before this one are missing here') },
]

export interface TrimFacts {
  readonly log: 'held' | 'none'
  /** The batch to trim up to: trimmed already, held, or not yet here. */
  readonly position: 'behind' | 'within' | 'ahead'
}

// biome-ignore format: a table
export const TRIM_ROWS: Rows<TrimFacts, 'trim' | 'trimmed-already'> = [
  { label: 'trim-without-log', rules: '4.2', when: { log: ['none'] }, then: NO_LOG },
  { label: 'trim', rules: '2.6', when: { ...HELD, position: ['within'] }, then: 'trim' },
  { label: 'trim-again', rules: '2.6', when: { ...HELD, position: ['behind'] }, then: 'trimmed-already' },
  // A learner that is behind starts anew at the trim point; a member has everything that may be trimmed.
  { label: 'trim-ahead', rules: '2.8 h-lrnjump', when: { ...HELD, position: ['ahead'] }, then: refuse('gap', 'the trim point lies beyond what is here; order LEARN') },
]

export interface SealFacts {
  /** Is the opener's epoch persisted as this store's promise? From then on no heartbeat is answered. */
  readonly promise: 'durable' | 'smaller'
  /** Engines of smaller epochs on the store's own node. `unasked`: not yet told to end. */
  readonly ownEngine: 'unasked' | 'ended' | 'does-not-end'
  /** May the lease that this store gave last still run? released: its holder said that it uses it no more. */
  readonly lease: 'none' | 'may-run' | 'released'
  /** recent: this life of the store is shorter than SEAL_WAIT_MS, so that it may have given a lease that it forgot. */
  readonly start: 'recent' | 'long-ago'
  /** The opener has evidence that the host of the owner before is off. */
  readonly predecessorOff: boolean
}

const SEALING = { promise: ['durable'], ownEngine: ['ended'] } as const
const MAYBE_ON = { ...SEALING, predecessorOff: [false] } as const

/** Asked again after each of them; wait: until the first of these facts changes. */
export type SealAction = 'persist-promise' | 'end-own-engine' | 'wait' | 'grant'

// biome-ignore format: a table
export const SEAL_ROWS: Rows<SealFacts, SealAction> = [
  { label: 'promise-first', rules: 'S2 8.1', when: { promise: ['smaller'] }, then: 'persist-promise' },
  { label: 'own-engine-first', rules: 'S2', when: { promise: ['durable'], ownEngine: ['unasked'] }, then: 'end-own-engine' },
  { label: 'own-engine-stays', rules: 'S2', when: { promise: ['durable'], ownEngine: ['does-not-end'] }, then: refuse('busy-engine', "an older engine on this store's node does not end; stop it there") },
  { label: 'predecessor-off', rules: '8.1', when: { ...SEALING, predecessorOff: [true] }, then: 'grant' },
  { label: 'store-restarted', rules: '8.2 h-restart-wait', when: { ...MAYBE_ON, start: ['recent'] }, then: 'wait' },
  { label: 'lease-may-run', rules: '8.1 h-nolease', when: { ...MAYBE_ON, start: ['long-ago'], lease: ['may-run'] }, then: 'wait' },
  { label: 'lease-released', rules: '8.1', when: { ...MAYBE_ON, start: ['long-ago'], lease: ['released'] }, then: 'grant' },
  { label: 'lease-over', rules: '8.1', when: { ...MAYBE_ON, start: ['long-ago'], lease: ['none'] }, then: 'grant' },
]

export interface LearnFacts {
  readonly begin: 'valid' | 'invalid'
  /** Can as much space as the owner's log has be reserved? What stands here of the volume is given up, and counts as free. */
  readonly space: 'fits' | 'lacks'
}

// biome-ignore format: a table
export const LEARN_ROWS: Rows<LearnFacts, 'start-empty'> = [
  { label: 'learn-from-nonsense', rules: 'bad input', when: { begin: ['invalid'] }, then: refuse('bad-message', 'the lineage does not reach the beginning of the log') },
  { label: 'learn', rules: '7.1c', when: { begin: ['valid'], space: ['fits'] }, then: 'start-empty' },
  { label: 'learn-full', rules: 'invariant 10', when: { begin: ['valid'], space: ['lacks'] }, then: refuse('full', 'there is no space for the log of this volume') },
]

export interface PrepareFacts {
  readonly log: 'held' | 'none'
  /** What here has the name that the register gave the opener: the log, its pending name, or neither. */
  readonly authoritative: 'current' | 'pending' | 'other'
  /** The gathered end, compared with the log here: it is held with that hash, beyond, or another. */
  readonly end: 'held' | 'beyond' | 'differs'
  /** The pending name here: the wanted one at the wanted place, or another. */
  readonly pending: 'none' | 'same' | 'other'
}

const NAMED = { ...HELD, authoritative: ['current'] } as const

// biome-ignore format: a table
export const PREPARE_ROWS: Rows<PrepareFacts, 'write-pending' | 'prepared-already' | 'promote-first'> = [
  { label: 'prepare-without-log', rules: 'S4', when: { log: ['none'] }, then: NO_LOG },
  { label: 'prepare-other-log', rules: 'S4 h-logepoch', when: { ...HELD, authoritative: ['other'] }, then: refuse('not-held', 'the log that the register names is not here') },
  // The owner died between S5 and PROMOTE; overwritten, the only log that the register names would be gone.
  { label: 'prepare-on-promoted', rules: '5.1 h-pendpromote', when: { ...HELD, authoritative: ['pending'] }, then: 'promote-first' },
  { label: 'prepare-short', rules: 'S4', when: { ...NAMED, end: ['beyond'] }, then: refuse('gap', 'the gathered tail is not complete here; append it first') },
  { label: 'prepare-other-content', rules: 'S4 3.3', when: { ...NAMED, end: ['differs'] }, then: OTHER_CONTENT },
  { label: 'prepare', rules: 'S4', when: { ...NAMED, end: ['held'], pending: ['none'] }, then: 'write-pending' },
  { label: 'prepare-again', rules: 'S4', when: { ...NAMED, end: ['held'], pending: ['same'] }, then: 'prepared-already' },
  // The claim moved the register's version: the change that would have named that one can no longer land.
  { label: 'prepare-over-void', rules: '5.1', when: { ...NAMED, end: ['held'], pending: ['other'] }, then: 'write-pending' },
]

export interface PromoteFacts {
  readonly log: 'held' | 'none'
  /** What here has the name to be promoted. */
  readonly name: 'current' | 'pending' | 'other'
}

// biome-ignore format: a table
export const PROMOTE_ROWS: Rows<PromoteFacts, 'promote' | 'promoted-already'> = [
  { label: 'promote-without-log', rules: 'S4', when: { log: ['none'] }, then: NO_LOG },
  { label: 'promote', rules: '5.1', when: { ...HELD, name: ['pending'] }, then: 'promote' },
  { label: 'promote-again', rules: '5.1', when: { ...HELD, name: ['current'] }, then: 'promoted-already' },
  { label: 'promote-other', rules: '5.1', when: { ...HELD, name: ['other'] }, then: refuse('not-held', 'a log of this name was not prepared here') },
]

export interface FetchFacts {
  readonly log: 'held' | 'none'
  /** The first batch that is wanted. at-end: the one after the last. */
  readonly from: 'below-tail' | 'within' | 'at-end' | 'beyond'
}

// biome-ignore format: a table
export const FETCH_ROWS: Rows<FetchFacts, 'send' | 'send-end'> = [
  { label: 'fetch-without-log', rules: 'S3', when: { log: ['none'] }, then: NO_LOG },
  { label: 'fetch', rules: 'S3 3.2', when: { ...HELD, from: ['within'] }, then: 'send' },
  { label: 'fetch-nothing', rules: 'S3 3.2', when: { ...HELD, from: ['at-end'] }, then: 'send-end' },
  { label: 'fetch-trimmed', rules: '2.8', when: { ...HELD, from: ['below-tail'] }, then: refuse('gap', 'the batch was trimmed here') },
  { label: 'fetch-beyond', rules: '3.2', when: { ...HELD, from: ['beyond'] }, then: refuse('gap', 'the log ends before this batch') },
]
