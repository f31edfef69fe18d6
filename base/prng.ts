// Seeded chance. The product draws jitter and identifiers of tests from it, the simulator everything.
// One seed gives one sequence for ever: a seed printed by a failed run repeats that run.
// `fork(name)` depends on the seed and the path of names only, never on how many numbers were drawn before, so that a
// new draw in one component does not shift the others. Not for secrets.

export interface Prng {
  /** Uniform in [0, 2^32). */
  u32(): number
  /** Uniform in [0, 1), 32 bits of it. */
  float(): number
  /** Uniform integer in [0, limit); `limit` is an integer in [1, 2^32]. */
  below(limit: number): number
  /** True with probability `probability` (≤ 0 never, ≥ 1 always); draws one number in every case. */
  chance(probability: number): boolean
  /** One element; throws on an empty array. */
  pick<T>(choices: readonly T[]): T
  /** An independent generator, the same for the same seed and name however often it is asked for. */
  fork(name: string): Prng
}

/** Numbers, bigints and their decimal strings are the same seed; any string is one, a commit hash for example. */
export function createPrng(seed: bigint | string | number): Prng {
  return new Sfc32(String(seed))
}

const U32_RANGE = 0x1_0000_0000
const WARM_UP_ROUNDS = 16

/** The "small fast counting" generator of PractRand, 32-bit: 96 bits of state and a counter, period at least 2^32. */
class Sfc32 implements Prng {
  private readonly path: string
  private a: number
  private b: number
  private c: number
  private counter = 1

  constructor(path: string) {
    this.path = path
    this.a = hashText(path, 0x9e3779b9)
    this.b = hashText(path, 0x85ebca6b)
    this.c = hashText(path, 0xc2b2ae35)
    for (let round = 0; round < WARM_UP_ROUNDS; round++) this.u32()
  }

  u32(): number {
    const sum = (this.a + this.b + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  float(): number {
    return this.u32() / U32_RANGE
  }

  below(limit: number): number {
    if (!Number.isInteger(limit) || limit < 1 || limit > U32_RANGE) {
      throw new RangeError(`limit out of range limit=${limit}`)
    }
    // Drawn again above the last full multiple, or small results would come a little more often.
    const fair = U32_RANGE - (U32_RANGE % limit)
    let draw = this.u32()
    while (draw >= fair) draw = this.u32()
    return draw % limit
  }

  chance(probability: number): boolean {
    return this.float() < probability
  }

  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError('nothing to pick from')
    return choices[this.below(choices.length)] as T
  }

  fork(name: string): Prng {
    // The separator cannot be forged by a name: its length stands in front.
    return new Sfc32(`${this.path}/${name.length}:${name}`)
  }
}

/** Spreads a text over 32 bits; a multiplicative hash with a final avalanche. */
function hashText(text: string, basis: number): number {
  let hash = basis | 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) ^ (hash >>> 15)
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad)
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97)
  return hash ^ (hash >>> 15)
}
