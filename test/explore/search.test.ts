// Proves the search itself, on things so small that the answer is known: fields do not overlap, no state is looked at
// twice or lost, the first violation is one of the shortest, the same seed walks the same way.
import { combinationsOf } from '../../csi-driver/protocol/decision-table.ts'
import { byteViewOf } from './byte-view.ts'
import { type Explored, searchBreadthFirst } from './breadth-first.ts'
import { DigestSet } from './digest-set.ts'
import type { State } from './model/state.ts'
import type { Successors } from './successors.ts'
import { Tabulated } from './tabulated.ts'
import { walk } from './walk.ts'

/** Two counters, each up to 99; what is wrong is said by `wrong`. */
class Counters implements Explored {
  readonly #wrong: (a: number, b: number) => boolean
  looked = 0

  constructor(wrong: (a: number, b: number) => boolean) {
    this.#wrong = wrong
  }

  first(state: State): void {
    state.words.fill(0)
  }

  successors(out: Successors): void {
    this.looked++
    if (out.from.globals.backing0 < 99) {
      out.fork().globals.backing0 += 1
      out.add(1)
    }
    if (out.from.globals.backing1 < 99) {
      out.fork().globals.backing1 += 1
      out.add(2)
    }
  }

  check({ globals }: State): number {
    return this.#wrong(globals.backing0, globals.backing1) ? 7 : 0
  }
}

describe('the search', () => {
  test('looks at every state once', () => {
    const counters = new Counters(() => false)
    const result = searchBreadthFirst(counters, { statesMax: 1_000_000 })
    expect(result).toEqual({ states: 10_000, depth: 198, end: 'exhausted', found: null })
    expect(counters.looked).toBe(10_000)
  })

  test('gives the shortest way to what is wrong', () => {
    const result = searchBreadthFirst(new Counters((a, b) => a === 3 && b >= 2), { statesMax: 1_000_000 })
    expect(result.end).toBe('violation')
    expect(result.found?.violation).toBe(7)
    expect(result.found?.trace.toSorted()).toEqual([1, 1, 1, 2, 2])
  })

  test('ends at its bound', () => {
    const { end, states } = searchBreadthFirst(new Counters(() => false), { statesMax: 500 })
    expect([end, states]).toEqual(['states-max', 500])
  })

  test('walks the same way for the same seed, and finds what lies deep', () => {
    const start = (): Explored => new Counters((a, b) => a === 60 && b === 60)
    const first = walk(start, { seed: 'one', steps: 50_000 })
    expect(first).toEqual(walk(start, { seed: 'one', steps: 50_000 }))
    expect(first.found?.trace).toHaveLength(120)
  })
})

describe('digests', () => {
  test('a digest is added once, whatever was added before', () => {
    const set = new DigestSet()
    const count = 200_000
    const low = (i: number): number => Math.imul(i, 0x9e3779b9) >>> 0
    const numbers = Array.from({ length: count }, (_, i) => i)
    expect(numbers.filter((i) => set.add(low(i), i % 7, Math.max(0, i - 1)) !== i)).toEqual([])
    expect(numbers.filter((i) => set.add(low(i), i % 7, 0) !== -1)).toEqual([])
    expect(set.add(low(5), 6, 0)).toBe(count)
    expect(set.size).toBe(count + 1)
    expect(set.path(3)).toEqual([0, 1, 2, 3].map((i) => ({ low: low(i), high: i % 7 })))
  })
})

describe('views', () => {
  test('fields of a view do not overlap', () => {
    const View = byteViewOf({ a: 1, b: 2, c: 1 })
    const bytes = new Uint8Array(3 + View.sizeBytes)
    const view = new View(bytes, 3)
    view.a = 1
    view.b = 0xfedc
    view.c = 2
    expect([view.a, view.b, view.c, View.sizeBytes]).toEqual([1, 0xfedc, 2, 4])
    expect([...bytes]).toEqual([0, 0, 0, 1, 0xdc, 0xfe, 2])
  })
})

describe('tables looked up by numbers', () => {
  test('give the answer of the table for every combination', () => {
    const domain = { a: ['x', 'y', 'z'], b: [false, true], c: ['p', 'q'] } as const
    type Facts = { a: 'x' | 'y' | 'z'; b: boolean; c: 'p' | 'q' }
    const decide = ({ a, b, c }: Facts): string => `${a}${b}${c}`
    const table = new Tabulated<Facts, string>(domain, decide)
    let count = 0
    for (const facts of combinationsOf<Facts>(domain)) {
      count++
      expect(table.get(domain.a.indexOf(facts.a), Number(facts.b), domain.c.indexOf(facts.c))).toBe(decide(facts))
    }
    expect(count).toBe(12)
  })
})
