// Plants a bug in a copy of the sources and looks whether the simulator finds it. The copy lies below the repository,
// so that packages resolve as ever, in a folder that no commit takes.
import { execFile } from 'node:child_process'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import type { PlantedEdit } from './planted.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const FOLDERS = ['base', 'csi-driver', 'test/sim']
/** Seeds after which a planted bug counts as not found. */
export const SEEDS_MAX = 150
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024
/** A planted bug may make the program run for ever. */
const RUN_MS_MAX = 240_000

export interface PlantedOutcome {
  readonly found: boolean
  /** Seeds that it took. */
  readonly seeds: number
  /** The one that found it. */
  readonly seed: string
  /** Checkers of the first failed seed. */
  readonly checkers: readonly string[]
  readonly message: string
}

/** A bug of either simulator. */
export interface Plantable {
  readonly name: string
  readonly edits: readonly PlantedEdit[]
  readonly incidents: readonly string[]
}

/** What both simulators print of a run. */
interface Summary {
  readonly failed: number
  readonly seeds: number
  readonly failures: readonly { readonly seed: string; readonly violations: readonly string[] }[]
}

/** `script`: the command line of the simulator that has to find it. */
export async function runPlanted(
  bug: Plantable,
  { script = 'test/sim/run.ts', seedsMax = SEEDS_MAX }: { script?: string; seedsMax?: number } = {},
): Promise<PlantedOutcome> {
  const folder = path.join(ROOT, 'test-results/planted', bug.name)
  await copySources(folder)
  try {
    for (const edit of bug.edits) await apply(path.join(folder, edit.file), edit.find, edit.replace)
    return await simulate(path.join(folder, script), bug, seedsMax)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function copySources(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  for (const name of FOLDERS) {
    const target = path.join(folder, name)
    await mkdir(path.dirname(target), { recursive: true })
    await cp(path.join(ROOT, name), target, { recursive: true, filter: (source) => !source.endsWith('.test.ts') })
  }
}

async function apply(file: string, find: string, replace: string): Promise<void> {
  const text = await readFile(file, 'utf8')
  const parts = text.split(find)
  if (parts.length !== 2)
    throw new Error(`the text of a planted edit occurs ${parts.length - 1} times file=${file} text=${find}`)
  await writeFile(file, parts.join(replace))
}

async function simulate(script: string, bug: Plantable, seedsMax: number): Promise<PlantedOutcome> {
  const focus = bug.incidents.length === 0 ? [] : ['--incidents', bug.incidents.join(',')]
  const args = [script, '--seeds', String(seedsMax), '--json', '--stop', ...focus]
  const output = await outputOf(process.execPath, args)
  const line = output.split('\n').find((one) => one.startsWith('{'))
  if (line === undefined) return { found: true, seeds: 0, seed: '', checkers: ['crash'], message: output.slice(-2000) }
  const summary = JSON.parse(line) as Summary
  const violations = summary.failures[0]?.violations ?? []
  return {
    found: summary.failed > 0,
    seeds: summary.seeds,
    seed: summary.failures[0]?.seed ?? '',
    checkers: violations.map((violation) => violation.split(' ')[0] as string),
    message: violations.join('\n'),
  }
}

/** Standard output of a program, whatever its exit status. */
async function outputOf(file: string, args: readonly string[]): Promise<string> {
  const environment = { ...process.env, NODE_OPTIONS: '' }
  try {
    const options = {
      maxBuffer: OUTPUT_BYTES_MAX,
      env: environment,
      timeout: RUN_MS_MAX,
      killSignal: 'SIGKILL',
    } as const
    const { stdout } = await promisify(execFile)(file, args, options)
    return stdout
  } catch (error) {
    const failed = error as { stdout?: string; stderr?: string }
    return `${failed.stdout ?? ''}\n${failed.stderr ?? ''}`
  }
}
