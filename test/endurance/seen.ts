// What is seen of a volume during a run: samples of its processes, and what stands on disk while nothing is dirty. Times
// are milliseconds since the beginning of the run.
import type { Buckets } from './scrape.ts'
import type { ProcessFigures } from './watched-host.ts'

/** One process, sampled once a second. */
export interface Seen extends ProcessFigures {
  readonly atMs: number
}

/** One engine from its first to its last sample. */
export interface Life {
  readonly pid: number
  readonly beganMs: number
  readonly seen: Seen[]
  /** What it had counted when it was last asked. */
  buckets: Buckets
}

/** Looked at while nothing is dirty. */
export interface Rest {
  readonly atMs: number
  readonly logUsedBytes: number
  readonly files: number
  readonly fileBytes: number
  /** Of the peer's store: the log as it is kept, and all that is used or reserved. 0 without a peer. */
  readonly peerLogBytes: number
  readonly peerTakenBytes: number
}
