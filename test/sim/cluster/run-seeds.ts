// Runs seeds of the cluster and sums up. Every tenth seed runs twice: the hashes of both traces must be equal, or chance
// or time came in by another door than the ports.
import { parseArgs } from 'node:util'
import type { OpenClusterVolume } from './holder.ts'
import { type ClusterIncident, clusterIncidentNamed } from './incident-names.ts'
import { focusedOn } from './scenario.ts'
import { type ClusterResult, ClusterSimulation, type ClusterSubject } from './simulation.ts'

/** One seed in that many runs twice. */
const REPEAT_EVERY = 10
/** After that many failed seeds nothing more is learnt. */
const FAILURES_MAX = 25

export interface ClusterSummary {
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

interface Options {
  readonly seeds: readonly string[]
  readonly json: boolean
  readonly trace: boolean
  readonly stop: boolean
  readonly incidents: readonly ClusterIncident[]
}

const USAGE = 'known: --seed, --seeds, --from, --json, --trace, --stop, --incidents'

export async function runClusterSeeds(
  seeds: readonly string[],
  subject: ClusterSubject,
  options: { readonly onResult: (result: ClusterResult) => void; readonly failuresMax: number },
): Promise<ClusterSummary> {
  const summary: ClusterSummary = {
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
    const result = await new ClusterSimulation(seed, subject).run()
    const violations = result.violations.map(({ checker, rule, message }) => `${checker} (${rule}): ${message}`)
    if (index % REPEAT_EVERY === 0) {
      summary.repeated++
      const again = await new ClusterSimulation(seed, subject).run()
      if (again.traceHash !== result.traceHash)
        violations.push(`repeat: two runs differ ${result.traceHash} ${again.traceHash}`)
    }
    add(summary, result, violations)
    options.onResult(result)
    if (summary.failures.length >= options.failuresMax) break
  }
  return summary
}

function add(summary: ClusterSummary, result: ClusterResult, violations: readonly string[]): void {
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
  const options = optionsOf(args)
  if (typeof options === 'string') {
    print(options)
    return 2
  }
  const { seeds, incidents, trace } = options
  const command = `test/sim/cluster/run.ts ${args.join(' ')}`
  const subject: ClusterSubject = {
    openVolume: await engine(),
    change: (scenario) => (incidents.length === 0 ? scenario : focusedOn(scenario, incidents)),
    wholeTrace: trace,
  }
  print(`cluster simulator seeds=${seeds.length} first=${seeds[0]} repeat: ${command}`)
  const summary = await runClusterSeeds(seeds, subject, {
    onResult: (result) => printResult(result, trace, print),
    failuresMax: options.stop ? 1 : FAILURES_MAX,
  })
  const failed = summary.failures[0]?.seed
  const { passed, events, operations, repeated } = summary
  if (options.json) print(JSON.stringify(summary))
  else
    print(
      `passed=${passed} failed=${summary.failed} seeds=${summary.seeds} events=${events} operations=${operations} repeated=${repeated}`,
    )
  print(
    failed === undefined
      ? `repeat: ${command}`
      : `failed seed=${failed} repeat: test/sim/cluster/run.ts --seed ${failed} --trace`,
  )
  return summary.failed === 0 ? 0 : 1
}

function printResult(result: ClusterResult, withTrace: boolean, print: (line: string) => void): void {
  if (withTrace) {
    for (const line of result.traceTail) print(line)
    if (result.violations.length > 0) print(JSON.stringify(result.scenario))
  }
  for (const { checker, rule, message, atMs } of result.violations) {
    print(`seed ${result.seed}: ${checker} (${rule}) at ${atMs.toFixed(3)} ms: ${message}`)
  }
}

function optionsOf(args: readonly string[]): Options | string {
  let values
  try {
    values = parseArgs({
      args: [...args],
      options: {
        seed: { type: 'string', multiple: true },
        seeds: { type: 'string' },
        from: { type: 'string' },
        json: { type: 'boolean' },
        trace: { type: 'boolean' },
        stop: { type: 'boolean' },
        incidents: { type: 'string' },
      },
    }).values
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; ${USAGE}`
  }
  const { json = false, trace = false, stop = false } = values
  const count = Number(values.seeds ?? 0)
  const from = Number(values.from ?? 1)
  if (!Number.isInteger(count) || count < 0 || !Number.isInteger(from)) return '--seeds and --from need whole numbers'
  const seeds = [...(values.seed ?? []), ...Array.from({ length: count }, (_, i) => String(from + i))]
  if (seeds.length === 0) return 'nothing to run: give --seed S or --seeds N'
  const names = (values.incidents ?? '').split(',').filter((word) => word !== '')
  const unknown = names.find((name) => clusterIncidentNamed(name) === undefined)
  if (unknown !== undefined) return `unknown incident ${unknown}`
  return { seeds, json, trace, stop, incidents: names as ClusterIncident[] }
}

async function engine(): Promise<OpenClusterVolume> {
  // By a name the compiler does not follow, as in run-seeds.ts of the simulator of one host.
  const path = '../../../csi-driver/engine/volume.ts'
  const module = (await import(path)) as { openVolume: OpenClusterVolume }
  return module.openVolume
}
