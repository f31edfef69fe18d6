// Runs seeds and sums up. Every tenth seed runs twice: the hashes of both traces must be equal, or chance or time came
// in by another door than the ports.
import type { OpenVolume } from './machine.ts'
import { parseOptions } from './options.ts'
import { focused } from './scenario.ts'
import type { RunResult } from './run-result.ts'
import { Simulation } from './simulation.ts'
import { engineSubject, referenceSubject, type Subject } from './subject.ts'

/** One seed in that many runs twice. */
const REPEAT_EVERY = 10
/** After that many failed seeds nothing more is learnt. */
const FAILURES_MAX = 10

export interface Summary {
  passed: number
  failed: number
  seeds: number
  events: number
  operations: number
  virtualSeconds: number
  repeated: number
  faults: Record<string, number>
  ends: Record<string, number>
  failures: { seed: string; violations: readonly string[] }[]
}

export async function runSeed(seed: string, subject: Subject): Promise<RunResult> {
  return new Simulation(seed, subject).run()
}

export async function runSeeds(
  seeds: readonly string[],
  subject: Subject,
  options: { readonly onFailure: (result: RunResult) => void; readonly failuresMax: number } = {
    onFailure: () => undefined,
    failuresMax: FAILURES_MAX,
  },
): Promise<Summary> {
  const summary: Summary = {
    passed: 0,
    failed: 0,
    seeds: 0,
    events: 0,
    operations: 0,
    virtualSeconds: 0,
    repeated: 0,
    faults: {},
    ends: {},
    failures: [],
  }
  for (const [index, seed] of seeds.entries()) {
    const result = await runSeed(seed, subject)
    const violations = result.violations.map(({ checker, rule, message }) => `${checker} (${rule}): ${message}`)
    if (index % REPEAT_EVERY === 0) {
      summary.repeated++
      const again = await runSeed(seed, subject)
      if (again.traceHash !== result.traceHash)
        violations.push(`repeat: two runs differ ${result.traceHash} ${again.traceHash}`)
    }
    add(summary, result, violations)
    if (violations.length > 0) options.onFailure(result)
    if (summary.failures.length >= options.failuresMax) break
  }
  return summary
}

function add(summary: Summary, result: RunResult, violations: readonly string[]): void {
  summary.seeds++
  summary.events += result.events
  summary.operations += result.operations
  summary.virtualSeconds += Math.round(result.virtualMs / 1000)
  for (const [name, value] of Object.entries(result.counts)) summary.faults[name] = (summary.faults[name] ?? 0) + value
  summary.ends[result.end] = (summary.ends[result.end] ?? 0) + 1
  if (violations.length === 0) summary.passed++
  else {
    summary.failed++
    summary.failures.push({ seed: result.seed, violations })
  }
}

export async function main(args: readonly string[], print: (line: string) => void): Promise<number> {
  const options = parseOptions(args)
  if (typeof options === 'string') {
    print(options)
    return 2
  }
  const volume = options.reference === null ? engineSubject(await engine()) : referenceSubject(options.reference)
  const { incidents } = options
  const subject: Subject = {
    ...volume,
    wholeTrace: options.trace,
    ...(incidents.length === 0 ? {} : { change: (scenario) => volume.change(focused(scenario, incidents)) }),
  }
  print(`simulator seeds=${options.seeds.length} first=${options.seeds[0]} repeat: ${options.command}`)
  const summary = await runSeeds(options.seeds, subject, {
    onFailure: (result) => printFailure(result, options.trace, print),
    failuresMax: options.stop ? 1 : FAILURES_MAX,
  })
  const failed = summary.failures[0]?.seed
  if (options.json) print(JSON.stringify(summary))
  else
    print(
      `passed=${summary.passed} failed=${summary.failed} seeds=${summary.seeds} events=${summary.events} operations=${summary.operations} repeated=${summary.repeated}`,
    )
  print(
    failed === undefined
      ? `repeat: ${options.command}`
      : `failed seed=${failed} repeat: test/sim/run.ts --seed ${failed} --trace`,
  )
  return summary.failed === 0 ? 0 : 1
}

function printFailure(result: RunResult, withTrace: boolean, print: (line: string) => void): void {
  if (withTrace) {
    for (const line of result.traceTail) print(line)
    print(
      JSON.stringify(result.scenario, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    )
  }
  for (const { checker, rule, message, atMs } of result.violations) {
    print(`seed ${result.seed}: ${checker} (${rule}) at ${atMs.toFixed(3)} ms: ${message}`)
  }
}

async function engine(): Promise<OpenVolume> {
  // By a name the compiler does not follow: the reference volume must be usable without the engine.
  const path = '../../csi-driver/engine/volume.ts'
  const module = (await import(path)) as { openVolume: OpenVolume }
  return module.openVolume
}
