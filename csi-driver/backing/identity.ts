// Is this the backing that the cache was made for? Pure; for checks at rest. What an open does about a difference is
// decided by the table of protocol/open-table.ts.
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
