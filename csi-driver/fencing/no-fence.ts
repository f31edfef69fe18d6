// A host that shares its volumes with no other: nothing can be fenced, and nothing has to be.
import { CacheError } from '../../base/errors.ts'
import type { Fence } from './fence.ts'

export const noFence: Fence = {
  fence: (volume, { node, epoch }) =>
    Promise.reject(
      new CacheError(
        'invalid',
        'CACHE_NOT_FENCED',
        `another node may still write to the backing volume=${volume} node=${node} epoch=${epoch}`,
        {
          remedy: `Stop the volume on ${node}, or take it over: forebay takeover ${volume} with --fence-command, or --fenced once that host is cut from the backing.`,
        },
      ),
    ),
}
