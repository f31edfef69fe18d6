// What `serve` has found before it opens a volume, and the few facts about it that decide (open-table.ts). Pure: who
// reads the register, the superblocks and the backing fills in OpenInput and changes nothing.
import type { Epoch, Ms } from '../../base/units.ts'
import { type BackingIdentity, type Member, type RegisterRecord, sameMember } from '../register/record.ts'
import type { RegisterIntent } from '../register/settlement.ts'
import { predecessorClosed } from './register-transitions.ts'

/** What stands at the cache's path. */
export type CacheSummary =
  /** absent: no such file. empty: only zeros. foreign: something of somebody else. damaged: superblocks of ours that cannot be read. */
  { readonly kind: 'absent' | 'empty' | 'foreign' | 'damaged' } | ForebayCache

export interface ForebayCache {
  readonly kind: 'forebay'
  readonly volume: string
  readonly volumeUuid: string
  readonly registerNonce: string
  readonly storeUuid: string
  readonly incarnation: number
  /** Of the last ownership that wrote a log here. */
  readonly epoch: Epoch
  /** Every name that its log has, a pending one included. */
  readonly logUuids: readonly string[]
  /** The last settled record that the superblock keeps; null before the volume's creation was settled. */
  readonly settled: RegisterRecord | null
  /** The change that the superblock shows as open. */
  readonly intent: RegisterIntent | null
}

export type BackingChangedFlag = 'none' | 'replay' | 'discard-cache'

export interface OpenInput {
  readonly volume: string
  readonly node: string
  readonly cachePath: string
  readonly backingPath: string
  /** null: the register has no record of the volume. */
  readonly record: RegisterRecord | null
  readonly cache: CacheSummary
  readonly backing: {
    readonly identity: BackingIdentity
    /** changed: a block of its first or last MiB that the log does not hold differs from its hash in the checkpoint. */
    readonly edges: 'same' | 'changed'
  }
  readonly formatCache: boolean
  /** The name given with --accept-data-loss, null without it. */
  readonly acceptDataLoss: string | null
  readonly backingChanged: BackingChangedFlag
  /** Nodes whose replica store has a known address: the peers, and the own node where a store runs beside the engine. */
  readonly storeNodes?: readonly string[]
  /** The user asked to take the volume over from another node, and gave a fence for it. */
  readonly takeover?: boolean
  /** What is known about the data at stake. */
  readonly atStake?: { readonly dirtyBytes?: number; readonly ageMs?: Ms }
}

export interface PredecessorFacts {
  /** Who may still touch the backing: nobody ever did, nobody since a settled close, engines of this node, of another. */
  readonly predecessor: 'none' | 'closed' | 'own-node' | 'other-node'
  readonly takeover: boolean
}

export interface CacheFacts {
  readonly register: 'absent' | 'clean' | 'dirty'
  /**
   * unused: nothing of anybody's, or of ours and never in service. The last part: what its superblock knows of the
   * volume's `dirty`, where an open change counts as dirty.
   */
  readonly cache: 'unused' | 'foreign' | 'damaged' | 'this-clean' | 'this-dirty' | 'other-clean' | 'other-dirty'
  /** Is the register as new as the cache (rule 1.4)? Always `consistent` where the cache is not this volume's. */
  readonly history: 'consistent' | 'log-newer' | 'register-replaced'
  /** Does the register list this cache's store under its incarnation? */
  readonly store: 'listed' | 'not-listed'
  /** Does the cache hold the log that the register names? */
  readonly log: 'known' | 'unknown'
  /** Does the register list other stores than this cache, at known addresses, to gather a dirty volume from? */
  readonly otherCopies: 'listed' | 'none'
  readonly formatCache: boolean
  readonly lossAccepted: boolean
}

export interface BackingFacts {
  /** Is there anything to replay to the backing? */
  readonly holds: 'nothing' | 'dirty'
  /** The gravest difference from what the register knows; `content` counts only while something is dirty. */
  readonly change: 'none' | 'content' | 'larger' | 'identity' | 'smaller'
  readonly backingChanged: BackingChangedFlag
}

