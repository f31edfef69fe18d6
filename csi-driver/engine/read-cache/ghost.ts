// Memory of blocks that were evicted from the small queue without a second use: a miss that finds its block here goes
// straight to the main queue. Only 16-bit fingerprints are kept, in buckets of sixteen that are small FIFOs of their
// own (a bucket is half a cache line); one lookup in 4,000 finds a block that was never there, which costs nothing but a
// wrong choice of queue. About 2.1 bytes an entry, all taken at construction.

const WAYS = 16
const EMPTY = 0

export class Ghost {
  private readonly buckets: number
  private readonly fingerprints: Uint16Array
  /** Per bucket, the place that is overwritten next: its oldest entry. */
  private readonly oldest: Uint8Array

  constructor(entries: number) {
    this.buckets = Ghost.bucketsFor(entries)
    this.fingerprints = new Uint16Array(this.buckets * WAYS)
    this.oldest = new Uint8Array(this.buckets)
  }

  static bytesFor(entries: number): number {
    return Ghost.bucketsFor(entries) * (WAYS * 2 + 1)
  }

  private static bucketsFor(entries: number): number {
    return Math.max(1, Math.ceil(entries / WAYS))
  }

  add(block: number): void {
    const mixed = mix(block)
    const bucket = this.bucketOf(mixed)
    const place = this.oldest[bucket] as number
    this.fingerprints[bucket * WAYS + place] = fingerprintOf(mixed)
    this.oldest[bucket] = (place + 1) % WAYS
  }

  /** Whether the block is remembered; it is forgotten by the question. */
  take(block: number): boolean {
    const mixed = mix(block)
    const start = this.bucketOf(mixed) * WAYS
    const fingerprint = fingerprintOf(mixed)
    for (let place = start; place < start + WAYS; place++) {
      if (this.fingerprints[place] !== fingerprint) continue
      this.fingerprints[place] = EMPTY
      return true
    }
    return false
  }

  clear(): void {
    this.fingerprints.fill(EMPTY)
    this.oldest.fill(0)
  }

  /** From the high bits; the fingerprint takes the low ones. */
  private bucketOf(mixed: number): number {
    return ((mixed >>> 0) * (this.buckets / 2 ** 32)) | 0
  }
}

function mix(block: number): number {
  let mixed = Math.imul(block ^ (block >>> 16), 0x45d9f3b)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b)
  return mixed ^ (mixed >>> 16)
}

function fingerprintOf(mixed: number): number {
  const low = mixed & 0xffff
  return low === EMPTY ? 1 : low
}
