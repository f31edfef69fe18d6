// Which backings, caches, replica stores and state directories are acceptable: ordered rules over facts, pure. Each refusal says what
// was found and what to do. Nothing here looks at the content of a cache: the engine does, before it changes anything.
import { printSize } from '../../base/setting-kinds.ts'
import type { SettingProblem } from '../../base/settings.ts'
import { MIB, type Bytes } from '../../base/units.ts'
import { CACHE_BYTES_MIN, type ServeSettings } from '../config.ts'
import type { PathFacts } from './path-facts.ts'
import { bytesText } from './quantity-text.ts'

/** Below it the hashes of the first and last MiB would overlap, and nothing is gained anyway. */
export const BACKING_BYTES_MIN = 2 * MIB
/** Block numbers have 32 bits. */
export const BACKING_BYTES_MAX = 16 * 1024 ** 4
/** Room for the log of one volume with the smallest cache. */
export const STORE_BYTES_MIN = 64 * MIB

export interface ServeFacts {
  readonly volume: string
  readonly settings: ServeSettings
  readonly backing: PathFacts
  readonly cache: PathFacts
  readonly stateDirectory: PathFacts
  /** The size that the cache has or will have. */
  readonly cacheBytes: Bytes
}

export function pathProblems(facts: ServeFacts): SettingProblem[] {
  const backing = backingProblem(facts) ?? sectorProblem(facts)
  const cache = storageProblem(facts.cache, facts.settings.resource) ?? cacheSpaceProblem(facts)
  const apart = backing === null && cache === null ? stackProblem(facts) : null
  return [
    ...wrap('--backing', backing),
    ...wrap('--cache', cache),
    ...wrap('--cache', apart),
    ...wrap('--state-dir', stateDirectoryProblem(facts)),
  ]
}

function wrap(where: string, problem: string | null): SettingProblem[] {
  return problem === null ? [] : [{ where, problem }]
}

/** Names with a line break would break the lines that the holder reads. */
function nameProblem(facts: PathFacts): string | null {
  return facts.path.includes('\n') ? `has a line break in its name; rename it path=${JSON.stringify(facts.path)}` : null
}

function backingProblem({ backing }: ServeFacts): string | null {
  const { given, kind, sizeBytes } = backing
  if (kind === 'missing') return `does not exist; give a block device or an image file path=${given}`
  if (kind === 'directory') return `is a directory; give a block device or an image file path=${given}`
  if (kind === 'other') return `is neither a block device nor a file path=${given}`
  if (backing.deviceOfVolume !== null) {
    return `is the device of volume=${backing.deviceOfVolume}, already served by Forebay; give the device behind it path=${given}`
  }
  if (backing.usedBy.length > 0) {
    return `is in use: ${backing.usedBy.join(', ')}; release it first, for example with umount path=${given}`
  }
  if (backing.block?.readOnly === true) return `is read-only; make it writable (blockdev --setrw) path=${given}`
  if (!backing.writable) return `cannot be opened for writing path=${given}`
  if (sizeBytes < BACKING_BYTES_MIN) {
    return `is too small; at least ${printSize(BACKING_BYTES_MIN)} path=${given} found=${bytesText(sizeBytes)}`
  }
  if (sizeBytes > BACKING_BYTES_MAX) return `is too large; at most ${printSize(BACKING_BYTES_MAX)} path=${given}`
  return nameProblem(backing)
}

function sectorProblem({ backing, settings }: ServeFacts): string | null {
  const own = backing.block?.logicalSectorBytes ?? 512
  const sectorBytes = Number(settings.sectorSize ?? Math.max(own, 512))
  if (sectorBytes < own) {
    return `has sectors of ${own} bytes; --sector-size must be at least that given=${sectorBytes}`
  }
  if (sectorBytes !== 512 && sectorBytes !== 4096)
    return `has sectors of ${own} bytes; only 512 and 4096 are supported path=${backing.given}`
  if (backing.sizeBytes % sectorBytes !== 0) {
    return `is no multiple of the sector size ${sectorBytes}; give it such a size sizeBytes=${backing.sizeBytes}`
  }
  return null
}

/** A cache or replica store: a file that may have to be made, or a block device. */
function storageProblem(facts: PathFacts, resource: ServeSettings['resource']): string | null {
  const { given, kind } = facts
  if (kind === 'missing' && !facts.directoryExists) return `is in a directory that does not exist path=${given}`
  if (kind === 'directory') return `is a directory; name a file in it, which is then created path=${given}`
  if (kind === 'other') return `is neither a file nor a block device path=${given}`
  if (facts.usedBy.length > 0) return `is in use: ${facts.usedBy.join(', ')}; release it first path=${given}`
  if (facts.block?.readOnly === true) return `is read-only path=${given}`
  if (kind !== 'missing' && !facts.writable) return `cannot be opened for writing path=${given}`
  return linkProblem(facts) ?? resourceProblem(facts, resource) ?? nameProblem(facts)
}

