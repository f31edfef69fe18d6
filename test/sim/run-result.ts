// What a simulated run says about itself when it is over, and what was planned for it beside its scenario.
import { CacheError } from '../../base/errors.ts'
import type { Violation } from './report.ts'
import type { Scenario } from './scenario.ts'

export interface RunResult {
  readonly seed: string
  readonly violations: readonly Violation[]
  readonly traceHash: string
  readonly traceTail: readonly string[]
  readonly scenario: Scenario
  readonly events: number
  readonly operations: number
  readonly virtualMs: number
  readonly counts: Readonly<Record<string, number>>
  /** How the run ended: 'complete', or why it went no further without a violation. */
  readonly end: string
}

/** Where the first engine dies, and whether it alone or the whole machine. */
export interface PlannedDeath {
  readonly step: number
  readonly afterEffect: boolean
  readonly kind: 'process' | 'power'
}

/** Thrown inside a run to end it: a violation was reported, or nothing more can follow. */
export class RunEnded extends Error {}

export function describeError(error: unknown): string {
  if (error instanceof CacheError) return `${error.code} (${error.kind}): ${error.message}`
  return error instanceof Error
    ? `${error.name}: ${error.message} ${error.stack?.split('\n')[1]?.trim() ?? ''}`
    : String(error)
}
