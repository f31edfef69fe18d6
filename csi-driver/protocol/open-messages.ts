// What the user reads when a volume is not opened: one sentence that says what is wrong, with the values, and one or two
// that say what to do. Pure; the codes are stable, users match on them.
import type { OpenInput } from './open-facts.ts'

export interface RefusalText {
  readonly message: string
  readonly remedy: string
}

type TextOf = (input: OpenInput) => RefusalText

const TEXTS = {
  CACHE_OWNED_ELSEWHERE: ({ record, volume, node }) => {
    const others = [...(record?.unfenced ?? []), { node: record?.owner ?? '' }].filter((entry) => entry.node !== node)
    const other = others[0]?.node ?? ''
    return {
      message: `another node may still use the backing volume=${volume} otherNode=${other} thisNode=${node}`,
      remedy: `Stop the volume on node ${other} ("forebay stop ${volume}" there), then start it here. If that host is dead or cut off: forebay takeover ${volume} (--fence-command CMD | --fenced) with the options of serve.`,
    }
  },
  CACHE_NOTHING_TO_TAKE_OVER: ({ volume }) => ({
    message: `the register has no record of the volume that is to be taken over volume=${volume}`,
    remedy: 'Give the --register directory that the other hosts use, or start a new volume with "forebay serve".',
  }),
  CACHE_FOREIGN_CONTENT: ({ cachePath }) => ({
    message: `the cache path holds something that is not a Forebay cache path=${cachePath}`,
    remedy: 'Give another --cache path, or add --format-cache to overwrite what is there.',
  }),
  CACHE_OF_OTHER_VOLUME: (input) => ({
    message: `the cache belongs to another volume path=${input.cachePath} cacheVolume=${cacheVolume(input)} volume=${input.volume}`,
    remedy:
      "Give this volume's own --cache path, or add --format-cache: that cache holds nothing that is not on its backing.",
  }),
  CACHE_OF_OTHER_VOLUME_DIRTY: (input) => ({
    message: `the cache holds dirty data of another volume path=${input.cachePath} cacheVolume=${cacheVolume(input)} volume=${input.volume}`,
    remedy: `Give another --cache path. To free this one, serve volume ${cacheVolume(input)} with it and stop that volume, which drains it; --format-cache never overwrites dirty data.`,
  }),
  CACHE_SUPERBLOCKS_DAMAGED: (input) => ({
    message: `the cache's superblocks are damaged, so what it holds is not known path=${input.cachePath} ${atStake(input)}`,
    remedy: `Look with "forebay inspect ${input.cachePath}" and give another --cache path. If nothing in it is needed, add --format-cache and --accept-data-loss ${input.volume}.`,
  }),
  CACHE_REGISTER_MISSING: (input) => ({
    message: `the cache belongs to this volume but the register has no record of it path=${input.cachePath} volume=${input.volume}`,
    remedy: holdsDirty(input)
      ? `Restore the register, or give the --register (or --state-dir) that was used before. The cache holds acknowledged writes (${atStake(input)}); only --accept-data-loss ${input.volume} goes on without them.`
      : 'Restore the register, or give the --register (or --state-dir) that was used before. The cache holds nothing that is not on the backing: --format-cache starts the volume anew.',
  }),
  CACHE_REGISTER_WENT_BACK: (input) => ({
    message: `the register is older than the cache volume=${input.volume} registerEpoch=${input.record?.epoch ?? 0} registerVersion=${input.record?.rv ?? 0} ${cacheVersions(input)}`,
    remedy: `Restore the newest register. An older copy cannot tell where the newest writes are; only --accept-data-loss ${input.volume} goes on with what the backing holds (${atStake(input)}).`,
  }),
  CACHE_REGISTER_REPLACED: (input) => ({
    message: `the register is not the one that this cache was used with volume=${input.volume} path=${input.cachePath}`,
    remedy: `Restore the register, or give the --register (or --state-dir) that was used before; only --accept-data-loss ${input.volume} goes on with what the backing holds (${atStake(input)}).`,
  }),
  CACHE_LOG_MISSING: (input) => ({
    message: `the cache should hold the newest writes but lacks their log volume=${input.volume} path=${input.cachePath} logUuid=${input.record?.logUuid ?? ''}`,
    remedy: `If this is an older copy of the cache, give the newest one${copiesElsewhere(input)}; only --accept-data-loss ${input.volume} goes on without those writes (${atStake(input)}).`,
  }),
  CACHE_STALE: (input) => ({
    message: `the cache is an old one; the newest writes are in another volume=${input.volume} path=${input.cachePath} ${wantedStores(input)}`,
    remedy: `Give the --cache path that was used last${copiesElsewhere(input)}; only --accept-data-loss ${input.volume} goes on without those writes (${atStake(input)}).`,
  }),
  CACHE_DIRTY_ELSEWHERE: (input) => ({
    message: `acknowledged writes of the volume are in a cache that is not at this path volume=${input.volume} path=${input.cachePath} ${wantedStores(input)}`,
    remedy: `Give the --cache path that was used last${copiesElsewhere(input)}; only --accept-data-loss ${input.volume} goes on without those writes (${atStake(input)}).`,
  }),
  CACHE_BACKING_OTHER: (input) => ({
    message: `the backing is not the one that this volume was used with path=${input.backingPath} ${backings(input)}`,
    remedy: backingRemedy('Give the right --backing path.'),
  }),
  CACHE_BACKING_LARGER: (input) => ({
    message: `the backing has grown since the volume was open path=${input.backingPath} ${backings(input)}`,
    remedy: 'If that was intended, add --backing-changed replay: the volume takes the new size and nothing is lost.',
  }),
  CACHE_BACKING_SMALLER: (input) => ({
    message: `the backing is smaller than the volume path=${input.backingPath} ${backings(input)}`,
    remedy:
      'Give the right --backing path or restore its size. --backing-changed discard-cache takes the smaller size and drops what is dirty in the cache.',
  }),
  CACHE_BACKING_CHANGED: (input) => ({
    message: `the backing was changed while the cache held newer data path=${input.backingPath} volume=${input.volume}`,
    remedy: backingRemedy('Somebody wrote to it directly, for example by mounting it.'),
  }),
} satisfies Record<`CACHE_${string}`, TextOf>