/** Locks are by directory and name: with two names one thing could be used twice. */
function linkProblem({ kind, hardLinks, given }: PathFacts): string | null {
  if (kind !== 'file' || hardLinks <= 1) return null
  return `has ${hardLinks} names (hard links), so it could be served twice; leave one path=${given}`
}

function resourceProblem(cache: PathFacts, resource: ServeSettings['resource']): string | null {
  const inMemory = cache.kind !== 'block' && cache.inMemory
  if (resource === 'flash' && inMemory) {
    return `is in memory (tmpfs), which a power loss empties; say --resource memory if that is meant path=${cache.given}`
  }
  if (resource === 'memory' && !inMemory) {
    return `is not in memory; --resource memory wants a file on tmpfs, for example in /dev/shm path=${cache.given}`
  }
  return null
}

function cacheSpaceProblem({ cache, cacheBytes }: ServeFacts): string | null {
  const size = printSize(cacheBytes)
  const found = `path=${cache.given} found=${bytesText(cache.sizeBytes)}`
  if (cacheBytes < CACHE_BYTES_MIN) return `is too small for a cache; at least ${printSize(CACHE_BYTES_MIN)} ${found}`
  if (cache.kind === 'block' && cache.sizeBytes < cacheBytes) return `is smaller than --cache-size ${size} ${found}`
  if (cache.kind === 'file' && cache.sizeBytes > 0 && cache.sizeBytes < cacheBytes) {
    return `is smaller than --cache-size ${size}; leave that flag out, or name a file that does not exist yet ${found}`
  }
  const missingBytes = cacheBytes - cache.allocatedBytes
  if (cache.kind !== 'block' && missingBytes > cache.freeBytes) {
    return `has no room for ${size}; ${bytesText(cache.freeBytes)} are free there, give a smaller --cache-size path=${cache.given}`
  }
  return null
}

/** What is wrong with `--store` of `forebay peer`; `sizeBytes` is the size that it has or shall have. */
export function storeProblems(
  store: PathFacts,
  resource: ServeSettings['resource'],
  sizeBytes: Bytes,
): SettingProblem[] {
  const problem = storageProblem(store, resource) ?? storeSpaceProblem(store, sizeBytes)
  return wrap('--store', problem)
}

function storeSpaceProblem(store: PathFacts, sizeBytes: Bytes): string | null {
  const size = printSize(sizeBytes)
  const found = `path=${store.given} found=${bytesText(store.sizeBytes)}`
  if (sizeBytes < STORE_BYTES_MIN)
    return `is too small for a replica store; at least ${printSize(STORE_BYTES_MIN)} ${found}`
  if (store.kind === 'block' && store.sizeBytes < sizeBytes) return `is smaller than --size ${size} ${found}`
  if (store.kind === 'file' && store.sizeBytes > sizeBytes) {
    return `is larger than --size ${size}, and a store does not shrink; give its size, or another path ${found}`
  }
  const missingBytes = sizeBytes - store.allocatedBytes
  if (store.kind === 'block' || missingBytes <= store.freeBytes) return null
  return `has no room for ${size}; ${bytesText(store.freeBytes)} are free there, give a smaller --size path=${store.given}`
}

/** Neither may stand on the other: a cache that waits for the volume which waits for the cache never ends. */
function stackProblem({ backing, cache, volume }: ServeFacts): string | null {
  const itself = (facts: PathFacts): string => {
    const { identity } = facts
    return identity?.kind === 'block' ? `block:${identity.major}:${identity.minor}` : ''
  }
  if (backing.path === cache.path) return `is the backing itself path=${cache.given}`
  if (cache.ourVolumes.includes(volume)) {
    return `is on the volume that it would accelerate; give a path on another disk path=${cache.given}`
  }
  const onBacking =
    cache.standsOn.has(itself(backing)) || (backing.kind === 'file' && sharesFile(cache.standsOn, backing.standsOn))
  if (onBacking) return `is on the backing of the volume; give a path on another disk path=${cache.given}`
  const onCache =
    backing.standsOn.has(itself(cache)) || (cache.kind === 'file' && sharesFile(backing.standsOn, cache.standsOn))
  return onCache ? `holds the backing of the volume; give a path on another disk path=${cache.given}` : null
}

/** Whether `upper` stands on the very file that heads `lower` (its first entry). */
function sharesFile(upper: ReadonlySet<string>, lower: ReadonlySet<string>): boolean {
  const [head] = lower
  return head !== undefined && head.startsWith('file:') && upper.has(head)
}

function stateDirectoryProblem({ stateDirectory, volume }: ServeFacts): string | null {
  const { given, kind } = stateDirectory
  if (kind !== 'missing' && kind !== 'directory') return `is not a directory path=${given}`
  if (stateDirectory.ourVolumes.includes(volume))
    return `is on the volume that it describes; give a path on another disk path=${given}`
  return nameProblem(stateDirectory)
}
