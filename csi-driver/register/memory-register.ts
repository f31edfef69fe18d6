// A register in memory, for tests and the simulator. Each compare-and-swap meets one of the three fates that a real
// one can have; who decides which, and when a late one lands, is given from outside.
import { assert } from '../../base/assert.ts'
import { CacheError } from '../../base/errors.ts'
import { decodeRecord, encodeRecord } from './record-codec.ts'
import type { RegisterRecord } from './record.ts'
import type { CasReply, Register } from './register.ts'

/**
 * answered: takes effect (or conflicts), and the caller is told.
 * reply-lost: takes effect (or conflicts), and the caller is not told.
 * lands-later: the caller is told nothing; the request is carried out when `later` calls it, perhaps never.
 */
export type CasFate = 'answered' | 'reply-lost' | 'lands-later'

export interface CasFates {
  fate(next: RegisterRecord): CasFate
  /** Keeps `land` and calls it at any time, once or never. */
  later(land: () => void): void
  /** True: this read fails as if the register were unreachable. */
  readFails(): boolean
}

/** Every call is answered. */
export const ALWAYS_ANSWERED: CasFates = {
  fate: () => 'answered',
  later: () => undefined,
  readFails: () => false,
}

export class MemoryRegister implements Register {
  readonly #fates: CasFates
  readonly #history: string[] = []

  constructor(fates: CasFates = ALWAYS_ANSWERED) {
    this.#fates = fates
  }

  /** The newest record as it stands, whatever the fates say: for checkers. */
  get current(): RegisterRecord | null {
    const line = this.#history.at(-1)
    return line === undefined ? null : decodeExpected(line)
  }

  /** All versions, oldest first: for checkers. */
  history(): readonly RegisterRecord[] {
    return this.#history.map(decodeExpected)
  }

  async read(): Promise<RegisterRecord | null> {
    if (this.#fates.readFails()) {
      throw new CacheError('retry', 'CACHE_REGISTER_UNAVAILABLE', 'the register does not answer')
    }
    return this.current
  }

  async compareAndSwap(expectedRv: number, next: RegisterRecord): Promise<CasReply> {
    assert(next.rv === expectedRv + 1, `the next version follows the expected one rv=${next.rv} expected=${expectedRv}`)
    // Encoding is the copy, and shows at once a record that a real register could not hold.
    const line = encodeRecord(next)
    const fate = this.#fates.fate(next)
    if (fate === 'lands-later') {
      this.#fates.later(() => void this.#apply(expectedRv, line))
      return 'unknown'
    }
    const reply = this.#apply(expectedRv, line)
    return fate === 'answered' ? reply : 'unknown'
  }

  #apply(expectedRv: number, line: string): CasReply {
    if (this.#history.length !== expectedRv) return 'conflict'
    this.#history.push(line)
    return 'applied'
  }
}

function decodeExpected(line: string): RegisterRecord {
  const decoded = decodeRecord(line)
  if ('record' in decoded) return decoded.record
  throw new CacheError(
    'corrupt',
    'CACHE_REGISTER_CORRUPT',
    `a written record is not valid problems=${decoded.problems.join('; ')}`,
  )
}
