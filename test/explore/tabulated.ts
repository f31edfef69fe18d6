// A decision table of the product with all its combinations asked once, so that a search can look answers up by numbers.
// The facts are given as positions in the domain, in its order; a truth value as 0 or 1 where the domain says [false, true].
import { combinationsOf, type FactDomain } from '../../csi-driver/protocol/decision-table.ts'

const FACTS_MAX = 7

export class Tabulated<Facts extends object, Decision> {
  readonly #answers: readonly Decision[]
  readonly #strides: readonly number[]

  constructor(domain: FactDomain<Facts>, decide: (facts: Facts) => Decision) {
    // The first fact is the one that changes fastest, as in combinationsOf.
    const sizes = Object.values<readonly unknown[]>(domain).map((values) => values.length)
    this.#strides = Array.from({ length: FACTS_MAX }, (_, i) => (i < sizes.length ? product(sizes.slice(0, i)) : 0))
    this.#answers = [...combinationsOf(domain)].map((facts) => decide(facts))
  }

  get(a: number, b: number, c = 0, d = 0, e = 0, f = 0, g = 0): Decision {
    const s = this.#strides as readonly [number, number, number, number, number, number, number]
    return this.#answers[a * s[0] + b * s[1] + c * s[2] + d * s[3] + e * s[4] + f * s[5] + g * s[6]] as Decision
  }
}

function product(numbers: readonly number[]): number {
  return numbers.reduce((so, number) => so * number, 1)
}
