// Says which connections were refused and why, and lets nobody fill the log: the first refusal of an address at once,
// its later ones as a count no sooner than REPEAT_MS, and no more than LINES_PER_MINUTE_MAX of all.
import type { Clock } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Ms } from '../../../base/units.ts'

const REPEAT_MS = 10 * 60_000
const LINES_PER_MINUTE_MAX = 20
/** Addresses remembered; the longest silent one goes first and may then be said again. */
const ADDRESSES_MAX = 256

interface Said {
  atMs: Ms
  /** Refusals since then. */
  count: number
}

export class TlsRefusals {
  /** Ever. */
  refused = 0
  private readonly clock: Clock
  private readonly log: EventLog
  private readonly addresses = new Map<string, Said>()
  private minuteFromMs: Ms = Number.NEGATIVE_INFINITY
  private linesInMinute = 0

  constructor(clock: Clock, log: EventLog) {
    this.clock = clock
    this.log = log
  }

  /** `address` without the port, which differs each time. */
  note(address: string, reason: string): void {
    this.refused++
    const now = this.clock.monotonicMs()
    const said = this.addresses.get(address)
    if (said !== undefined && now - said.atMs < REPEAT_MS) {
      said.count++
      return
    }
    if (!this.mayPrint(now)) return
    this.addresses.delete(address)
    this.addresses.set(address, { atMs: now, count: 0 })
    if (this.addresses.size > ADDRESSES_MAX) {
      for (const oldest of this.addresses.keys()) {
        this.addresses.delete(oldest)
        break
      }
    }
    this.log.event('tls.refused', { remote: address, reason, alsoRefused: said?.count ?? 0 }, 'warning')
  }

  private mayPrint(now: Ms): boolean {
    if (now - this.minuteFromMs >= 60_000) {
      this.minuteFromMs = now
      this.linesInMinute = 0
    }
    this.linesInMinute++
    return this.linesInMinute <= LINES_PER_MINUTE_MAX
  }
}
