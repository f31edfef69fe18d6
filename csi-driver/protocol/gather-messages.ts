// What the user reads when a claimed volume cannot be opened: what is missing, how much, where it may be, what to do.
// Pure; codes are stable, users match on them.
import type { Ms } from '../../base/units.ts'
import type { Unfenced } from '../register/record.ts'
import type { Blocked } from './gather-table.ts'
import type { RefusalText } from './open-messages.ts'

export interface GatherContext {
  readonly volume: string
  /** What the register or the last status knew; left out where nothing is known. */
  readonly dirtyBytes?: number
  /** Age of the oldest record that is not on the backing. */
  readonly ageMs?: Ms
}

export type GatherCode = 'CACHE_BLOCKED_NO_MEMBER' | 'CACHE_BLOCKED_NO_LOG' | 'CACHE_BLOCKED_LOG_SHORT'

const CODES: Readonly<Record<Blocked['why'], GatherCode>> = {
  'no-seal': 'CACHE_BLOCKED_NO_MEMBER',
  'no-log': 'CACHE_BLOCKED_NO_LOG',
  short: 'CACHE_BLOCKED_LOG_SHORT',
}

const WHAT: Readonly<Record<Blocked['why'], string>> = {
  'no-seal': 'no copy of the newest writes can be reached',
  'no-log': 'no copy that can be reached holds the newest writes',
  short: 'every copy that can be reached ends before the newest acknowledged write',
}

export function blockedText(blocked: Blocked, context: GatherContext): RefusalText & { readonly code: GatherCode } {
  const { volume, dirtyBytes, ageMs } = context
  const copies = blocked.candidates.map(({ member, state }) => `${member.storeUuid}@${member.node}:${state}`)
  const amount = dirtyBytes === undefined ? 'unknown' : String(dirtyBytes)
  const age = ageMs === undefined ? 'unknown' : String(Math.round(ageMs / 1000))
  const records = `ackedSeq=${blocked.ackedSeq} heldSeq=${blocked.heldSeq}`
  const nodes = [...new Set(blocked.candidates.map(({ member }) => member.node))].join(', ')
  return {
    code: CODES[blocked.why],
    message: `${WHAT[blocked.why]} volume=${volume} lostBytes=${amount} oldestSeconds=${age} ${records} copies=${copies.join(',') || 'none'}`,
    remedy: `Bring back one of the nodes that hold a copy (${nodes || 'none is listed'}) and try again; only --accept-data-loss ${volume} goes on without those writes.`,
  }
}

export function needOffText(
  volume: string,
  entries: readonly Unfenced[],
): RefusalText & { readonly code: 'CACHE_NEEDS_OFF' } {
  const nodes = [...new Set(entries.map(({ node }) => node))].join(',')
  return {
    code: 'CACHE_NEEDS_OFF',
    message: `an earlier owner is cut from the backing but may still read its cache, and no copy can be reached that would stop it volume=${volume} otherNodes=${nodes}`,
    remedy:
      'Bring back a node that holds a copy, or turn the earlier owner off: give --fence-command a command that ends with 0 only when the host is off.',
  }
}
