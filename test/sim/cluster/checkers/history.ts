// One history across owners: every sector is a register that all users of all owners share, and the oracle judges each
// read against it (linearizability; oracle.ts). What is added here is where ownerships meet: from the moment that an
// engine of a newer epoch serves, what users of older ones have outstanding has happened or never will; the new owner's
// log is closed. A write of theirs that turns up later than that travels in time.
import type { Oracle } from '../../oracle.ts'
import type { World } from '../../world.ts'
import type { ClusterChecker } from './cluster-checker.ts'

export interface User {
  readonly epoch: number
  readonly frontEnd: { readonly outstanding: ReadonlyMap<number, unknown> }
}

export class HistoryChecker implements ClusterChecker {
  readonly name = 'history'
  readonly rule = 'invariants 6 and 8'
  private readonly world: World
  private readonly oracle: Oracle
  private readonly holders: readonly User[]

  constructor(parts: { world: World; oracle: Oracle; holders: readonly User[] }) {
    this.world = parts.world
    this.oracle = parts.oracle
    this.holders = parts.holders
  }

  onServing({ epoch }: Pick<User, 'epoch'>): void {
    const now = this.world.tick()
    for (const holder of this.holders) {
      // 0: it has not served yet, and its users have been answered nothing.
      if (holder.epoch > 0 && holder.epoch < epoch) this.oracle.endedBefore(now, holder.frontEnd.outstanding.keys())
    }
  }
}
