// Which peers a volume should have, of those that could serve: the earliest in the user's list that fill the wanted counts
// inside and outside the own fault domain. Pure; also the text that says why there are too few and what to do.
import type { RefusalCode } from './stored-log.ts'

/** Wanted replicas beside the own copy. */
export interface ReplicaWish {
  /** In the owner's fault domain, in other ones, wherever. */
  readonly same: number
  readonly other: number
  readonly any: number
}

export interface Place {
  readonly node: string
  readonly domain: string
}

export interface Placement {
  /** In the order of the list. */
  readonly chosen: readonly string[]
  /** What is missing of each count. */
  readonly missing: ReplicaWish
}

/** `places` in the order of the user's list, without the own node. */
export function choosePlaces(wish: ReplicaWish, places: readonly Place[], ownDomain: string): Placement {
  const same = places.filter(({ domain }) => domain === ownDomain).slice(0, wish.same)
  const other = places.filter(({ domain }) => domain !== ownDomain).slice(0, wish.other)
  const rest = places.filter((place) => !same.includes(place) && !other.includes(place)).slice(0, wish.any)
  const chosen = places.filter((place) => [same, other, rest].some((part) => part.includes(place)))
  return {
    chosen: chosen.map(({ node }) => node),
    missing: {
      same: wish.same - same.length,
      other: wish.other - other.length,
      any: wish.any - rest.length,
    },
  }
}

export function isComplete({ missing }: Placement): boolean {
  return missing.same + missing.other + missing.any === 0
}

/** A peer that could help but does not yet. */
export interface Absent extends Place {
  /** same-store: its store is a copy of one that is listed, the identity included. */
  readonly status: 'unreachable' | 'unstable' | 'connected' | 'learning' | 'joined' | 'refused' | 'same-store'
  readonly refusal?: RefusalCode
}

/** Why the volume is in write-through, for status and events. */
export function tooFewPeersText(
  wish: ReplicaWish,
  missing: ReplicaWish,
  absent: readonly Absent[],
): { readonly message: string; readonly remedy: string } {
  const wanted = wish.same + wish.other + wish.any
  const parts = [
    missing.same > 0 ? `${missing.same} in its own fault domain` : '',
    missing.other > 0 ? `${missing.other} in another fault domain` : '',
    missing.any > 0 ? `${missing.any} anywhere` : '',
  ].filter((part) => part !== '')
  const states = absent.map(
    ({ node, status, refusal }) => `${node}:${refusal === undefined ? status : `${status}-${refusal}`}`,
  )
  return {
    message: `too few peers for ${wanted} ${wanted === 1 ? 'replica' : 'replicas'}: missing ${parts.join(', ')} peers=${states.join(',') || 'none'}`,
    remedy: remedyFor(missing, absent),
  }
}

function remedyFor(missing: ReplicaWish, absent: readonly Absent[]): string {
  const soon = 'A peer is being brought up to date; write-back returns by itself.'
  // Who was refused asks again now and then, which helps nobody by itself.
  const comes = ['learning', 'joined', 'unstable']
  if (absent.some(({ status, refusal }) => comes.includes(status) && refusal === undefined)) return soon
  const full = absent.filter(({ refusal }) => refusal === 'full' || refusal === 'too-many').map(({ node }) => node)
  if (full.length > 0) return `Give the replica store of ${full.join(', ')} more space, or add another --peer.`
  const twins = absent.filter(({ status }) => status === 'same-store').map(({ node }) => node)
  if (twins.length > 0)
    return `The replica store of ${twins.join(', ')} is a copy of another host's: give "forebay peer" there a new --store.`
  const away = absent.filter(({ status }) => status === 'unreachable').map(({ node }) => node)
  if (away.length > 0)
    return `Start "forebay peer" on ${away.join(', ')}, check the network to it, or add another --peer.`
  const where = missing.other > 0 ? ' in another fault domain' : missing.same > 0 ? ' in the same fault domain' : ''
  return `Add a --peer${where}, or ask for fewer --replicas.`
}
