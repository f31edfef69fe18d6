// What runs on the volume during a campaign, and knows what it was promised: raw writes under an oracle, or a database on
// a file system. Both follow the volume from host to host.
import { CheckedLoad } from '../integration/hosts/harness/checked-load.ts'
import type { ServedHere } from '../integration/hosts/harness/served-here.ts'
import { Table } from '../integration/hosts/harness/table.ts'
import type { TestBed } from '../integration/harness/test-bed.ts'

export interface CampaignLoad {
  /** `moves`: the device is going to die under it. */
  begin(served: ServedHere, moves: boolean): Promise<void>
  /** Everything that was acknowledged is there; the device is the same, and no request has failed. */
  stay(): Promise<void>
  /** Everything that was acknowledged is on the new device. */
  move(served: ServedHere): Promise<void>
  end(): Promise<void>
  /** Writes and the like, or transactions, that were acknowledged. */
  readonly acknowledged: number
  /** The longest that one of them took, or the longest time without any. */
  readonly longestPauseMs: number
}

/** After a fault that the application must not notice. */
const TRANSACTIONS_AFTER = 10

export class TableLoad implements CampaignLoad {
  private readonly table: Table

  private constructor(table: Table) {
    this.table = table
  }

  static async make(served: ServedHere): Promise<TableLoad> {
    const table = await Table.make(served)
    await table.moveTo(served)
    return new TableLoad(table)
  }

  get acknowledged(): number {
    return this.table.committed
  }

  get longestPauseMs(): number {
    return this.table.longestGapMs
  }

  async begin(): Promise<void> {
    await this.table.more(1)
  }

  async stay(): Promise<void> {
    await this.table.more(TRANSACTIONS_AFTER)
  }

  async move(served: ServedHere): Promise<void> {
    await this.table.lost()
    await this.table.moveTo(served)
    await this.table.more(TRANSACTIONS_AFTER)
  }

  async end(): Promise<void> {
    await this.table.stop()
    await this.table.check()
    await this.table.unmount()
  }
}

export class RawLoad implements CampaignLoad {
  acknowledged = 0
  longestPauseMs = 0
  private readonly load: CheckedLoad
  private begunAtMs = 0

  constructor(bed: TestBed, seed: number) {
    this.load = new CheckedLoad(bed, seed)
  }

  async begin(served: ServedHere, moves: boolean): Promise<void> {
    if (!this.load.isOpen) await this.load.open(served)
    this.load.begin(moves ? 'tolerant' : 'none')
    this.begunAtMs = performance.now()
  }

  async stay(): Promise<void> {
    await this.note()
    await this.load.verify()
  }

  async move(served: ServedHere): Promise<void> {
    await this.note()
    await this.load.close()
    await this.load.open(served)
    await this.load.verify()
    // From the begin on, which is a little more than from the fault on.
    this.longestPauseMs = Math.max(this.longestPauseMs, performance.now() - this.begunAtMs)
  }

  async end(): Promise<void> {
    if (this.load.isOpen) await this.load.close()
  }

  private async note(): Promise<void> {
    const { writes, zeroes, flushes, longestMs } = await this.load.stop()
    this.acknowledged = writes + zeroes + flushes
    this.longestPauseMs = Math.max(this.longestPauseMs, longestMs)
  }
}
