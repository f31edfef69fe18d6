// Every batch, log and store state that a search has met, once each, by number: what the protocol's tables are asked with
// is built once, equal means same number, and a state of the explorer stays small. A batch is the end of a chain (its
// number stands for its headerHash), so that two logs agree up to a batch exactly if they hold it.
import {
  LOG_NAMES_MAX,
  type LogName,
  type StoredLog,
  type VolumeState,
} from '../../../csi-driver/protocol/stored-log.ts'

/** One write or none; the names of logs are the epochs that made them. */
export interface Batch {
  readonly id: number
  readonly seq: number
  /** The batch before it, 0 for none. */
  readonly previous: number
  /** Number of the write, or with SUPERSEDES added a mark that the backing has a newer one. */
  readonly content: number
  readonly epoch: number
  readonly run: number
  readonly name: number
}

export interface Log {
  readonly id: number
  readonly stored: StoredLog
  /** Name of the log and of the pending one, by epoch; 0: none. */
  readonly name: number
  readonly pending: number
  /** Number of the last batch under the present name where the pending one counts; only with a pending name. */
  readonly pendingAfter: number
  /** Batches up to this one are trimmed. */
  readonly trimmed: number
  readonly last: number
  readonly lastBatch: number
  /** Batch by number, 0 where none is held: trimmed, or beyond the end. */
  readonly batches: readonly number[]
  /** Contents by number, 0 likewise. */
  readonly contents: readonly number[]
}

/** What a store holds durably of the volume. */
export interface Volume {
  readonly id: number
  readonly state: VolumeState
  readonly log: Log | null
  /** Decisions of the tables about it, by what was asked. */
  readonly decided: Map<number, number>
}

interface LogContent {
  readonly lineage: readonly LogName[]
  readonly pending: LogName | null
  readonly trimmed: number
  /** The last trimmed batch, 0 for none. */
  readonly trimmedBatch: number
  /** Equal to `trimmedBatch` in an empty log. */
  readonly lastBatch: number
}

export const SUPERSEDES = 8
/** So that a search ends. */
export const BATCHES_MAX = 6

/** Numbers have two bytes in a state. */
export const POOL_MAX = 65_535

export class PoolFull extends Error {}

/** Adds to a pool and gives the number, from 1. */
export function addTo<Entry>(pool: Entry[], entry: Entry): number {
  if (pool.length >= POOL_MAX) throw new PoolFull('a search met more logs, stores or records than a state can number')
  return pool.push(entry)
}

export function uuidOf(epoch: number): string {
  return epoch.toString(16).padStart(16, '0').padEnd(32, '0')
}

export function epochOf(logUuid: string): number {
  return Number.parseInt(logUuid.slice(0, 16), 16)
}

export class LogPool {
  readonly #batches: Batch[] = []
  readonly #batchIds = new Map<string, number>()
  readonly #logs: Log[] = []
  readonly #logIds = new Map<string, number>()
  readonly #volumes: Volume[] = []
  readonly #volumeIds = new Map<number, number>()
  readonly #appended = new Map<number, Log>()

  batch(id: number): Batch {
    return this.#batches[id - 1] as Batch
  }

