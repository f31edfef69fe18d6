// How long promises between nodes hold, and why no two clocks need to agree (rules 8.1 and 8.4 of the replication
// protocol, docs/decisions/0001). Each span is measured by one clock only, and every span of the side that waits begins
// later and lasts longer than that of the side that serves:
//
//   owner   s───────────6 s──────────▶ stops                 s: heartbeat sent
//   store      r────────────8 s────────────▶ may seal        r ≥ s: heartbeat received
//
// so that the owner stops first as long as (1 + d)/(1 - d) < 8/6, where d is the error of either clock's rate: up to
// one part in seven. Real clocks err by less than one in a thousand; the rest is for the time between the owner's look
// at its lease and what it does then. The clock must run on while the host sleeps (boot clock), or a sleeping owner wakes
// up with a lease that the store has long forgotten. The same holds for the node's lease: 15 s from sending against
// 17 s from the successor's own settled write, which comes after whatever the old node was told before it.
import type { Ms } from '../../base/units.ts'

export const HEARTBEAT_MS: Ms = 1_000
/** What an answered heartbeat allows, from when it was sent. */
export const LEASE_MS: Ms = 6_000
/** A store grants no seal before this, from when it received the last heartbeat, and from its own start (8.2). */
export const SEAL_WAIT_MS: Ms = 8_000

/** Each node renews its lease record this often. */
export const NODE_LEASE_RENEW_MS: Ms = 5_000
/** What a settled renewal allows, from when it was sent. */
export const NODE_LEASE_MS: Ms = 15_000
/** A successor waits this long while the old node's record does not change. */
export const NODE_LEASE_WAIT_MS: Ms = 17_000
