// Which segment belongs to which volume, and how many each may still take. A volume has a reservation, which is always
// there for it, and may go beyond it into segments that nobody has reserved. In memory only: after a restart the table
// is made from the slots and the headers of the segments.
import { assert } from '../../../base/assert.ts'

const FREE = -1

/** One volume's share. */
export interface SegmentAccount {
  readonly slot: number
  used: number
  reserved: number
}

export class SegmentTable {
  readonly count: number
  private readonly owner: Int16Array
  /** Σ max(used, reserved) over all accounts. */
  private committed = 0
  private free: number
  /** Where the search for a free one goes on: segments are used in turn, which spreads the wear. */
  private cursor = 0

  constructor(count: number) {
    this.count = count
    this.free = count
    this.owner = new Int16Array(count).fill(FREE)
  }

  /** Segments that are neither used nor reserved. */
  get uncommitted(): number {
    return Math.max(0, this.count - this.committed)
  }

  isFree(segment: number): boolean {
    return this.owner[segment] === FREE
  }

  open(slot: number): SegmentAccount {
    return { slot, used: 0, reserved: 0 }
  }

  /** Changes the reservation; false, and nothing changed, where there is not enough. Lowering it always works. */
  reserve(account: SegmentAccount, reserved: number): boolean {
    const grows = Math.max(reserved, account.used) - committedBy(account)
    if (grows > this.uncommitted) return false
    this.committed += grows
    account.reserved = reserved
    return true
  }

  /** Takes a free segment for the volume, or returns -1 where it may have none. */
  take(account: SegmentAccount): number {
    if (this.free === 0 || (account.used >= account.reserved && this.uncommitted === 0)) return -1
    while (this.owner[this.cursor] !== FREE) this.cursor = (this.cursor + 1) % this.count
    const segment = this.cursor
    this.cursor = (this.cursor + 1) % this.count
    this.claim(account, segment)
    return segment
  }

  /** The volume has this segment, which must be free: found after a restart. */
  claim(account: SegmentAccount, segment: number): void {
    assert(this.isFree(segment), `segment is free segment=${segment}`)
    this.owner[segment] = account.slot
    this.free -= 1
    this.committed -= committedBy(account)
    account.used += 1
    this.committed += committedBy(account)
  }

  /** The volume's segment may be used by anybody. */
  give(account: SegmentAccount, segment: number): void {
    assert(this.owner[segment] === account.slot, `segment is the volume's segment=${segment}`)
    this.owner[segment] = FREE
    this.free += 1
    this.committed -= committedBy(account)
    account.used -= 1
    this.committed += committedBy(account)
  }
}

function committedBy(account: SegmentAccount): number {
  return Math.max(account.used, account.reserved)
}
