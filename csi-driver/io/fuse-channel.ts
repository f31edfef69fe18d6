// The kernel's end of one FUSE connection as a port: whole requests come in, whole replies go out. Two real adapters
// exist (io/real): `epoll` drains the descriptor without blocking, `readers` blocks four pool threads in read(2).
//
// Invariants:
// - The kind is fixed for the life of a mount: epoll leaves O_NONBLOCK on the open file description, which outlives
//   the process that set it (the holder keeps it), and a blocking reader would then spin on EAGAIN.
// - Replies are synchronous: the kernel takes a reply without waiting (datapath §1.5).
// - A request is valid only while `onRequest` runs; its buffer is then read into again.
import type { Bytes } from '../../base/units.ts'
import type { CacheError } from '../../base/errors.ts'

export type FuseChannelKind = 'epoll' | 'readers'

/** The kernel took the reply. */
export const REPLY_SENT = 0
/** The kernel does not know the request any more (it was aborted): nobody waits, nothing to do. */
export const REPLY_GONE = 1
/** The connection has ended; `onClosed` says or has said why. */
export const REPLY_CLOSED = 2
export type ReplyOutcome = typeof REPLY_SENT | typeof REPLY_GONE | typeof REPLY_CLOSED

/** `unmounted`: the last user has gone (ENODEV). `aborted`: somebody wrote to the abort file (ECONNABORTED). */
export type FuseChannelEnd =
  | { readonly reason: 'unmounted' | 'aborted' }
  | { readonly reason: 'failed'; readonly error: CacheError }

export interface FuseChannelEvents {
  /** One whole request: the first `length` bytes of `buffer`. Must not throw for anything that the kernel can send. */
  onRequest(buffer: Buffer, length: Bytes): void
  /**
   * Nothing more to read for the moment, or the share of this turn is used up: time to act on what came in.
   * Returns true when every request so far is answered, so that the channel may wait for the next one by polling.
   */
  onDrained(): boolean
  /**
   * `epoll`: the queue of the kernel was seen empty; the first time after a start or `resume` is never missed, later ones
   * may be. `readers`: never called, a blocking read cannot see that. Runs before the `onDrained` of the same turn.
   */
  onQueueEmpty(): void
  /** Runs once, after the last `onRequest`; not after the end of `stop`. */
  onClosed(end: FuseChannelEnd): void
}

export interface FuseChannel {
  readonly kind: FuseChannelKind
  /** Begins to read. Called once. */
  start(events: FuseChannelEvents): void
  /** Writes buffer[start, start+length) as one message (a reply or a notification). The buffer is free afterwards. */
  reply(buffer: Buffer, start: number, length: Bytes): ReplyOutcome
  /** Reads no further request until `resume`. What is already read waits in the channel. May be called in `onRequest`. */
  pause(): void
  resume(): void
  /**
   * Begins no further read for good; replies still go out. What is read already, or by a read that cannot be called
   * back, is still delivered. `done` runs once, when nothing more can come. The descriptor stays open.
   */
  stop(done: () => void): void
  /** Reads under way that only a message of the kernel can end, and which `stop` waits for; 0 for `epoll`. */
  readonly blockedReads: number
  /** Closes the descriptor; idempotent. Nothing but `close` may be called afterwards. */
  close(): void
}

/** What is counted about a channel; plain numbers that only grow. */
export interface FuseChannelCounters {
  wakeups: number
  requests: number
  polls: number
  pollHits: number
}

export interface FuseChannelOptions {
  readonly kind: FuseChannelKind
  /** Longest WRITE payload that INIT negotiates; the read buffers hold 4096 bytes more. */
  readonly maxWriteBytes: Bytes
  /** `epoll` only: how long to poll for the next request before sleeping, in microseconds; 0 switches it off; `auto`: busy-poll.ts. */
  readonly busyPollMicros: number | 'auto'
}

/** Opens /dev/fuse and joins channels to its descriptor. */
export interface FuseDevices {
  /** A fresh connection. Throws CacheError `invalid` with the remedy where /dev/fuse cannot be opened. */
  open(): number
  /** Joins a channel to `fd` (opened here or inherited). One channel per descriptor and process. */
  channel(fd: number, options: FuseChannelOptions): FuseChannel & { readonly counters: FuseChannelCounters }
  /** Closes a descriptor that no channel was joined to; a joined one is closed by its channel. */
  close(fd: number): void
}
