// The kinds a setting can have: how its text is read, what is allowed, how a value is printed. One declaration serves
// the command line (kebab-case flags), the configuration file (camelCase keys) and the reference text.
// Sizes are binary (`4GiB`, `512MiB`, `1 TiB`, plain bytes); durations end as milliseconds (`500ms`, `30s`, `5min`).
import type { Bytes, Ms } from './units.ts'

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string }

export interface Setting<T> {
  /** What stands behind the flag in the help: `SIZE`, `PATH`, `a|b`; '' for a switch. */
  readonly placeholder: string
  /** What is allowed, for people. */
  readonly allowed: string
  /** The value when nothing is given. */
  readonly fallback: T
  /** The fallback as people read it; where it is decided at start, how. */
  readonly fallbackText: string
  readonly help: string
  /** Why this is a setting at all and how its default was found. */
  readonly why: string
  readonly required: boolean
  /** The flag may be given several times, and a list in the file; absent for settings with one value. */
  join?(earlier: T, later: T): T
  /** Reads the text of a flag or the value of a key. */
  parse(text: string): Parsed<T>
}

/** What every declaration says besides its kind. `null` as default means: decided at start, as `defaultText` says. */
export interface Words {
  readonly help: string
  readonly why: string
  readonly defaultText?: string
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  g: 1024 ** 3,
  gib: 1024 ** 3,
  t: 1024 ** 4,
  tib: 1024 ** 4,
}
const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, m: 60_000, h: 3_600_000 }

const good = <T>(value: T): Parsed<T> => ({ ok: true, value })
const bad = (problem: string): Parsed<never> => ({ ok: false, problem })

/** Reads `4GiB`. Fractions are fine when whole bytes result (`1.5GiB`). */
export function parseSize(text: string): Parsed<Bytes> {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const unit = SIZE_UNITS[(match?.[2] ?? '').toLowerCase()]
  if (match === null) return bad('is not a size such as 512MiB or 4GiB')
  if (unit === undefined) return bad(`has an unknown unit "${match[2]}"; use KiB, MiB, GiB or TiB`)
  const bytes = Number(match[1]) * unit
  if (!Number.isSafeInteger(bytes)) return bad('is not a whole number of bytes')
  return good(bytes)
}

