// Options of the explorer's command line (run.ts lists them).
import { parseArgs } from 'node:util'
import type { Scenario } from './model/model.ts'
import { EXHAUSTED, LARGE } from './scenarios.ts'
import { type Switch, SWITCHES } from './switches.ts'

/** States of each large scenario, where nothing else is said. */
export const STATES_MAX = 200_000
/** Steps of each random walk. */
export const WALK_STEPS = 200_000
export const SAMPLES = 1_000

export interface Options {
  /** Searched to the end, however many states that takes, unless --states-max says otherwise. */
  readonly exhausted: readonly Scenario[]
  readonly large: readonly Scenario[]
  readonly switches: readonly Switch[]
  readonly walks: readonly Scenario[]
  readonly live: readonly Scenario[]
  readonly statesMax: number
  /** Of the scenarios that are to be exhausted. */
  readonly exhaustMax: number
  readonly steps: number
  readonly samples: number
  readonly seed: string
  readonly list: boolean
  readonly json: boolean
  readonly progress: boolean
  readonly writeDocs: boolean
}

const USAGE =
  'known: --list, --scenario, --states-max, --switch, --walk, --steps, --live, --samples, --json, --progress, --write-docs'

const SPEC = {
  list: { type: 'boolean' },
  scenario: { type: 'string' },
  'states-max': { type: 'string' },
  switch: { type: 'string' },
  walk: { type: 'string' },
  steps: { type: 'string' },
  live: { type: 'string' },
  samples: { type: 'string' },
  json: { type: 'boolean' },
  progress: { type: 'boolean' },
  'write-docs': { type: 'boolean' },
} as const

type Values = ReturnType<typeof parseArgs<{ options: typeof SPEC }>>['values']

/** What the words mean, or what is wrong with them. */
export function parseOptions(args: readonly string[]): Options | string {
  let values: Values
  try {
    values = parseArgs({ args: withDefaults(args), options: SPEC }).values
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)}; ${USAGE}`
  }
  const numbers = [values['states-max'], values.steps, values.samples]
  if (numbers.some((text) => text !== undefined && !/^[1-9]\d*$/.test(text))) {
    return '--states-max, --steps and --samples need whole numbers above 0'
  }
  const chosen = chosenBy(values)
  if (typeof chosen === 'string') return chosen
  return {
    ...chosen,
    statesMax: Number(values['states-max'] ?? STATES_MAX),
    exhaustMax: Number(values['states-max'] ?? Number.MAX_SAFE_INTEGER),
    steps: Number(values.steps ?? WALK_STEPS),
    samples: Number(values.samples ?? SAMPLES),
    seed: values.walk ?? values.live ?? '1',
    list: values.list ?? false,
    json: values.json ?? false,
    progress: values.progress ?? false,
    writeDocs: values['write-docs'] ?? false,
  }
}

/** `--live` and `--switch` may stand without a value. */
function withDefaults(args: readonly string[]): string[] {
  return args.map((word, i) => {
    const alone = args[i + 1] === undefined || args[i + 1]?.startsWith('--') === true
    return alone && (word === '--live' || word === '--switch') ? `${word}=${word === '--live' ? '1' : 'h-'}` : word
  })
}

type Chosen = Pick<Options, 'exhausted' | 'large' | 'switches' | 'walks' | 'live'>

const NOTHING: Chosen = { exhausted: [], large: [], switches: [], walks: [], live: [] }
const DEEP = LARGE.filter(({ name }) => name.endsWith('-all'))

function chosenBy(values: Values): Chosen | string {
  const prefix = values.scenario ?? ''
  const named = (all: readonly Scenario[]): readonly Scenario[] => all.filter(({ name }) => name.startsWith(prefix))
  const [exhausted, large] = [named(EXHAUSTED), named(LARGE)]
  if (exhausted.length + large.length === 0) return `no scenario begins with ${prefix}; --list shows them`
  if (values.switch !== undefined) {
    const switches = SWITCHES.filter(({ name }) => name.startsWith(values.switch ?? ''))
    return switches.length === 0
      ? `no switch begins with ${values.switch}; --list shows them`
      : { ...NOTHING, switches }
  }
  const random = prefix === '' ? DEEP : [...exhausted, ...large]
  if (values.walk !== undefined) return { ...NOTHING, walks: random }
  if (values.live !== undefined) return { ...NOTHING, live: random }
  if (values['write-docs'] === true) return { ...NOTHING, switches: SWITCHES }
  if (values.scenario !== undefined) return { ...NOTHING, exhausted, large }
  return { exhausted, large, switches: SWITCHES, walks: DEEP, live: DEEP }
}
