// Why a replica store does not do what it is asked: one place for codes and words. Nothing was changed where the kind is
// `full` or `invalid`; after an IoError the outcome is known only to the next start.
import { CacheError } from '../../../base/errors.ts'

/** No free segment, or no room for one more volume. */
export function storeFull(what: string): CacheError {
  const remedy = 'Make the store larger, or remove volumes that are gone.'
  return new CacheError('full', 'CACHE_STORE_FULL', what, { remedy })
}

/** The store has as many volumes as its table can hold. */
export function tooManyVolumes(limit: number): CacheError {
  return new CacheError('full', 'CACHE_STORE_VOLUMES', `store has no room for one more volume limit=${limit}`)
}

/** The order does not fit what the store holds. */
export function notLegal(what: string): CacheError {
  return new CacheError('invalid', 'CACHE_STORE_ORDER', what)
}

/** The batch does not follow the last one. */
export function gap(what: string): CacheError {
  return new CacheError('invalid', 'CACHE_STORE_GAP', what)
}

/** There is no log, or not that batch, or not that name. */
export function notHeld(what: string): CacheError {
  return new CacheError('invalid', 'CACHE_STORE_NOT_HELD', what)
}

/** What stands on the disk is not what was written. */
export function damaged(what: string): CacheError {
  const remedy = 'The batches are fetched from another copy; check the disk.'
  return new CacheError('corrupt', 'CACHE_STORE_DAMAGED', what, { remedy })
}

export function storeClosed(): CacheError {
  return new CacheError('retry', 'CACHE_STORE_CLOSED', 'store is closing')
}