export function predecessorFacts({ record, node, takeover = false }: OpenInput): PredecessorFacts {
  if (record === null) return { predecessor: 'none', takeover }
  const closed = predecessorClosed(record)
  const suspects = [...record.unfenced.map((entry) => entry.node), ...(closed ? [] : [record.owner])]
  if (suspects.length === 0) return { predecessor: 'closed', takeover }
  return { predecessor: suspects.every((suspect) => suspect === node) ? 'own-node' : 'other-node', takeover }
}

export function cacheFacts(input: OpenInput): CacheFacts {
  const { record, cache } = input
  const own = ownCache(input)
  return {
    register: record === null ? 'absent' : dirtyOrClean(record.dirty),
    cache: cacheKind(input),
    history: own !== null && record !== null ? historyFact(record, own) : 'consistent',
    store: record?.members.some((member) => own !== null && sameMember(member, { ...own, node: member.node }))
      ? 'listed'
      : 'not-listed',
    log: cache.kind === 'forebay' && record !== null && cache.logUuids.includes(record.logUuid) ? 'known' : 'unknown',
    otherCopies: record?.members.some((member) => isElsewhere(member, input)) ? 'listed' : 'none',
    formatCache: input.formatCache,
    lossAccepted: input.acceptDataLoss === input.volume,
  }
}

/** Is the log in the cache one that the register counts on? */
export function ownLogCounts(input: OpenInput): boolean {
  const { store, log, history } = cacheFacts(input)
  return store === 'listed' && log === 'known' && history === 'consistent'
}

function isElsewhere({ node, storeUuid }: Member, { cache, storeNodes = [] }: OpenInput): boolean {
  return storeNodes.includes(node) && !(cache.kind === 'forebay' && cache.storeUuid === storeUuid)
}

/** `holds` is known only after the cache was decided on. */
export function backingFacts(input: OpenInput, holds: BackingFacts['holds']): BackingFacts {
  return { holds, change: backingChange(input, holds), backingChanged: input.backingChanged }
}

/** The cache, if it belongs to this volume: by identity or, where no register knows that, by name. */
function ownCache({ cache, record, volume }: OpenInput): ForebayCache | null {
  if (cache.kind !== 'forebay' || cache.settled === null) return null
  const own = record === null ? cache.volume === volume : cache.volumeUuid === record.volumeUuid
  return own ? cache : null
}

function cacheKind(input: OpenInput): CacheFacts['cache'] {
  const { cache } = input
  if (cache.kind === 'absent' || cache.kind === 'empty') return 'unused'
  if (cache.kind !== 'forebay') return cache.kind
  // Formatted, but the creation of its volume was never settled: no write can have been acknowledged from it.
  if (cache.settled === null) return 'unused'
  const whose = ownCache(input) === null ? 'other' : 'this'
  return `${whose}-${dirtyOrClean(cache.settled.dirty || cache.intent !== null)}`
}

function dirtyOrClean(dirty: boolean): 'dirty' | 'clean' {
  return dirty ? 'dirty' : 'clean'
}

function historyFact(record: RegisterRecord, cache: ForebayCache): CacheFacts['history'] {
  if (record.registerNonce !== cache.registerNonce) return 'register-replaced'
  const settledRv = cache.settled?.rv ?? 0
  return cache.epoch > record.epoch || settledRv > record.rv ? 'log-newer' : 'consistent'
}

function backingChange({ record, backing }: OpenInput, holds: BackingFacts['holds']): BackingFacts['change'] {
  if (record === null) return 'none'
  const [was, is] = [record.backing, backing.identity]
  if (is.sizeBytes < was.sizeBytes) return 'smaller'
  if (is.kind !== was.kind || is.id !== was.id) return 'identity'
  if (is.sizeBytes > was.sizeBytes) return 'larger'
  return holds === 'dirty' && backing.edges === 'changed' ? 'content' : 'none'
}
