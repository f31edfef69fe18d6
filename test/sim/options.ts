// Options of the simulator's command line (run.ts lists them).
import { parseArgs } from 'node:util'
import type { ReferenceBug } from './reference-volume.ts'
import { type Incident, incidentNamed } from './scenario.ts'

export interface Options {
  readonly seeds: string[]
  readonly json: boolean
  readonly trace: boolean
  readonly stop: boolean
  readonly incidents: readonly Incident[]
  readonly reference: ReferenceBug | null
  readonly command: string
}

const USAGE = 'known: --seed, --seeds, --from, --json, --trace, --stop, --incidents, --reference'

/** What the words mean, or what is wrong with them. */
export function parseOptions(args: readonly string[]): Options | string {
  const values = valuesOf(args)
  if (typeof values === 'string') return values
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

function valuesOf(args: readonly string[]) {
  // A value of its own for `--reference` without one, which parseArgs does not know.
  const words = args.map((word, i) => (word === '--reference' && !isValue(args[i + 1]) ? '--reference=none' : word))
  try {
    return parseArgs({
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
