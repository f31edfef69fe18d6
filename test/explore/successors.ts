// What can happen next in a state: a pool of copies that the steps of the model write to, with a number for each that
// says what happened (actions.ts). Refilled for every state, so that a search allocates nothing per step.
import { State } from './model/state.ts'

export class Successors {
  /** The state that is expanded. Steps never write to it. */
  readonly from = new State()
  readonly #states: State[] = []
  readonly #actions: number[] = []
  #count = 0

  get count(): number {
    return this.#count
  }

  state(index: number): State {
    return this.#states[index] as State
  }

  action(index: number): number {
    return this.#actions[index] as number
  }

  /** Forgets everything; `from` is written by the caller. */
  begin(): void {
    this.#count = 0
  }

  /** A copy of `from` (or of `like`) to be changed; it counts only once `add` is called. */
  fork(like: State = this.from): State {
    const known = this.#states[this.#count]
    const next = known ?? new State()
    if (known === undefined) this.#states.push(next)
    next.copyFrom(like)
    return next
  }

  /** The last fork is what `action` leads to. */
  add(action: number): void {
    this.#actions[this.#count++] = action
  }

  /** Drops the successors that `keep` does not want. */
  filter(keep: (action: number) => boolean): void {
    let kept = 0
    for (let i = 0; i < this.#count; i++) {
      if (!keep(this.action(i))) continue
      const [a, b] = [this.state(i), this.state(kept)]
      this.#states[kept] = a
      this.#states[i] = b
      this.#actions[kept++] = this.action(i)
    }
    this.#count = kept
  }
}