/** The shortest exact text that parseSize reads back. */
export function printSize(bytes: Bytes): string {
  for (const [unit, size] of [
    ['TiB', 1024 ** 4],
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return `${bytes}B`
}

/** Reads `30s`. A bare number is refused: seconds or milliseconds would be a guess. */
export function parseDuration(text: string): Parsed<Ms> {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  if (match === null) return bad('is not a duration such as 500ms, 30s or 5min')
  const unit = DURATION_UNITS[(match[2] ?? '').toLowerCase()]
  if (unit === undefined) return bad(`needs one of the units ms, s, min, h, for example ${match[1]}s`)
  const ms = Number(match[1]) * unit
  return Number.isSafeInteger(ms) ? good(ms) : bad('is not a whole number of milliseconds')
}

/** The shortest exact text that parseDuration reads back. */
export function printDuration(ms: Ms): string {
  if (ms > 0 && ms % 3_600_000 === 0) return `${ms / 3_600_000}h`
  if (ms > 0 && ms % 60_000 === 0) return `${ms / 60_000}min`
  return ms > 0 && ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`
}

interface Range {
  readonly min: number
  readonly max: number
  readonly multipleOf?: number
}

function inRange(parsed: Parsed<number>, range: Range, print: (value: number) => string): Parsed<number> {
  if (!parsed.ok) return parsed
  const { min, max, multipleOf = 1 } = range
  if (parsed.value < min) return bad(`is too small; at least ${print(min)}`)
  if (parsed.value > max) return bad(`is too large; at most ${print(max)}`)
  return parsed.value % multipleOf === 0 ? parsed : bad(`must be a multiple of ${print(multipleOf)}`)
}

function ranged<D extends number | null>(
  words: Words & Range & { readonly default: D },
  placeholder: string,
  read: (text: string) => Parsed<number>,
  print: (value: number) => string,
): Setting<number | D> {
  const multiple = words.multipleOf === undefined ? '' : `, a multiple of ${print(words.multipleOf)}`
  return {
    ...shared(words, words.default === null ? '' : print(words.default)),
    placeholder,
    allowed: `${print(words.min)} to ${print(words.max)}${multiple}`,
    fallback: words.default,
    parse: (text) => inRange(read(text), words, print),
  }
}

function shared(
  words: Words,
  fallbackText: string,
): { help: string; why: string; fallbackText: string; required: false } {
  return { help: words.help, why: words.why, fallbackText: words.defaultText ?? fallbackText, required: false }
}

/** A size in bytes. */
export function sizeSetting<D extends number | null>(
  words: Words & Range & { readonly default: D },
): Setting<number | D> {
  return ranged(words, 'SIZE', parseSize, printSize)
}

/** A duration in milliseconds. */
export function durationSetting<D extends number | null>(
  words: Words & Range & { readonly default: D },
): Setting<number | D> {
  return ranged(words, 'DURATION', parseDuration, printDuration)
}

/** A plain integer. */
export function integerSetting<D extends number | null>(
  words: Words & Range & { readonly default: D },
): Setting<number | D> {
  const read = (text: string): Parsed<number> =>
    /^-?\d{1,15}$/.test(text.trim()) ? good(Number(text)) : bad('is not a whole number')
  return ranged(words, 'NUMBER', read, String)
}

/** One of a fixed list of words. */
export function choiceSetting<const C extends string, D extends C | null>(
  words: Words & { readonly choices: readonly C[]; readonly default: D },
): Setting<C | D> {
  return {
    ...shared(words, words.default ?? ''),
    placeholder: words.choices.join('|'),
    allowed: words.choices.join(', '),
    fallback: words.default,
    parse: (text) => {
      const found = words.choices.find((one) => one === text)
      return found === undefined ? bad(`is none of ${words.choices.join(', ')}`) : good(found)
    },
  }
}

/** A switch: `--name` or `--name=true|false`; `name: true` in the file. */
export function switchSetting(words: Words): Setting<boolean> {
  return {
    ...shared(words, 'false'),
    placeholder: '',
    allowed: 'true or false',
    fallback: false,
    parse: (text) =>
      text === 'true' || text === '' ? good(true) : text === 'false' ? good(false) : bad('is neither true nor false'),
  }
}

/** A path of this host, not empty, without a NUL byte; whether it exists is looked at by whoever opens it. */
export function pathSetting<D extends string | null>(words: Words & { readonly default: D }): Setting<string | D> {
  return {
    ...shared(words, words.default ?? ''),
    placeholder: 'PATH',
    allowed: 'a path',
    fallback: words.default,
    parse: (text) => {
      if (text === '') return bad('is an empty path')
      return text.includes('\0') ? bad('contains a NUL byte') : good(text)
    },
  }
}

/** Any text of 1 to `maxLength` characters that `pattern` matches whole; `allowed` says the pattern in words. */
export function textSetting<D extends string | null>(
  words: Words & {
    readonly default: D
    readonly maxLength: number
    readonly pattern: RegExp
    readonly allowed: string
  },
): Setting<string | D> {
  return {
    ...shared(words, words.default ?? ''),
    placeholder: 'TEXT',
    allowed: words.allowed,
    fallback: words.default,
    parse: (given) =>
      given.length >= 1 && given.length <= words.maxLength && words.pattern.test(given)
        ? good(given)
        : bad(`must be ${words.allowed}`),
  }
}

/** A flag that may be given several times, and in the file a list: each text is one element, in their order. */
export function listSetting<T>(
  words: Words & {
    readonly placeholder: string
    readonly allowed: string
    readonly read: (text: string) => Parsed<T>
  },
): Setting<readonly T[]> {
  return {
    ...shared(words, 'none'),
    placeholder: words.placeholder,
    allowed: words.allowed,
    fallback: [],
    join: (earlier, later) => [...earlier, ...later],
    parse: (text) => {
      const parsed = words.read(text)
      return parsed.ok ? good([parsed.value]) : parsed
    },
  }
}

export interface SocketAddress {
  /** Host name, IPv4 or IPv6 address without brackets. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

/** `ADDR:PORT`, `[IPv6]:PORT` or `:PORT` (every address of the host). */
export function parseAddress(given: string): Parsed<SocketAddress> {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^[\]:\s]*)):(\d{1,5})$/i.exec(given)
  if (match === null) return bad('is not ADDR:PORT, for example 127.0.0.1:9750')
  const port = Number(match[3])
  if (port > 65_535) return bad('has a port above 65535')
  const host = match[1] ?? match[2] ?? ''
  return good({ host: host === '' ? '::' : host, port })
}

/** Prints what parseAddress reads. */
export function printAddress(value: SocketAddress): string {
  return value.host.includes(':') ? `[${value.host}]:${value.port}` : `${value.host}:${value.port}`
}

/** A TCP address to listen on or connect to. */
export function addressSetting<D extends SocketAddress | null>(
  words: Words & { readonly default: D },
): Setting<SocketAddress | D> {
  return {
    ...shared(words, words.default === null ? '' : printAddress(words.default)),
    placeholder: 'ADDR:PORT',
    allowed: 'ADDR:PORT, brackets around an IPv6 address',
    fallback: words.default,
    parse: parseAddress,
  }
}

/** The same setting, but one that must be given. */
export function requiredSetting<T>(setting: Setting<T | null>): Setting<T> {
  // The fallback is never handed out: a missing required setting is a problem, and problems end the start.
  return { ...(setting as Setting<T>), required: true, fallbackText: '' }
}
