// What happens in a campaign, and when: drawn from a seed before it begins, so that a seed repeats it. Pure. Whether the
// machine does the same with it is another matter: times of processes are not ours.
import { createPrng, type Prng } from '../../base/prng.ts'

export type Fault = keyof typeof FAULTS

interface FaultKind {
  readonly weight: number
  /** Something is killed; otherwise cut or frozen. */
  readonly kill: boolean
  /** The volume is served by somebody else, or anew, afterwards. */
  readonly moves: boolean
  /** The copy of the volume has to be replaced. */
  readonly losesCopy: boolean
}

// biome-ignore format: a table
export const FAULTS = {
  /** SIGKILL to the engine; its holder starts the next one. */
  engine:              { weight: 3, kill: true,  moves: false, losesCopy: false },
  /** SIGKILL to the replica store that holds the copy. */
  copy:                { weight: 2, kill: true,  moves: false, losesCopy: true },
  /** Both at once. */
  'engine-and-copy':   { weight: 2, kill: true,  moves: false, losesCopy: true },
  /** The host with the copy loses its power. */
  'copy-host':         { weight: 2, kill: true,  moves: false, losesCopy: true },
  /** The owner's host loses its power; another one takes over. */
  'owner-host':        { weight: 4, kill: true,  moves: true,  losesCopy: false },
  /** All processes of the owner's host are killed; it serves again itself. */
  'owner-returns':     { weight: 2, kill: true,  moves: true,  losesCopy: false },
  /** Both hosts lose their power; the one with the copy comes back, and one of the others takes over. */
  'owner-and-copy':    { weight: 2, kill: true,  moves: true,  losesCopy: false },
  /** The owner's host is frozen, cut off the storage, replaced, and comes back. */
  'owner-frozen':      { weight: 1, kill: false, moves: true,  losesCopy: false },
  /** The host with the copy is frozen, for a blink or for longer. */
  'copy-frozen':       { weight: 1, kill: false, moves: false, losesCopy: true },
  /** The wire between owner and copy is cut, in one direction or both, for a blink or for longer. */
  wire:                { weight: 2, kill: false, moves: false, losesCopy: true },
} as const satisfies Record<string, FaultKind>

export const FAULT_NAMES = Object.keys(FAULTS) as Fault[]

export interface Round {
  readonly fault: Fault
  /** After the load has begun. */
  readonly afterMs: number
  /** How long something is frozen or cut. */
  readonly lastsMs: number
  readonly direction: 'to-copy' | 'from-copy' | 'both'
  /** Who takes over: the host that holds the copy, or one that holds nothing. */
  readonly successor: 'copy' | 'spare'
}

const AFTER_MS_MAX = 1200
const BLINK_MS = 600
const LONG_MS = 4000
/** A peer that is lost again and again is trusted less and less by one engine: sooner or later a campaign would only wait. */
const COPIES_LOST_MAX = 2

/** Rounds with so many kills among them. */
export function scheduleOf(seed: number, kills: number): readonly Round[] {
  const prng = createPrng(seed)
  const rounds: Round[] = []
  let killed = 0
  let copiesLost = 0
  while (killed < kills) {
    const drawn = draw(prng)
    const fault = copiesLost >= COPIES_LOST_MAX && FAULTS[drawn].losesCopy ? 'owner-host' : drawn
    copiesLost = FAULTS[fault].losesCopy ? copiesLost + 1 : 0
    if (FAULTS[fault].kill) killed++
    rounds.push({
      fault,
      afterMs: prng.below(AFTER_MS_MAX),
      lastsMs: prng.chance(0.5) ? prng.below(BLINK_MS) : BLINK_MS + prng.below(LONG_MS),
      direction: prng.pick(['to-copy', 'from-copy', 'both']),
      successor: prng.pick(['copy', 'spare']),
    })
  }
  return rounds
}

function draw(prng: Prng): Fault {
  const total = FAULT_NAMES.reduce((sum, name) => sum + FAULTS[name].weight, 0)
  let roll = prng.below(total)
  for (const name of FAULT_NAMES) {
    roll -= FAULTS[name].weight
    if (roll < 0) return name
  }
  return 'engine'
}
