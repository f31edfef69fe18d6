// What can happen in a step, as one number, and how a trace says it: who does what.

type Text = (a: number, b: number, c: number) => string

const store = (s: number): string => (s < 3 ? `store n${s}` : `cache n${s - 3}`)
const LINKS = ['n0-n1', 'n0-n2', 'n1-n2', 'n0-register', 'n1-register', 'n2-register']

const TEXTS = {
  // The application and the data path.
  write: (n, w) => `application writes w${w} at n${n}`,
  bypass: (n, w) => `application writes w${w} at n${n}, routed past the log`,
  logAgain: (n, w) => `n${n} logs w${w}, sent again`,
  reroute: (n, w) => `n${n} routes w${w}, sent again, to the backing`,
  rerouteToLog: (n, w) => `n${n} logs w${w} after all`,
  submitThrough: (n, w) => `n${n} submits w${w} to the backing`,
  logSupersede: (n, w) => `n${n} logs that w${w} supersedes`,
  acknowledge: (n, w) => `n${n} acknowledges w${w}`,
  read: (n, b, w) => `n${n} reads block ${b}: w${w}`,
  submitDestage: (n, w) => `n${n} submits the destage of w${w}`,
  skipDestage: (n, b) => `n${n} has nothing to destage of block ${b}`,
  checkpoint: (n, seq) => `n${n} writes a checkpoint and trims to ${seq}`,
  landed: (n, w) => `backing write w${w} of n${n} lands`,
  fencedOff: (n, w) => `backing write w${w} of n${n} is refused by the fence`,
  // Batches and leases.
  appendOwn: (n, seq) => `n${n} stores batch ${seq} in its cache`,
  append: (n, s, seq) => `batch ${seq} of n${n} stored by ${store(s)}`,
  appended: (n, s, seq) => `n${n} hears that ${store(s)} holds batch ${seq}`,
  appendDelayed: (n, s, seq) => `batch ${seq} of n${n} to ${store(s)} is delayed`,
  lateStored: (s, seq) => `delayed batch ${seq} arrives at ${store(s)} and is stored`,
  lateDropped: (s, seq) => `delayed batch ${seq} arrives at ${store(s)} and is refused`,
  trim: (n, s, seq) => `${store(s)} trims to ${seq} for n${n}`,
  refused: (n, s) => `${store(s)} refuses n${n}, which is fenced`,
  hello: (n, s) => `n${n} says HELLO to ${store(s)}`,
  heartbeat: (n, s) => `n${n} has a lease of ${store(s)}`,
  leaseLapses: (n, s) => `n${n}: the lease of ${store(s)} runs out`,
  storeLeaseOver: (s) => `${store(s)}: the lease that it gave is over`,
  storeOldEnough: (s) => `${store(s)}: no lease of its life before can run any more`,
  nodeLease: (n) => `n${n} renews its node's lease`,
  permission: (n) => `n${n} reads the register: cached reads permitted`,
  nodeLeaseLapses: (n) => `n${n}: its node's lease runs out`,
  // The register.
  removeMember: (n, s) => `n${n} CAS: remove ${store(s)}`,
  addMember: (n, s) => `n${n} CAS: add ${store(s)}`,
  phaseWriteThrough: (n) => `n${n} CAS: WriteThrough, clean`,
  phaseWriteBack: (n) => `n${n} CAS: WriteBack, dirty`,
  phaseDrain: (n) => `n${n} CAS: DrainWT`,
  removeEntry: (n, of) => `n${n} CAS: n${of} is fenced`,
  ownLog: (n) => `n${n} CAS: owns the new log`,
  repeat: (n) => `n${n} sends its open change again`,
  moveVersion: (n) => `n${n} CAS: moves the version`,
  learn: (n) => `n${n} sees the register moved`,
  readsOldValue: (n) => `n${n} reads the old value and takes its change for failed`,
  lateLands: () => 'the delayed change lands',
  // Membership.
  startLearner: (n, s) => `n${n} orders ${store(s)} to LEARN`,
  joinLearner: (n, s) => `n${n} waits for ${store(s)} from now on`,
  dropLearner: (n, s) => `n${n} gives up learner ${store(s)}`,
  policyBack: (n) => `n${n} may write back again`,
  policy: (n) => `n${n} is told to write through`,
  // Restart, hand-over, open.
  restart: (n) => `the engine on n${n} dies, its holder starts the next`,
  endEngine: (n) => `the engine on n${n} dies and cannot resume`,
  meet: (n, s) => `n${n} resumes with ${store(s)}`,
  adopt: (n, s, seq) => `n${n} adopts batch ${seq} of ${store(s)}`,
  corrupt: (n) => `n${n} finds copies that differ`,
  resumed: (n) => `n${n} has resumed and serves`,
  takeUp: (n) => `n${n} finds itself the owner and resumes`,
  handOver: (n, m) => `n${n} hands over to n${m}`,
  claim: (n) => `n${n} claims`,
  fence: (n, of) => `n${n} cuts n${of} from the backing`,
  fenceOff: (n, of) => `n${n} powers n${of} off`,
  lock: (n) => `n${n} holds the lock, its older backing I/O has drained`,
  sealAsked: (n, s) => `n${n} asks ${store(s)} for its seal`,
  sealed: (n, s) => `${store(s)} is sealed for n${n}`,
  revoke: (n, of) => `n${n} revokes the permission of n${of}`,
  promoteFirst: (n, s) => `n${n} has ${store(s)} promote the name of the register`,
  gather: (n, s) => `n${n} takes the log of ${store(s)}`,
  startEmpty: (n) => `n${n} starts an empty log`,
  giveUp: (n) => `n${n} gives up what no copy gives, and starts an empty log`,
  prepare: (n, s) => `${store(s)} makes the new name of n${n} pending`,
  learnAtOpen: (n, s) => `${store(s)} drops its log and starts one for n${n}`,
  leaveOut: (n, s) => `n${n} leaves ${store(s)} out`,
  promote: (n, s) => `${store(s)} promotes the name of n${n}`,
  fenced: (n) => `n${n} sees a newer epoch and stops`,
  asserts: () => 'a change of the register asserts',
  // Faults.
  hostUp: (n) => `host n${n} comes up`,
  hostDown: (n) => `host n${n} crashes`,
  storeRestart: (s) => `${store(s)} restarts`,
  storeLost: (s) => `${store(s)} loses its content`,
  hostDownCacheLost: (n) => `host n${n} crashes and loses its cache`,
  cut: (l) => `link ${LINKS[l]} is cut`,
  heal: (l) => `link ${LINKS[l]} heals`,
  discard: (s) => `${store(s)} looks at the register and drops its log`,
} satisfies Record<string, Text>

export type ActionName = keyof typeof TEXTS

const NAMES = Object.keys(TEXTS) as ActionName[]
export const ACTION = Object.fromEntries(NAMES.map((name, i) => [name, i])) as Readonly<Record<ActionName, number>>

/** What became of a change of the register: answered, applied but its reply lost, or still under way. */
export const FATE = { answered: 0, replyLost: 1, delayed: 2 } as const
const FATES = ['', ' (applied, the reply is lost)', ' (the request is delayed)']

export function action(code: number, a = 0, b = 0, c = 0): number {
  return code | (a << 7) | (b << 10) | (c << 14)
}

export function withFate(of: number, fate: number): number {
  return of | (fate << 20)
}

export function fateOf(of: number): number {
  return of >> 20
}

/** Its place in ACTION. */
export function codeOf(of: number): number {
  return of & 127
}

export function nameOfAction(of: number): ActionName {
  return NAMES[codeOf(of)] as ActionName
}

export function textOf(of: number): string {
  return TEXTS[nameOfAction(of)]((of >> 7) & 7, (of >> 10) & 15, (of >> 14) & 63) + FATES[of >> 20]
}
