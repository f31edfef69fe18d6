// Violations found in a run. A violation is remembered and ends the run at the next event: an exception thrown through
// the engine's own frames could be caught by it.
import type { Trace } from './trace.ts'

export interface Violation {
  /** Name of the checker. */
  readonly checker: string
  /** What was promised: number of the invariant or rule. */
  readonly rule: string
  readonly message: string
  readonly atMs: number
}

export class Report {
  readonly violations: Violation[] = []
  private readonly trace: Trace
  private readonly now: () => number

  constructor(trace: Trace, now: () => number) {
    this.trace = trace
    this.now = now
  }

  get failed(): boolean {
    return this.violations.length > 0
  }

  add(checker: string, rule: string, message: string): void {
    this.trace.note(this.now(), `VIOLATION ${checker} (${rule}): ${message}`)
    if (this.violations.length < 10) this.violations.push({ checker, rule, message, atMs: this.now() })
  }
}
