// ARC (Megiddo and Modha, FAST 2003): blocks used once lately and blocks used more often in two LRU lists, a list behind
// each of what was evicted from it; a miss that finds its block in such a list moves the target of the division.
import { BlockLists } from './block-lists.ts'
import { type Trace, universeOf } from './replacement-policy.ts'

/** T1, T2, B1, B2 of the paper. */
const ONCE = 1
const OFTEN = 2
const GONE_ONCE = 3
const GONE_OFTEN = 4

export function arcMisses(trace: Trace, slots: number): Uint8Array {
  const arc = new Arc(universeOf(trace), slots)
  return Uint8Array.from(trace, (block) => (arc.read(block) ? 0 : 1))
}

class Arc {
  private readonly slots: number
  private readonly lists: BlockLists
  /** How many blocks used once are worth keeping: p of the paper, 0 … slots. */
  private onceTarget = 0

  constructor(universe: number, slots: number) {
    this.slots = slots
    this.lists = new BlockLists(universe, 4)
  }

  /** Whether the block was cached; it is afterwards. */
  read(block: number): boolean {
    const list = this.lists.listOf(block)
    if (list === ONCE || list === OFTEN) {
      this.lists.moveTo(OFTEN, block)
      return true
    }
    if (list === 0) this.makeRoom()
    else this.adapt(list)
    this.lists.moveTo(list === 0 ? ONCE : OFTEN, block)
    return false
  }

  private adapt(list: number): void {
    const goneOnce = this.lists.count(GONE_ONCE)
    const goneOften = this.lists.count(GONE_OFTEN)
    if (list === GONE_ONCE) this.onceTarget = Math.min(this.slots, this.onceTarget + Math.max(1, goneOften / goneOnce))
    else this.onceTarget = Math.max(0, this.onceTarget - Math.max(1, goneOnce / goneOften))
    this.replace(list === GONE_OFTEN)
  }

  private makeRoom(): void {
    const { lists, slots } = this
    const once = lists.count(ONCE) + lists.count(GONE_ONCE)
    const all = once + lists.count(OFTEN) + lists.count(GONE_OFTEN)
    if (once === slots) {
      if (lists.count(ONCE) === slots) lists.remove(lists.oldest(ONCE))
      else {
        lists.remove(lists.oldest(GONE_ONCE))
        this.replace(false)
      }
    } else if (all >= slots) {
      if (all === 2 * slots) lists.remove(lists.oldest(GONE_OFTEN))
      this.replace(false)
    }
  }

  private replace(wantedOften: boolean): void {
    const once = this.lists.count(ONCE)
    const fromOnce = once > 0 && (once > this.onceTarget || (wantedOften && once === this.onceTarget))
    const victim = this.lists.oldest(fromOnce ? ONCE : OFTEN)
    this.lists.moveTo(fromOnce ? GONE_ONCE : GONE_OFTEN, victim)
  }
}
