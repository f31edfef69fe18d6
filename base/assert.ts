// Programmer errors. An assertion stays on in production: going on with a broken expectation of our own is how a
// cache loses a write. What the world does wrong (devices, files, peers, users) is a CacheError instead.

export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Throws AssertionError when `condition` does not hold. `message` says what was expected, values last. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** For the default branch of an exhaustive switch: the compiler refuses a call that can be reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable value=${String(value)}`)
}