export type RefusalCode = keyof typeof TEXTS | 'CACHE_ACCEPT_DATA_LOSS_NAME'

export function refusalText(code: RefusalCode, input: OpenInput): RefusalText {
  return code === 'CACHE_ACCEPT_DATA_LOSS_NAME' ? wrongLossName(input) : TEXTS[code](input)
}

export function wrongLossName(input: OpenInput): RefusalText & { readonly code: 'CACHE_ACCEPT_DATA_LOSS_NAME' } {
  return {
    code: 'CACHE_ACCEPT_DATA_LOSS_NAME',
    message: `--accept-data-loss names another volume given=${input.acceptDataLoss ?? ''} volume=${input.volume}`,
    remedy: `Nothing was changed. The option takes the name of the volume that is served, ${input.volume}, as a safeguard.`,
  }
}

function backingRemedy(first: string): string {
  return `${first} If it is to be used as it is, add --backing-changed replay (dirty data of the cache is written over it) or --backing-changed discard-cache (dirty data is dropped).`
}

function holdsDirty({ cache }: OpenInput): boolean {
  return cache.kind === 'forebay' && (cache.settled?.dirty === true || cache.intent !== null)
}

function cacheVolume({ cache }: OpenInput): string {
  return cache.kind === 'forebay' ? cache.volume : ''
}

function cacheVersions({ cache }: OpenInput): string {
  return cache.kind === 'forebay' ? `cacheEpoch=${cache.epoch} cacheVersion=${cache.settled?.rv ?? 0}` : ''
}

function wantedStores({ record }: OpenInput): string {
  const stores = (record?.members ?? []).map((member) => `${member.storeUuid}@${member.node}`)
  return `wantedStores=${stores.length > 0 ? stores.join(',') : 'none'}`
}

/** Other nodes that hold a copy, as far as the register knows. */
function copiesElsewhere({ record, node }: OpenInput): string {
  const nodes = [...new Set((record?.members ?? []).map((member) => member.node))].filter((other) => other !== node)
  return nodes.length > 0 ? `, or add --peer for a node that holds a copy (${nodes.join(', ')})` : ''
}

function backings({ record, backing }: OpenInput): string {
  const was = record?.backing
  const is = backing.identity
  return `registered=${was?.kind ?? ''}:${was?.id ?? ''} found=${is.kind}:${is.id} registeredBytes=${was?.sizeBytes ?? 0} foundBytes=${is.sizeBytes}`
}

/** How much may be lost and how old it is; `unknown` is said, never left out. */
function atStake({ atStake: known }: OpenInput): string {
  const amount = known?.dirtyBytes === undefined ? 'unknown' : String(known.dirtyBytes)
  const age = known?.ageMs === undefined ? 'unknown' : String(Math.round(known.ageMs / 1000))
  return `lostBytes=${amount} oldestSeconds=${age}`
}
