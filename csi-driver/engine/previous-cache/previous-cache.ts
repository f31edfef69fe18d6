// Reads from the cache of the owner before, after a planned move, until the own cache is warm (rule 9): at most ten minutes
// from the open, only in the first life of this engine, only while neither side has started again.
//
//   read ─▶ source-table.ts ─┬─ previous ─▶ question ──answer in time, all there, verified──▶ done
//                            │                 └── else ──▶ backing
//                            ├─ both ─────▶ backing answers; the question is measured and compared
//                            └─ backing
//
// Invariants:
//  - An answer is used only if no write over its blocks could have reached the backing since the open, from before the
//    question until the answer: what the cache holds of them is then what the backing holds.
//  - A read ends once; nobody but the backing writes into its buffer after the backing was asked.
//  - Whatever differs from the backing without having been written ends the cache for good, and says so.
import type { Clock, Timer, Timers } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import { BLOCK_BYTES } from '../../../base/units.ts'
import type { BackingStore } from '../../backing/backing-store.ts'
import type { PeerNetwork } from '../../io/peer-network.ts'
import type { AlignedMemory, IoDone } from '../../io/storage.ts'
import { decide } from '../../protocol/decision-table.ts'
import { type BlocksAnswer, type CacheLink, type LeftCacheFound, READ_BLOCKS_MAX } from '../../replica/replicator.ts'
import { type Ask, Asks, type MissRead } from './asks.ts'
import { compareHashes, hashesOfAnswer, hashesOfRead } from './block-hashes.ts'
import { CacheSearch, type CacheSearchRequest } from './cache-search.ts'
import { Pace } from './pace.ts'
import type { PreviousCacheStatus, PreviousSource } from './previous-source.ts'
import { SOURCE_ROWS } from './source-table.ts'
import { WrittenBlocks } from './written-blocks.ts'

const AGE_MAX_MS: Ms = 10 * 60_000

export interface PreviousCachePorts {
  readonly network: PeerNetwork
  readonly clock: Clock
  readonly timers: Timers
  readonly log: EventLog
  readonly memory: AlignedMemory
  readonly backing: Pick<BackingStore, 'read'>
}

export interface PreviousCacheRequest extends CacheSearchRequest {
  /** So much at the beginning of the volume is compared before anything is used; whole blocks. */
  readonly edgeBytes: Bytes
}

export class PreviousCache implements PreviousSource {
  private readonly ports: PreviousCachePorts
  private readonly search: CacheSearch
  private readonly pace = new Pace()
  private readonly asks = new Asks()
  private writtenBlocks: WrittenBlocks | null = new WrittenBlocks()
  private link: CacheLink | null = null
  private node: string | null = null
  private reason = ''
  private reads = 0
  private hits = 0
  private misses = 0
  private late = 0
  private bytes: Bytes = 0
  private readonly edgeBytes: Bytes
  private readonly age: Timer
  private overdueTimer: Timer | null = null

  constructor(ports: PreviousCachePorts, request: PreviousCacheRequest) {
    this.ports = ports
    this.edgeBytes = request.edgeBytes
    this.age = ports.timers.after(AGE_MAX_MS, () => this.end('ten minutes are over'))
    this.search = new CacheSearch(ports, request, {
      found: (link, found) => this.found(link, found),
      blocks: (answer) => this.answered(answer),
      over: (reason) => this.end(reason),
      nobody: () => this.end('nobody has it'),
    })
    this.search.begin()
  }

  written(position: Bytes, length: Bytes): void {
    this.writtenBlocks?.add(position, length)
  }

  read(permitted: boolean, buffer: Buffer, start: number, length: Bytes, position: Bytes, done: IoDone): void {
    const { writtenBlocks, link } = this
    if (writtenBlocks === null || link === null) {
      this.ports.backing.read(buffer, start, length, position, done)
      return
    }
    const firstBlock = Math.floor(position / BLOCK_BYTES)
    const lastBlock = Math.floor((position + length - 1) / BLOCK_BYTES)
    const count = lastBlock - firstBlock + 1
    const read: MissRead = { buffer, start, length, position, done }
    this.reads += 1
    const fits = count <= READ_BLOCKS_MAX
    const { then } = decide(SOURCE_ROWS, {
      stage: this.pace.isTried ? 'open' : 'trial',
      permitted,
      written: fits && writtenBlocks.hasAny(firstBlock, lastBlock) ? 'some' : 'none',
      size: fits ? 'fits' : 'large',
      room: this.asks.hasRoom,
      pace: this.pace.isFaster ? 'faster' : 'slower',
      probe: this.reads % this.pace.probeEvery === 0,
    })
    if (then === 'backing') this.readBacking(read, null)
    else this.ask(link, read, { firstBlock, count, both: then === 'both', isTimed: true })
  }

  stop(): void {
    this.end('the engine stops')
  }

  status(): PreviousCacheStatus {
    const { link, node, reason, hits, misses, late, bytes, pace } = this
    const found = pace.isTried ? 'open' : 'trial'
    return {
      state: this.writtenBlocks === null ? 'over' : link === null ? 'searching' : found,
      ...{ node, reason, hits, misses, late, bytes },
      latencyMs: pace.previousMs,
      backingLatencyMs: pace.backingMs,
    }
  }

