// Broken expectations of the world. A CacheError says with its kind what the caller must do and with its code what
// happened; messages are lower case with values last as key=value, causes are attached and not pasted.

/** What the caller must do. */
export type ErrorKind =
  /** Nothing happened; the same call may succeed later. */
  | 'retry'
  /** It may or may not have happened: settle it before acting on either outcome. */
  | 'unknown-outcome'
  /** A named limit is reached; free something or wait. */
  | 'full'
  /** Another owner exists; stop for good. */
  | 'fenced'
  /** The input is wrong; correct it. Nothing was changed. */
  | 'invalid'
  /** Data at rest is not what was written; do not go on from it. */
  | 'corrupt'

export interface CacheErrorOptions {
  /** What the user can do about it, a full sentence. */
  readonly remedy?: string
  readonly cause?: unknown
}

export class CacheError extends Error {
  override readonly name = 'CacheError'
  readonly kind: ErrorKind
  /** Stable, `CACHE_…`; users match on it. */
  readonly code: string
  readonly remedy: string | undefined

  constructor(kind: ErrorKind, code: `CACHE_${string}`, message: string, options: CacheErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.code = code
    this.remedy = options.remedy
  }
}

/** A failed call of a storage device, file or child process, by errno name. */
export class IoError extends Error {
  override readonly name = 'IoError'
  /** errno name such as EIO, ENOSPC, EOPNOTSUPP. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}
