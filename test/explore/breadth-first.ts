// Breadth-first search: every state that can be reached is looked at once, nearest first, so that the first violation
// found is one of the shortest. Deterministic. Only two levels of states are kept, of all others the digests.
import { Digest } from './digest.ts'
import { DigestSet } from './digest-set.ts'
import { State, STATE_WORDS } from './model/state.ts'
import { Successors } from './successors.ts'

/** What is searched. */
export interface Explored {
  /** Writes the first state. */
  first(state: State): void
  successors(out: Successors): void
  /** 0, or the number of the rule that the state breaks. */
  check(state: State): number
}

export interface Found {
  readonly violation: number
  /** What happened, from the first state on (actions.ts). */
  readonly trace: readonly number[]
}

export interface SearchResult {
  readonly states: number
  /** Steps from the first state to the last one looked at. */
  readonly depth: number
  /** exhausted: nothing else can be reached. */
  readonly end: 'exhausted' | 'states-max' | 'violation'
  readonly found: Found | null
}

export interface SearchOptions {
  readonly statesMax: number
  readonly onLevel?: (depth: number, states: number, width: number) => void
}

const LEVEL_CHUNK_STATES = 1 << 14

/** States of one level, in chunks that are used again. */
class Level {
  readonly #chunks: Uint32Array[] = []
  #numbers = new Uint32Array(LEVEL_CHUNK_STATES)
  count = 0

  push(state: State, number: number): void {
    const chunk = Math.floor(this.count / LEVEL_CHUNK_STATES)
    if (chunk === this.#chunks.length) this.#chunks.push(new Uint32Array(LEVEL_CHUNK_STATES * STATE_WORDS))
    if (this.count === this.#numbers.length) {
      const longer = new Uint32Array(this.#numbers.length * 2)
      longer.set(this.#numbers)
      this.#numbers = longer
    }
    const words = this.#chunks[chunk] as Uint32Array
    words.set(state.words, (this.count % LEVEL_CHUNK_STATES) * STATE_WORDS)
    this.#numbers[this.count++] = number
  }

  /** Writes state `index` and gives its number. */
  take(index: number, state: State): number {
    const words = this.#chunks[Math.floor(index / LEVEL_CHUNK_STATES)] as Uint32Array
    const at = (index % LEVEL_CHUNK_STATES) * STATE_WORDS
    for (let i = 0; i < STATE_WORDS; i++) state.words[i] = words[at + i] as number
    return this.#numbers[index] as number
  }
}

export function searchBreadthFirst(explored: Explored, { statesMax, onLevel }: SearchOptions): SearchResult {
  const seen = new DigestSet()
  const digest = new Digest()
  const out = new Successors()
  let level = new Level()
  let next = new Level()
  const first = new State()
  explored.first(first)
  digest.of(first)
  level.push(first, seen.add(digest.low, digest.high, 0))
  const result = (depth: number, end: SearchResult['end'], found: Found | null): SearchResult => ({
    states: seen.size,
    depth,
    end,
    found,
  })
  for (let depth = 1; ; depth++) {
    next.count = 0
    for (let i = 0; i < level.count; i++) {
      const parent = level.take(i, out.from)
      out.begin()
      explored.successors(out)
      for (let j = 0; j < out.count; j++) {
        const state = out.state(j)
        digest.of(state)
        const number = seen.add(digest.low, digest.high, parent)
        if (number < 0) continue
        const violation = explored.check(state)
        if (violation !== 0) {
          return result(depth, 'violation', { violation, trace: traceOf(explored, seen.path(number)) })
        }
        next.push(state, number)
      }
      if (seen.size >= statesMax) return result(depth, 'states-max', null)
    }
    if (next.count === 0) return result(depth - 1, 'exhausted', null)
    onLevel?.(depth, seen.size, next.count)
    ;[level, next] = [next, level]
  }
}

/** Walks the path again, for the steps between its states. */
function traceOf(explored: Explored, path: readonly { low: number; high: number }[]): number[] {
  const out = new Successors()
  const digest = new Digest()
  explored.first(out.from)
  return path.slice(1).map(({ low, high }) => {
    out.begin()
    explored.successors(out)
    for (let i = 0; i < out.count; i++) {
      digest.of(out.state(i))
      if (digest.low !== low || digest.high !== high) continue
      out.from.copyFrom(out.state(i))
      return out.action(i)
    }
    throw new Error('a path can be walked again')
  })
}