  private found(link: CacheLink, { blocks, epochLeft }: LeftCacheFound): void {
    this.link = link
    this.node = link.node
    this.ports.log.event('engine.previous_cache.found', { node: link.node, blocks, epochLeft })
    this.compareEdge(link)
  }

  /** Who has mounted the bare backing since the move has most likely written there. */
  private compareEdge(link: CacheLink): void {
    const count = READ_BLOCKS_MAX
    for (let position = 0; position < this.edgeBytes; position += count * BLOCK_BYTES) {
      const length = Math.min(count * BLOCK_BYTES, this.edgeBytes - position)
      const buffer = this.ports.memory.allocate(length)
      const firstBlock = position / BLOCK_BYTES
      const read = { buffer, start: 0, length, position, done: () => {} }
      this.ask(link, read, { firstBlock, count: length / BLOCK_BYTES, both: true, isTimed: false })
    }
  }

  private ask(
    link: CacheLink,
    read: MissRead,
    asked: Pick<Ask, 'firstBlock' | 'count' | 'isTimed'> & { readonly both: boolean },
  ): void {
    const { firstBlock, count, both, isTimed } = asked
    const askedMs = this.ports.clock.monotonicMs()
    const deadlineMs = askedMs + this.pace.limitMs
    const ask = this.asks.add({ firstBlock, count, isTimed, askedMs, deadlineMs, read: both ? null : read })
    if (both) this.readBacking(read, ask)
    else this.watchOverdue()
    link.read(ask.number, firstBlock, count)
  }

  /** With a question: its answer is compared with what the backing brings. */
  private readBacking(read: MissRead, ask: Ask | null): void {
    const begunMs = this.ports.clock.monotonicMs()
    const { buffer, start, length, position } = read
    this.ports.backing.read(buffer, start, length, position, (error) => {
      if (ask?.isTimed !== false) this.pace.noteBacking(this.ports.clock.monotonicMs() - begunMs)
      // Before the read is answered: its buffer is not ours afterwards.
      if (error === null && ask !== null) this.backingSaid(ask, read)
      read.done(error)
    })
  }

  private backingSaid(ask: Ask, read: MissRead): void {
    ask.backingHashes = hashesOfRead(read, ask.firstBlock, ask.count)
    this.compare(ask)
  }

  private answered(answer: BlocksAnswer): void {
    const ask = this.asks.take(answer.number)
    if (ask === null) return this.end(`an answer to nothing number=${answer.number}`)
    const hashes = hashesOfAnswer(answer, ask.count)
    const isWhole = !hashes.includes(null)
    // A question costs no more than its limit, however late the answer is.
    const nowMs = this.ports.clock.monotonicMs()
    if (ask.isTimed) {
      this.pace.notePrevious(Math.min(nowMs, ask.deadlineMs) - ask.askedMs, isWhole && nowMs <= ask.deadlineMs)
    }
    const { read } = ask
    ask.read = null
    if (read === null) {
      ask.saidHashes = hashes
      this.compare(ask)
    } else if (isWhole && !this.wasWritten(ask)) this.serve(ask, read, answer.data)
    else {
      this.misses += 1
      this.readBacking(read, null)
    }
    if (this.pace.isWarm) this.end('warm: what is asked for is hardly ever there')
  }

  private serve({ firstBlock }: Ask, read: MissRead, data: Buffer): void {
    const from = read.position - firstBlock * BLOCK_BYTES
    data.copy(read.buffer, read.start, from, from + read.length)
    this.hits += 1
    this.bytes += read.length
    read.done(null)
  }

  private compare(ask: Ask): void {
    const { backingHashes, saidHashes } = ask
    if (backingHashes === null || saidHashes === null || this.wasWritten(ask)) return
    const { differs, equal } = compareHashes(backingHashes, saidHashes)
    if (differs < 0) {
      if (equal) this.pace.noteEqual()
      return
    }
    const block = ask.firstBlock + differs
    this.ports.log.event('engine.previous_cache.differs', { node: this.node ?? '', block }, 'error')
    this.end(`it differs from the backing block=${block}`)
  }

  private wasWritten({ firstBlock, count }: Ask): boolean {
    return this.writtenBlocks === null || this.writtenBlocks.hasAny(firstBlock, firstBlock + count - 1)
  }

  /** One timer, for the read that has to give up waiting first. */
  private watchOverdue(): void {
    const next = this.asks.nextDeadlineMs
    if (this.overdueTimer !== null || next === null) return
    const delayMs = Math.max(0, next - this.ports.clock.monotonicMs())
    this.overdueTimer = this.ports.timers.after(delayMs, () => {
      this.overdueTimer = null
      const overdue = this.asks.overdue(this.ports.clock.monotonicMs())
      this.late += overdue.length
      for (const read of overdue) this.readBacking(read, null)
      this.watchOverdue()
    })
  }

  private end(reason: string): void {
    if (this.writtenBlocks === null) return
    this.writtenBlocks = null
    this.link = null
    this.reason = reason
    this.age.cancel()
    this.overdueTimer?.cancel()
    this.search.stop()
    const { node, hits, misses, late, bytes } = this
    if (node !== null) this.ports.log.event('engine.previous_cache.over', { node, reason, hits, misses, late, bytes })
    for (const read of this.asks.clear()) this.readBacking(read, null)
  }
}
