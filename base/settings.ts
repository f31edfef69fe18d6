// Settings from one schema: flags of the command line win over keys of the configuration file, which win over defaults.
// Reading never stops at the first mistake: every problem is reported at once, with where it stands, what was given and
// what is allowed. Unknown names are problems, with the nearest known one. The result is frozen.
import type { Setting } from './setting-kinds.ts'

export type SettingsSchema = Readonly<Record<string, Setting<unknown>>>
export type SettingsOf<S extends SettingsSchema> = {
  readonly [Name in keyof S]: S[Name] extends Setting<infer T> ? T : never
}

export interface SettingProblem {
  /** `--cache-size`, or `cacheSize in forebay.yaml`. */
  readonly where: string
  /** A clause that continues `where`: "is too small; at least 64MiB given=1MiB". */
  readonly problem: string
}

export interface GivenFlag {
  /** As typed, without the dashes. */
  readonly name: string
  readonly text: string
}

export interface GivenFile {
  /** For messages. */
  readonly name: string
  /** What the YAML reader returned; anything but a mapping is a problem. */
  readonly content: unknown
}

export interface SettingsInput {
  readonly flags?: readonly GivenFlag[]
  readonly file?: GivenFile | null
}

export interface SettingsResult<S extends SettingsSchema> {
  /** Complete and usable only when `problems` is empty. */
  readonly settings: SettingsOf<S>
  readonly problems: readonly SettingProblem[]
  /** Names that were given by a flag or the file. */
  readonly given: ReadonlySet<keyof S & string>
}

/** `cacheSize` → `cache-size`. */
export function flagName(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** Reads flags and file against the schema. Never throws, whatever the file holds. */
export function readSettings<S extends SettingsSchema>(schema: S, input: SettingsInput): SettingsResult<S> {
  const reading = new Reading(schema)
  if (input.file !== undefined && input.file !== null) reading.readFile(input.file)
  reading.readFlags(input.flags ?? [])
  return reading.finish() as SettingsResult<S>
}

class Reading {
  private readonly schema: SettingsSchema
  private readonly keyOfFlag: ReadonlyMap<string, string>
  private readonly values = new Map<string, unknown>()
  private readonly given = new Set<string>()
  private readonly problems: SettingProblem[] = []

  constructor(schema: SettingsSchema) {
    this.schema = schema
    this.keyOfFlag = new Map(Object.keys(schema).map((key) => [flagName(key), key]))
  }

  readFile(file: GivenFile): void {
    const { content } = file
    // An empty file is read as null by YAML: no keys, no problem.
    if (content === null || content === undefined) return
    if (typeof content !== 'object' || Array.isArray(content)) {
      this.problems.push({ where: file.name, problem: 'must hold keys and values, such as "cacheSize: 4GiB"' })
      return
    }
    for (const [key, value] of Object.entries(content)) {
      const where = `${key} in ${file.name}`
      if (!Object.hasOwn(this.schema, key)) this.unknown(where, key, Object.keys(this.schema))
      else if (this.schema[key]?.join !== undefined) this.takeList(where, key, value)
      else if (value === null || typeof value === 'object') {
        this.problems.push({ where, problem: 'must be a single value' })
      } else this.take(where, key, String(value))
    }
  }

  readFlags(flags: readonly GivenFlag[]): void {
    const seen = new Set<string>()
    for (const { name, text } of flags) {
      const key = this.keyOfFlag.get(name)
      if (key === undefined) this.unknown(`--${name}`, name, [...this.keyOfFlag.keys()])
      else if (seen.has(key) && this.schema[key]?.join === undefined) {
        this.problems.push({ where: `--${name}`, problem: 'is given more than once' })
      } else {
        // The first one replaces what the file says.
        if (!seen.has(key)) this.values.delete(key)
        seen.add(key)
        this.take(`--${name}`, key, text)
      }
    }
  }

  finish(): SettingsResult<SettingsSchema> {
    const settings: Record<string, unknown> = {}
    for (const [key, setting] of Object.entries(this.schema)) {
      settings[key] = this.values.has(key) ? this.values.get(key) : setting.fallback
      if (setting.required && !this.given.has(key)) {
        this.problems.push({ where: `--${flagName(key)}`, problem: `is required; ${setting.help}` })
      }
    }
    return {
      settings: Object.freeze(settings) as SettingsOf<SettingsSchema>,
      problems: this.problems,
      given: this.given,
    }
  }

  private takeList(where: string, key: string, value: unknown): void {
    for (const element of Array.isArray(value) ? value : [value]) {
      if (element === null || typeof element === 'object') {
        this.problems.push({ where, problem: 'must be a single value or a list of such' })
      } else this.take(where, key, String(element))
    }
  }

  private take(where: string, key: string, text: string): void {
    const setting = this.schema[key]
    if (setting === undefined) return
    this.given.add(key)
    const parsed = setting.parse(text)
    if (parsed.ok) {
      const earlier = this.values.has(key) ? setting.join?.(this.values.get(key), parsed.value) : undefined
      this.values.set(key, earlier ?? parsed.value)
    } else this.problems.push({ where, problem: `${parsed.problem} given=${printGiven(text)}` })
  }

  private unknown(where: string, name: string, known: readonly string[]): void {
    const near = nearestName(name, known)
    this.problems.push({ where, problem: near === null ? 'is unknown' : `is unknown; did you mean ${near}?` })
  }
}

/** Text of a user, made safe to print in one line. */
function printGiven(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text
  return JSON.stringify(shown)
}

/** The known name that a typing mistake most likely meant; null when none is near. */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null
  let bestDistance = Math.max(2, Math.floor(name.length / 3)) + 1
  if (name.length > 64) return null
  for (const one of known) {
    const distance = editDistance(name.toLowerCase(), one.toLowerCase())
    if (distance < bestDistance) {
      best = one
      bestDistance = distance
    }
  }
  return best
}

/** Insertions, deletions and replacements that turn one text into the other. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = (previous[j - 1] as number) + (from[i - 1] === to[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (previous[j] as number) + 1, (row[j - 1] as number) + 1))
    }
    previous = row
  }
  return previous[to.length] as number
}

export interface SplitArguments {
  readonly positionals: readonly string[]
  readonly flags: readonly GivenFlag[]
  readonly problems: readonly SettingProblem[]
}

/**
 * Splits a command line into positionals and flags: `--name value`, `--name=value`, switches without a value, `--`
 * ends the flags. Unknown flags are left to readSettings, which knows what to suggest.
 */
export function splitArguments(schema: SettingsSchema, words: readonly string[]): SplitArguments {
  const positionals: string[] = []
  const flags: GivenFlag[] = []
  const problems: SettingProblem[] = []
  const keyOfFlag = new Map(Object.entries(schema).map(([key, setting]) => [flagName(key), setting]))
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string
    if (word === '--') {
      positionals.push(...words.slice(i + 1))
      break
    }
    if (!word.startsWith('--')) {
      if (word.startsWith('-') && word.length > 1)
        problems.push({ where: word, problem: 'is not a flag; flags begin with --' })
      else positionals.push(word)
      continue
    }
    const equals = word.indexOf('=')
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals)
    const setting = keyOfFlag.get(name)
    const next = words[i + 1]
    if (equals >= 0) flags.push({ name, text: word.slice(equals + 1) })
    else if (setting === undefined || setting.placeholder === '') flags.push({ name, text: '' })
    else if (next === undefined || next.startsWith('--'))
      problems.push({ where: word, problem: `needs a value: ${setting.placeholder}` })
    else {
      flags.push({ name, text: next })
      i++
    }
  }
  return { positionals, flags, problems }
}
