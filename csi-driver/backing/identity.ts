// Is this the backing that the cache was made for? Pure: io/real reads the identity of a device, the register and the
// superblock keep the one of the volume, this file compares them and words the refusal.
import { CacheError } from '../../base/errors.ts'
import type { BackingIdentity } from '../io/backing-identity.ts'

export type IdentityComparison =
  | 'same'
  /** The same device, larger than before: it was grown while the volume was closed. */
  | 'grown'
  /** The same device, smaller than before: data at its end is gone. */
  | 'shrunk'
  /** Another device. */
  | 'other'

export function compareIdentity(stored: BackingIdentity, found: BackingIdentity): IdentityComparison {
  if (stored.kind !== found.kind || stored.id !== found.id) return 'other'
  if (stored.sizeBytes === found.sizeBytes) return 'same'
  return found.sizeBytes > stored.sizeBytes ? 'grown' : 'shrunk'
}

/** The refusal for every outcome but 'same'; nothing was changed when it is thrown. `path` is what the user gave. */
export function identityError(path: string, stored: BackingIdentity, found: BackingIdentity): CacheError | null {
  const comparison = compareIdentity(stored, found)
  if (comparison === 'same') return null
  const sizes = `expected=${stored.sizeBytes} found=${found.sizeBytes}`
  if (comparison === 'grown') {
    return new CacheError('invalid', 'CACHE_BACKING_GROWN', `backing is larger than before path=${path} ${sizes}`, {
      remedy: 'Resize the volume after it is served, or give the backing its former size.',
    })
  }
  if (comparison === 'shrunk') {
    return new CacheError('invalid', 'CACHE_BACKING_SHRUNK', `backing is smaller than before path=${path} ${sizes}`, {
      remedy: 'Give the backing its former size again: the cache may hold data of its end.',
    })
  }
  return new CacheError(
    'invalid',
    'CACHE_BACKING_OTHER',
    `backing is not the one of this volume path=${path} expected=${printIdentity(stored)} found=${printIdentity(found)}`,
    { remedy: 'Serve the volume with the backing it was made with; a new volume needs a name and a cache of its own.' },
  )
}

/** One word for messages. */
export function printIdentity(identity: BackingIdentity): string {
  return `${identity.kind}/${identity.id}/${identity.sizeBytes}`
}
