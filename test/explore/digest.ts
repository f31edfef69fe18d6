// 64 bits that stand for a state: two independent mixes of its words.
import { type State, STATE_WORDS } from './model/state.ts'

export class Digest {
  low = 0
  high = 0

  of({ words }: State): this {
    let a = 0x9e3779b9 | 0
    let b = 0x7f4a7c15 | 0
    for (let i = 0; i < STATE_WORDS; i++) {
      const word = words[i] as number
      a = Math.imul(a ^ word, 0x85ebca6b)
      a = (a << 13) | (a >>> 19)
      b = Math.imul(b + word, 0xc2b2ae35) ^ a
      b = (b << 17) | (b >>> 15)
    }
    this.low = finish(a ^ Math.imul(b, 0x27d4eb2f)) >>> 0
    this.high = finish(b ^ Math.imul(a, 0x165667b1)) >>> 0
    return this
  }
}

function finish(value: number): number {
  let x = value
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}
