// Runs seeds and sums up. Every tenth seed runs twice: the hashes of both traces must be equal, or chance or time came
// in by another door than the ports.
import { parseArgs } from 'node:util'
import type { OpenVolume } from './machine.ts'
import type { ReferenceBug } from './reference-volume.ts'
import { focused, type Incident, incidentNamed } from './scenario.ts'
import { type RunResult, Simulation } from './simulation.ts'
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

interface Options {
  readonly seeds: string[]
  readonly json: boolean
  readonly trace: boolean
  readonly stop: boolean
  readonly incidents: readonly Incident[]
  readonly reference: ReferenceBug | null
  readonly command: string
}

export async function main(args: readonly string[], print: (line: string) => void): Promise<number> {
  const options = parse(args)
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

const USAGE = 'known: --seed, --seeds, --from, --json, --trace, --stop, --incidents, --reference'

function parse(args: readonly string[]): Options | string {
  // A value of its own for `--reference` without one, which parseArgs does not know.
  const words = args.map((word, i) => (word === '--reference' && !isValue(args[i + 1]) ? '--reference=none' : word))
  let values
  try {
    values = parseArgs({
      args: words,
      options: {
        seed: { type: 'string', multiple: true },
        seeds: { type: 'string' },
        from: { type: 'string' },
        json: { type: 'boolean' },
        trace: { type: 'boolean' },
        stop: { type: 'boolean' },
        incidents: { type: 'string' },
        reference: { type: 'string' },
      },
    }).values
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; ${USAGE}`
  }
  const seeds: string[] = [...(values.seed ?? [])]
  const count = Number(values.seeds ?? 0)
  const from = Number(values.from ?? 1)
  const { json = false, trace = false, stop = false } = values
  const incidents = incidentsNamed(values.incidents ?? '')
  if (typeof incidents === 'string') return incidents
  const reference = (values.reference ?? null) as ReferenceBug | null
  if (!Number.isInteger(count) || count < 0 || !Number.isInteger(from)) return '--seeds and --from need whole numbers'
  for (let i = 0; i < count; i++) seeds.push(String(from + i))
  if (seeds.length === 0) return 'nothing to run: give --seed S or --seeds N'
  return { seeds, json, trace, stop, incidents, reference, command: `test/sim/run.ts ${args.join(' ')}` }
}

function incidentsNamed(list: string): Incident[] | string {
  const incidents: Incident[] = []
  for (const name of list.split(',').filter((word) => word !== '')) {
    const incident = incidentNamed(name)
    if (incident === undefined) return `unknown incident ${name}`
    incidents.push(incident)
  }
  return incidents
}

function isValue(word: string | undefined): boolean {
  return word !== undefined && !word.startsWith('--')
}
