// Refusals: the one way in which the receiver ends a connection whose engine did something wrong or came too late. Each
// is told once to the other side and counted; the log has the first of a node and code, then at most one a minute with
// the number of those left out, so that a hostile peer fills no disk.
import type { Clock } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Ms } from '../../../base/units.ts'
import { CacheError, type ErrorKind } from '../../../base/errors.ts'
import type { Refusal as TableRefusal } from '../../protocol/store-rows.ts'
import type { RefusalCode } from '../../protocol/stored-log.ts'
import type { Refusal } from './engine-link.ts'
import { LOGGED_TEXT_MAX, REFUSAL_LOG_INTERVAL_MS, REFUSALS_REMEMBERED_MAX } from './limits.ts'

/** What a table refuses, with the values of this case. */
export function refusalOf({ refuse, text }: TableRefusal, values: string): Refusal {
  return { code: refuse, message: `${text} ${values}` }
}

/** What a failed order of the store means for who gave it. Only 'io' makes the volume unusable. */
export function storeRefusal(error: Error): Refusal {
  const { message } = error
  if (error instanceof CacheError) return { code: REFUSAL_OF_KIND[error.kind], message }
  return { code: 'io', message: `the store failed: ${message}` }
}

/** An order that the store finds illegal although the tables let it pass is a disagreement about what is here. */
const REFUSAL_OF_KIND: Readonly<Record<ErrorKind, RefusalCode>> = {
  full: 'full',
  corrupt: 'corrupt',
  invalid: 'not-held',
  retry: 'stopping',
  fenced: 'io',
  'unknown-outcome': 'io',
}

export interface RefusedConnection {
  /** As its certificate names it. */
  readonly node: string
  readonly remote: string
  /** Empty before its HELLO was accepted: what a stranger calls a volume is not worth a line of ours. */
  readonly volume: string
}

export class RefusalLog {
  /** By code, since the start. */
  readonly counts = new Map<RefusalCode, number>()
  private readonly log: EventLog
  private readonly clock: Clock
  private readonly logged = new Map<string, { atMs: Ms; leftOut: number }>()

  constructor({ log, clock }: { log: EventLog; clock: Clock }) {
    this.log = log
    this.clock = clock
  }

  note({ node, remote, volume }: RefusedConnection, { code, message, routine = false }: Refusal): void {
    this.counts.set(code, (this.counts.get(code) ?? 0) + 1)
    if (routine) return
    const key = `${node} ${code}`
    const nowMs = this.clock.monotonicMs()
    const last = this.logged.get(key)
    if (last !== undefined && nowMs < last.atMs + REFUSAL_LOG_INTERVAL_MS) {
      last.leftOut += 1
      return
    }
    this.remember(key, nowMs)
    const fields = { node: cut(node), remote: cut(remote), volume: cut(volume), code, reason: cut(message) }
    this.log.event('replica.receiver.refused', { ...fields, leftOut: last?.leftOut ?? 0 }, 'warning')
  }

  private remember(key: string, nowMs: Ms): void {
    // Taken out and put in again, so that the map's order is the order of logging and the oldest goes first.
    this.logged.delete(key)
    this.logged.set(key, { atMs: nowMs, leftOut: 0 })
    if (this.logged.size <= REFUSALS_REMEMBERED_MAX) return
    for (const oldest of this.logged.keys()) {
      this.logged.delete(oldest)
      break
    }
  }
}

function cut(text: string): string {
  return text.length <= LOGGED_TEXT_MAX ? text : `${text.slice(0, LOGGED_TEXT_MAX)}…`
}
