// Carries out the READs of one reader of a left cache: a few at a time, each block compared with its hash before it is
// sent. What cannot be read, or is not what its hash says, is as if it were not there.
import { BoundedQueue } from '../../../base/bounded-queue.ts'
import { BLOCK_BYTES } from '../../../base/units.ts'
import { xxhash64Low32 } from '../../../base/xxhash64.ts'
import type { AlignedMemory, IoDone } from '../../io/storage.ts'
import { READ_BLOCKS_MAX } from '../wire/cache-bodies.ts'
import type { MessageOf } from '../wire/messages.ts'
import { LEFT_READS_AT_ONCE, LEFT_READS_WAITING_MAX, type LeftCache } from './left-cache.ts'

type ReadMessage = MessageOf<'READ'>

/** One READ under way; pooled. Block i of those that the index knows goes to its i-th place in the buffer. */
class RunningRead {
  number = 0
  readonly buffer: Buffer
  /** Of the block in the i-th place: its number within the READ, and where the index has it. */
  readonly wanted: number[] = []
  readonly places: number[] = []
  readonly failed: boolean[] = []
  count = 0
  pending = 0
  /** Callback of the i-th block. */
  readonly done: readonly IoDone[]

  constructor(buffer: Buffer, onDone: (read: RunningRead) => void) {
    this.buffer = buffer
    this.done = Array.from({ length: READ_BLOCKS_MAX }, (_, index) => (error) => {
      this.failed[index] = error !== null
      onDone(this)
    })
  }
}

export class LeftCacheReads {
  askedBlocks = 0
  servedBlocks = 0
  badBlocks = 0
  private readonly cache: LeftCache
  private readonly memory: AlignedMemory
  private readonly answer: (message: MessageOf<'BLOCKS'>) => void
  private readonly waiting = new BoundedQueue<ReadMessage>(LEFT_READS_WAITING_MAX)
  private readonly idle: RunningRead[] = []
  private made = 0
  private ended = false

  constructor(cache: LeftCache, memory: AlignedMemory, answer: (message: MessageOf<'BLOCKS'>) => void) {
    this.cache = cache
    this.memory = memory
    this.answer = answer
  }

  /** False: too many wait. */
  take(message: ReadMessage): boolean {
    if (!this.waiting.push(message)) return false
    this.goOn()
    return true
  }

  /** Nothing is answered any more. */
  end(): void {
    this.ended = true
    this.waiting.clear()
  }

  private goOn(): void {
    while (!this.waiting.isEmpty) {
      const read = this.idle.pop() ?? this.make()
      if (read === null) return
      const message = this.waiting.take()
      if (message !== undefined) this.begin(read, message)
    }
  }

  private make(): RunningRead | null {
    if (this.made === LEFT_READS_AT_ONCE) return null
    this.made += 1
    return new RunningRead(this.memory.allocate(READ_BLOCKS_MAX * BLOCK_BYTES), (read) => this.blockDone(read))
  }

  private begin(read: RunningRead, { number, firstBlock, count }: ReadMessage): void {
    read.number = number
    read.count = 0
    for (let i = 0; i < count; i += 1) {
      const place = this.cache.find(firstBlock + i)
      if (place < 0) continue
      read.wanted[read.count] = i
      read.places[read.count] = place
      read.count += 1
    }
    this.askedBlocks += count
    // One more than there are, so that blocks that are read at once do not end it before all have begun.
    read.pending = read.count + 1
    for (let i = 0; i < read.count; i += 1) {
      const position = this.cache.positionAt(read.places[i] as number)
      this.cache.storage.read(read.buffer, i * BLOCK_BYTES, BLOCK_BYTES, position, read.done[i] as IoDone)
    }
    this.blockDone(read)
  }

  private blockDone(read: RunningRead): void {
    read.pending -= 1
    if (read.pending > 0) return
    if (!this.ended) this.finish(read)
    this.idle.push(read)
    this.goOn()
  }

  private finish(read: RunningRead): void {
    const { buffer, number } = read
    const hashes: number[] = []
    let held = 0
    for (let i = 0; i < read.count; i += 1) {
      const at = i * BLOCK_BYTES
      const hash = this.cache.hashAt(read.places[i] as number)
      if (read.failed[i] === true || xxhash64Low32(buffer, at, at + BLOCK_BYTES) !== hash) {
        this.badBlocks += 1
        continue
      }
      if (hashes.length < i) buffer.copy(buffer, hashes.length * BLOCK_BYTES, at, at + BLOCK_BYTES)
      hashes.push(hash)
      held |= 1 << (read.wanted[i] as number)
    }
    this.servedBlocks += hashes.length
    this.answer({ type: 'BLOCKS', number, held, hashes, data: buffer.subarray(0, hashes.length * BLOCK_BYTES) })
  }
}
