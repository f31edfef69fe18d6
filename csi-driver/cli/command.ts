// One command of `forebay`: what it is called with, what it says about itself, what it does. A command declares its
// flags as a settings schema, so that reading, refusing, --help and the reference page come from one declaration.
import { CacheError } from '../../base/errors.ts'
import type { Setting } from '../../base/setting-kinds.ts'
import {
  readSettings,
  splitArguments,
  type SettingProblem,
  type SettingsOf,
  type SettingsSchema,
} from '../../base/settings.ts'
import { stateDirSetting, VOLUME_NAME_ALLOWED, VOLUME_NAME_PATTERN } from '../config.ts'
import type { Terminal } from './terminal.ts'

export const EXIT_OK = 0
export const EXIT_FAILED = 1
export const EXIT_REFUSED = 2
/** Ended by Ctrl-C while waiting, as shells report it. */
export const EXIT_INTERRUPTED = 130

export interface Positional {
  readonly name: string
  readonly optional: boolean
  readonly help: string
  /** Says what is wrong with a word, or null. */
  check(word: string): string | null
}

export interface CommandText {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** Paragraphs. */
  readonly description: readonly string[]
  readonly exits: readonly (readonly [status: number, meaning: string])[]
  readonly examples: readonly (readonly [command: string, meaning: string])[]
}

export interface CommandInput<S extends SettingsSchema> {
  readonly positionals: readonly string[]
  readonly settings: SettingsOf<S>
  readonly terminal: Terminal
}

export interface Command extends CommandText {
  readonly positionals: readonly Positional[]
  readonly schema: SettingsSchema
  /** For the machinery: left out of the list of commands. */
  readonly internal: boolean
  /** Reads `words` and runs. Resolves with the exit status. */
  run(words: readonly string[], terminal: Terminal): Promise<number>
}

export interface CommandDeclaration<S extends SettingsSchema> extends CommandText {
  readonly positionals: readonly Positional[]
  readonly schema: S
  readonly internal?: boolean
  run(input: CommandInput<S>): Promise<number>
}

export function defineCommand<S extends SettingsSchema>(declaration: CommandDeclaration<S>): Command {
  const { positionals, schema } = declaration
  return {
    ...declaration,
    internal: declaration.internal ?? false,
    run: async (words, terminal) => {
      const split = splitArguments(schema, words)
      const read = readSettings(schema, { flags: split.flags })
      const problems = [
        ...split.problems,
        ...positionalProblems(positionals, split.positionals, read.problems),
        ...read.problems,
      ]
      if (problems.length > 0) {
        terminal.err(refusalText(declaration.name, problems))
        return EXIT_REFUSED
      }
      return declaration.run({ positionals: split.positionals, settings: read.settings, terminal })
    },
  }
}

/** What is wrong with the words that are no flags. */
export function positionalProblems(
  wanted: readonly Positional[],
  given: readonly string[],
  flagProblems: readonly SettingProblem[],
): SettingProblem[] {
  const problems: SettingProblem[] = []
  for (const [i, positional] of wanted.entries()) {
    const word = given[i]
    if (word === undefined) {
      if (!positional.optional) problems.push({ where: positional.name, problem: `is missing; ${positional.help}` })
      continue
    }
    const problem = positional.check(word)
    if (problem !== null) problems.push({ where: positional.name, problem: `${problem} given=${JSON.stringify(word)}` })
  }
  // Behind an unknown flag stands its value, which is no mistake of its own.
  const surplus = flagProblems.some(({ problem }) => problem.startsWith('is unknown')) ? [] : given.slice(wanted.length)
  for (const word of surplus) {
    problems.push({ where: JSON.stringify(word), problem: 'is one word too many' })
  }
  return problems
}

/** Every problem on its own line, then where to read on. */
export function refusalText(command: string, problems: readonly SettingProblem[]): string {
  const lines = problems.map(({ where, problem }) => `forebay ${command}: ${where} ${problem}\n`)
  return `${lines.join('')}Nothing was changed. See: forebay ${command} --help\n`
}

/** An error as people read it: what happened, then what they can do. */
export function errorText(error: unknown): string {
  if (error instanceof CacheError) {
    const remedy = error.remedy === undefined ? '' : `${error.remedy}\n`
    return `forebay: ${error.message} (${error.code})\n${remedy}`
  }
  return `forebay: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`
}

export const volumePositional: Positional = {
  name: 'VOLUME',
  optional: false,
  help: `name of the volume: ${VOLUME_NAME_ALLOWED}`,
  check: (word) => (VOLUME_NAME_PATTERN.test(word) ? null : `must be ${VOLUME_NAME_ALLOWED}`),
}

export const stateDirSchema: { readonly stateDir: Setting<string> } = { stateDir: stateDirSetting }