  /** Log 0 is none. */
  log(id: number): Log | null {
    return id === 0 ? null : (this.#logs[id - 1] as Log)
  }

  volume(id: number): Volume {
    return this.#volumes[id - 1] as Volume
  }

  /** The batch that `writer` puts behind the end of `log`. */
  makeBatch(log: Log, content: number, { epoch, run }: { readonly epoch: number; readonly run: number }): Batch {
    const { lastBatch: previous, name } = log
    const seq = log.last + 1
    const key = `${previous} ${seq} ${content} ${epoch} ${run} ${name}`
    let id = this.#batchIds.get(key)
    if (id === undefined) {
      id = addTo(this.#batches, { id: this.#batches.length + 1, seq, previous, content, epoch, run, name })
      this.#batchIds.set(key, id)
    }
    return this.batch(id)
  }

  /** The batch of the chain that ends with `last` whose number is `seq`; 0 where `seq` is 0. */
  ancestor(last: number, seq: number): number {
    let at = last
    while (at !== 0 && this.batch(at).seq > seq) at = this.batch(at).previous
    return at
  }

  /** An empty log that begins after batch `trimmed` of the chain of `like`, with its names. */
  emptyLog(like: Log, trimmed: number): Log {
    const trimmedBatch = this.ancestor(like.lastBatch, trimmed)
    return this.#make({ lineage: like.stored.lineage, pending: null, trimmed, trimmedBatch, lastBatch: trimmedBatch })
  }

  withoutPending(log: Log): Log {
    return log.pending === 0 ? log : this.#make({ ...contentOf(log), pending: null })
  }

  /** A log without any batch before it; records are numbered on from those of the logs before. */
  freshLog(name: number, after: number): Log {
    const lineage = [{ logUuid: uuidOf(name), firstBatchSeq: after + 1 }]
    return this.#make({ lineage, pending: null, trimmed: after, trimmedBatch: 0, lastBatch: 0 })
  }

  append(log: Log, batch: number): Log {
    const key = log.id * 65_536 + batch
    let longer = this.#appended.get(key)
    if (longer === undefined) this.#appended.set(key, (longer = this.#make({ ...contentOf(log), lastBatch: batch })))
    return longer
  }

  trim(log: Log, seq: number): Log {
    if (seq <= log.trimmed) return log
    return this.#make({ ...contentOf(log), trimmed: seq, trimmedBatch: this.ancestor(log.lastBatch, seq) })
  }

  /** The name that counts once the register has it, from the batch after `after` on. */
  prepare(log: Log, name: number, after: number): Log {
    return this.#make({ ...contentOf(log), pending: { logUuid: uuidOf(name), firstBatchSeq: after + 1 } })
  }

  /** The pending name becomes the log's, and batches above its beginning are dropped. */
  promote(log: Log): Log {
    const { pending } = log.stored
    if (pending === null) return log
    const kept = log.stored.lineage.filter(({ firstBatchSeq }) => firstBatchSeq < pending.firstBatchSeq)
    const lineage = [...kept, pending].slice(-LOG_NAMES_MAX)
    const lastBatch = this.ancestor(log.lastBatch, pending.firstBatchSeq - 1)
    return this.#make({ ...contentOf(log), lineage, pending: null, lastBatch })
  }

  volumeOf(promise: number, epoch: number, run: number, log: Log | null): Volume {
    const key = (log?.id ?? 0) * 4096 + promise * 256 + epoch * 16 + run
    let id = this.#volumeIds.get(key)
    if (id === undefined) {
      const state = { promise, epoch, run, log: log?.stored ?? null }
      id = addTo(this.#volumes, { id: this.#volumes.length + 1, state, log, decided: new Map() })
      this.#volumeIds.set(key, id)
    }
    return this.volume(id)
  }

  #make(content: LogContent): Log {
    const lineage = pruned(content.lineage, content.trimmed + 1)
    const { pending, trimmed, trimmedBatch, lastBatch } = content
    const names = [...lineage, ...(pending === null ? [] : [pending])]
    const key = `${names.map((name) => `${epochOf(name.logUuid)}@${name.firstBatchSeq}`).join()}/${pending === null} ${trimmed} ${trimmedBatch} ${lastBatch}`
    let id = this.#logIds.get(key)
    if (id === undefined) {
      id = addTo(this.#logs, this.#build(this.#logs.length + 1, { ...content, lineage }))
      this.#logIds.set(key, id)
    }
    return this.#logs[id - 1] as Log
  }

  #build(id: number, { lineage, pending, trimmed, trimmedBatch, lastBatch }: LogContent): Log {
    const batches: number[] = []
    const contents: number[] = []
    for (let at = lastBatch; at !== trimmedBatch; at = this.batch(at).previous) {
      const { seq, content } = this.batch(at)
      batches[seq] = at
      contents[seq] = content
    }
    const last = lastBatch === trimmedBatch ? trimmed : this.batch(lastBatch).seq
    for (let seq = 0; seq <= trimmed; seq++) batches[seq] = contents[seq] = 0
    const stored: StoredLog = {
      lineage,
      pending,
      tail: { batchSeq: trimmed + 1, seq: trimmed + 1, previousHash: BigInt(trimmedBatch) },
      lastBatchSeq: last,
      lastSeq: last,
      lastHash: BigInt(lastBatch),
      // One batch is in flight at a time, so that each says of all before it that they were acknowledged.
      ackedSeq: Math.max(0, last - 1),
      storedBytes: (last - trimmed) * 4096,
    }
    const name = epochOf(lineage.at(-1)?.logUuid ?? uuidOf(0))
    const [pendingName, pendingAfter] =
      pending === null ? [0, 0] : [epochOf(pending.logUuid), pending.firstBatchSeq - 1]
    return { id, stored, name, pending: pendingName, pendingAfter, trimmed, last, lastBatch, batches, contents }
  }
}

function contentOf({ stored, trimmed, lastBatch }: Log): LogContent {
  const trimmedBatch = Number(stored.tail.previousHash)
  return { lineage: stored.lineage, pending: stored.pending, trimmed, trimmedBatch, lastBatch }
}

/** Without the names that no un-trimmed batch has any more; the last one stays. */
function pruned(lineage: readonly LogName[], tail: number): readonly LogName[] {
  return lineage.filter((_, i) => (lineage[i + 1]?.firstBatchSeq ?? tail + 1) > tail)
}
