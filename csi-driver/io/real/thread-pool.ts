// The threads of libuv's pool, which all file and device I/O of a process shares unless it runs on the main thread.
// A device that does not answer keeps every thread that it was given, for as long as it likes (the kernel lets nobody
// take an uninterruptible wait back): a backing that hangs must leave threads for the log.
import process from 'node:process'

/** What libuv makes of UV_THREADPOOL_SIZE when the pool is first used: 4 without it, 1…1024 (its src/threadpool.c). */
function poolThreads(asked: string | undefined): number {
  if (asked === undefined) return 4
  return Math.min(1024, Math.max(1, Number.parseInt(asked, 10) || 1))
}

export const POOL_THREADS = poolThreads(process.env['UV_THREADPOOL_SIZE'])

/** Reads and writes of one backing that are with the kernel at once; more wait. The third left over is for the cache. */
export const BACKING_THREADS_MAX = Math.max(1, Math.floor((POOL_THREADS * 2) / 3))
