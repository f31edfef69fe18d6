// Port of byte streams: the control socket now, peers later. A stream is a full-duplex, ordered, reliable pipe between
// two processes, over a unix socket or TCP; TLS is an adapter's business. Nothing here knows messages: the ends of
// `data` calls mean nothing. Bounded: a writer that ignores backpressure is cut off at STREAM_PENDING_BYTES_MAX.
import { CacheError } from '../../base/errors.ts'
import type { IoError } from '../../base/errors.ts'
import type { Bytes } from '../../base/units.ts'

export type NetworkAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

/** Above this much unsent data `write` asks to wait for `drain`. */
export const STREAM_HIGH_WATER_BYTES: Bytes = 4 * 1024 * 1024
/** More unsent data than this destroys the stream (ENOBUFS): its writer does not wait, or its reader is gone. */
export const STREAM_PENDING_BYTES_MAX: Bytes = 64 * 1024 * 1024

export interface StreamHandlers {
  /** The bytes are the stream's again when the call returns: copy what is kept. */
  data(bytes: Buffer): void
  /** After a `write` returned false: everything has been handed to the system, go on. */
  drain?(): void
  /** The other side will send nothing more; this side still may. */
  end?(): void
  /** Exactly once, last of all calls: by either side's wish (null) or by an error. */
  closed(error: IoError | null): void
}

export interface ByteStream {
  /** For messages: the other side's address where there is one. */
  readonly remote: string
  /** Bytes accepted by `write` and not yet handed to the system. */
  readonly pendingBytes: Bytes
  /** Begins to deliver; called once, at the latest before the callback that brought the stream has returned. */
  start(handlers: StreamHandlers): void
  /** Queues bytes; they must not change until sent. False: wait for `drain` (the bytes are accepted all the same). */
  write(bytes: Buffer): boolean
  /**
   * Hands what was written to the system now. Without it that happens when the present callback has ended, so that the
   * parts of a frame go together: too late for who is about to wait for a disk on this thread.
   */
  push(): void
  /** Stops and resumes `data`, so that the other side is slowed down. */
  pause(): void
  resume(): void
  /** Sends what is queued, then tells the other side that nothing more comes. */
  end(): void
  /** Gives up at once; queued bytes are lost. `closed` follows, never from within this call. */
  destroy(): void
}

export interface Listener {
  /** With the port that the system chose where 0 was asked for. */
  readonly address: NetworkAddress
  /** Accepts nobody any more; streams that are open stay. `done` runs when the address is free again. */
  close(done: () => void): void
}

export interface Network {
  /**
   * Calls `onStream` for each incoming stream. A unix socket's file is made for the owner only; a file left by a dead
   * process is replaced, one that somebody listens on is EADDRINUSE.
   */
  listen(
    address: NetworkAddress,
    onStream: (stream: ByteStream) => void,
    done: (error: IoError | null, listener: Listener | null) => void,
  ): void
  /** Exactly one of error and stream is given. There is no time limit: the caller has timers. */
  connect(address: NetworkAddress, done: (error: IoError | null, stream: ByteStream | null) => void): void
}

/** Longest path of a unix socket: sun_path has 108 bytes with the final zero (unix(7)). */
export const UNIX_PATH_BYTES_MAX = 107

/** Throws CacheError 'invalid' for a unix path that the kernel would cut off. */
export function checkAddress(address: NetworkAddress): void {
  if (address.kind !== 'unix' || Buffer.byteLength(address.path) <= UNIX_PATH_BYTES_MAX) return
  throw new CacheError(
    'invalid',
    'CACHE_SOCKET_PATH',
    `path of a socket is too long path=${address.path} limit=${UNIX_PATH_BYTES_MAX}`,
    { remedy: 'Choose a shorter --state-dir.' },
  )
}

/** `unix:/path`, `host:port` or `[v6]:port`. */
export function printNetworkAddress(address: NetworkAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}
