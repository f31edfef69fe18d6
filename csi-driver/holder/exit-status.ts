// Exit statuses of the engine process, read by holder.sh, and of `forebay serve`, read by the user.
// holder.sh compares the same numbers; test/integration/holder.test.ts proves each row.

/** Drained, detached, closed clean. */
export const EXIT_CLEAN = 0
/** Ended for a reason of ours, before the device was ready. Every other status above 3 counts as a crash. */
export const EXIT_FAILURE = 1
/** Refused: something the user gave is wrong or taken. Nothing was changed. */
export const EXIT_REFUSED = 2
/** Stopped at once with dirty data: it is safe in the cache and the next `serve` goes on from there. */
export const EXIT_DIRTY = 3
/** Engine to holder: fenced, or a kernel that cannot send requests again. The connection is aborted, no restart. */
export const EXIT_NO_RESTART = 4
/** Engine to holder: a planned replacement; the holder starts the next engine at once. */
export const EXIT_REPLACE = 75
