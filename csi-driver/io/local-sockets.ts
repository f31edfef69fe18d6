// Port of unix sockets for a data path on the same host (frontend/nbd). Unlike io/network.ts it allocates nothing per
// message: bytes arrive in one buffer that all sockets of a listener share, and are written synchronously as far as
// the kernel takes them.
import type { IoError } from '../../base/errors.ts'
import type { Bytes } from '../../base/units.ts'

export interface LocalSocketEvents {
  /** The first `length` bytes of `buffer` have arrived. They are overwritten after the call: copy what is kept. */
  onBytes(buffer: Buffer, length: Bytes): void
  /** What a `write` could not hand over at once is with the kernel now; its buffer is free. */
  onWritten(): void
  /** The other side sends nothing more; it may still read. */
  onEnd(): void
  /** Runs once, last of all, never from within a call of the socket: by either side's wish (null) or by an error. */
  onClosed(error: IoError | null): void
}

export interface LocalSocket {
  /** Begins to deliver; called once, at the latest before the callback that brought the socket has returned. */
  start(events: LocalSocketEvents): void
  /**
   * Writes buffer[start, start+length). True: done, the buffer is free. False: a rest is on its way and the buffer is the
   * socket's until `onWritten`; nothing may be written before. A socket that has ended takes everything and drops it.
   */
  write(buffer: Buffer, start: number, length: Bytes): boolean
  /** Stops and resumes `onBytes`; what is read already is delivered. */
  pause(): void
  resume(): void
  /** The other side has closed the socket or its process has ended: nobody will ever read an answer. Also while paused. */
  isGone(): boolean
  /** Closes at once; `onClosed` follows. Idempotent. */
  destroy(): void
}

export interface LocalListener {
  /** Accepts nobody any more and removes the socket's file; open sockets stay. Idempotent. */
  close(): void
}

export interface LocalSockets {
  /**
   * Makes the socket's file, which only its owner may open from the first moment, and calls `onSocket` for each client. A
   * file left by a dead process is replaced; one that somebody listens on, or that is no socket, is EADDRINUSE.
   */
  listen(
    path: string,
    onSocket: (socket: LocalSocket) => void,
    done: (error: IoError | null, listener: LocalListener | null) => void,
  ): void
  /** Runs `callback` once, when everything that has already come in has been delivered. */
  afterInput(callback: () => void): void
}
