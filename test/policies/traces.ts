// Generated traces, each a function of a seed and nothing else. Popularity follows Zipf's law over 100,000 blocks: the
// block of rank r is read in proportion to 1 / r^exponent; which block has which rank is shuffled.
import { createPrng, type Prng } from '../../base/prng.ts'
import type { Trace } from './replacement-policy.ts'

export const CACHE_BLOCKS = 10_000
const READS = 1_500_000
const ZIPF_BLOCKS = 100_000
/** Where the blocks of another part of a trace begin. */
const ELSEWHERE = 400_000
/** Blocks of a region that is scanned, again from its start when its end is reached. */
const SCAN_BLOCKS = 300_000
const MOVE_EVERY_READS = 150_000
const MOVE_BLOCKS = 17_000

export interface NamedTrace {
  readonly name: string
  readonly make: (prng: Prng, reads: number) => Trace
}

/** The block that is read at a position of the trace; asked in order. */
type BlockAt = (position: number) => number

const each = (reads: number, block: BlockAt): Trace =>
  Uint32Array.from({ length: reads }, (_, position) => block(position))

export const TRACES: readonly NamedTrace[] = [
  ...[0.7, 0.9, 1.1].map((exponent) => ({
    name: `Zipf ${exponent}`,
    make: (prng: Prng, reads: number) => each(reads, zipf(prng, exponent)),
  })),
  { name: 'Zipf 0.9, a fifth of the reads a scan', make: zipfAndScan },
  {
    name: 'loop over 12,000 blocks',
    make: (_, reads) => each(reads, (position) => position % 12_000),
  },
  { name: 'loop over 20,000 blocks', make: (_, reads) => each(reads, (position) => position % 20_000) },
  { name: 'Zipf 0.9 that moves at once, every 150,000 reads', make: jumpingZipf },
  { name: 'hot set that moves slowly', make: slidingWindow },
  { name: 'each block read twice, 15,000 reads apart', make: readTwice },
  { name: 'mixed: Zipf, scan, loop and a moving set', make: mixed },
]

/** The trace of that name; the same for the same seed and number of reads. */
export function makeTrace({ name, make }: NamedTrace, seed: string, reads = READS): Trace {
  return make(createPrng(seed).fork(name), reads)
}

/** Blocks below ZIPF_BLOCKS. */
function zipf(prng: Prng, exponent: number): () => number {
  const cumulative = new Float64Array(ZIPF_BLOCKS)
  let sum = 0
  for (let rank = 0; rank < ZIPF_BLOCKS; rank++) {
    sum += 1 / (rank + 1) ** exponent
    cumulative[rank] = sum
  }
  const blockOf = shuffled(prng.fork('ranks'))
  return () => blockOf[rankOf(cumulative, prng.float() * sum)] as number
}

/** The first rank whose cumulative weight reaches `drawn`. */
function rankOf(cumulative: Float64Array, drawn: number): number {
  let low = 0
  let high = cumulative.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((cumulative[middle] as number) < drawn) low = middle + 1
    else high = middle
  }
  return low
}

function shuffled(prng: Prng): Uint32Array {
  const blocks = Uint32Array.from({ length: ZIPF_BLOCKS }, (_, block) => block)
  for (let last = ZIPF_BLOCKS - 1; last > 0; last--) {
    const other = prng.below(last + 1)
    const block = blocks[last] as number
    blocks[last] = blocks[other] as number
    blocks[other] = block
  }
  return blocks
}

function counting(blocks: number): () => number {
  let position = 0
  return () => ELSEWHERE + (position++ % blocks)
}

function zipfAndScan(prng: Prng, reads: number): Trace {
  const hot = zipf(prng.fork('zipf'), 0.9)
  const scan = counting(SCAN_BLOCKS)
  return each(reads, (position) => (position % 5 === 0 ? scan() : hot()))
}

/** Which blocks are popular changes at once. */
function jumpingZipf(prng: Prng, reads: number): Trace {
  const hot = zipf(prng, 0.9)
  return each(reads, (position) => hot() + Math.floor(position / MOVE_EVERY_READS) * MOVE_BLOCKS)
}

/** Nine reads of ten lie in a window of 4,000 blocks that moves on by one block every 25 reads, the others anywhere. */
function slidingWindow(prng: Prng, reads: number): Trace {
  return each(reads, (position) =>
    prng.chance(0.9) ? Math.floor(position / 25) + prng.below(4000) : prng.below(ZIPF_BLOCKS),
  )
}

/** The second read comes when a queue of a tenth of the cache has long let go of the block. */
function readTwice(_: Prng, reads: number): Trace {
  return each(reads, (position) => Math.floor(position / 30_000) * 15_000 + (position % 15_000))
}

function mixed(prng: Prng, reads: number): Trace {
  const hot = zipf(prng.fork('zipf'), 0.9)
  const window = prng.fork('window')
  const scan = counting(SCAN_BLOCKS)
  const parts: readonly BlockAt[] = [
    hot,
    hot,
    hot,
    scan,
    (position) => ELSEWHERE + SCAN_BLOCKS + (Math.floor(position / 5) % 4000),
    (position) => ELSEWHERE + 2 * SCAN_BLOCKS + Math.floor(position / 100) + window.below(1000),
  ]
  return each(reads, (position) => prng.pick(parts)(position))
}
