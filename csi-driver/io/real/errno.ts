// From what a Node call threw to an errno name. Told by its shape and not by `instanceof`: errors of Node's own realm
// are not instances of the Error of a test's realm.
import { IoError } from '../../../base/errors.ts'

/** errno name such as ENOENT; EIO for whatever has none. */
export function errnoName(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return 'EIO'
  return typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code) ? error.code : 'EIO'
}

/** `what` says what failed and on what, with values as key=value. */
export function toIoError(error: unknown, what: string): IoError {
  const code = errnoName(error)
  return new IoError(code, `${what} errno=${code}`)
}
