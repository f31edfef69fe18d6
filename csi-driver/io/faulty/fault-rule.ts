// Fault rules: which operations of which device or stream go wrong, and how. One line each, for tests, the simulator
// and the command line:
//     fault://TARGET?op=write&begin=10&count=3&error=EIO
//   TARGET  name given by whoever wraps the device (`cache`, `backing`, `control`), or * for all
//   op      read write zero flush close connect data timer any; any unless given
//   begin   operations that match pass unharmed before the first fault; 0 unless given
//   count   how many faults at most, or `all`; 1 unless given
//   chance  probability of a fault for each operation in question; 1 unless given
//   from to byte range [from, to) that an operation must touch; everything unless given
// and exactly one effect:
//   error=EIO      the operation fails and is not done          delay=100ms   it is done later
//   hang=yes       it is never answered (until released)        lost=yes      it is acknowledged and not done
//   torn=prefix|subset  some sectors are written, then EIO      flip=3        that many bits are wrong
//   misdirect=4096 it happens so many bytes further on          split=yes     a stream delivers in small pieces
// parseFaultRule and printFaultRule are inverses (tested): a rule printed by a failed run can be given to the next one.
import { parseDuration, printDuration } from '../../../base/setting-kinds.ts'
import type { Bytes, Ms } from '../../../base/units.ts'

export const FAULT_OPERATIONS = ['any', 'read', 'write', 'zero', 'flush', 'close', 'connect', 'data', 'timer'] as const
export type FaultOperation = (typeof FAULT_OPERATIONS)[number]

export type FaultEffect =
  | { readonly kind: 'error'; readonly code: string }
  | { readonly kind: 'delay'; readonly delayMs: Ms }
  | { readonly kind: 'hang' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'torn'; readonly shape: 'prefix' | 'subset' }
  | { readonly kind: 'flip'; readonly bits: number }
  | { readonly kind: 'misdirect'; readonly bytes: number }
  | { readonly kind: 'split' }

export interface FaultRule {
  readonly target: string
  readonly operation: FaultOperation
  readonly begin: number
  /** Infinity: all. */
  readonly count: number
  readonly chance: number
  readonly from: Bytes
  /** Infinity: to the end. */
  readonly to: Bytes
  readonly effect: FaultEffect
}

export type ParsedRule =
  | { readonly ok: true; readonly rule: FaultRule }
  | { readonly ok: false; readonly problem: string }

const RULE = /^fault:\/\/(\*|[a-z0-9-]{1,32})(?:\?([\x21-\x7e]{0,400}))?$/
const EFFECT_KEYS = ['error', 'delay', 'hang', 'lost', 'torn', 'flip', 'misdirect', 'split'] as const
const OTHER_KEYS: readonly string[] = ['op', 'begin', 'count', 'chance', 'from', 'to']
const FLIPPED_BITS_MAX = 1_000

/** Reads a rule; a problem names the part that is wrong. Never throws. */
export function parseFaultRule(text: string): ParsedRule {
  const match = RULE.exec(text)
  if (match === null) return refuse('is not of the form fault://TARGET?key=value&…')
  const values = new Map<string, string>()
  for (const pair of (match[2] ?? '').split('&').filter((one) => one !== '')) {
    const [, key, value] = /^([a-z]+)=(.*)$/.exec(pair) ?? []
    if (key === undefined || value === undefined) return refuse(`has a part that is not key=value part="${pair}"`)
    if (values.has(key)) return refuse(`has a key twice key=${key}`)
    values.set(key, value)
  }
  return readValues(match[1] ?? '*', values)
}

function readValues(target: string, values: ReadonlyMap<string, string>): ParsedRule {
  const effects = EFFECT_KEYS.filter((key) => values.has(key))
  const unknown = [...values.keys()].find((key) => !OTHER_KEYS.includes(key) && !EFFECT_KEYS.some((one) => one === key))
  if (unknown !== undefined) return refuse(`has an unknown key key=${unknown}`)
  const [effectKey] = effects
  if (effectKey === undefined || effects.length > 1) return refuse(`needs exactly one of ${EFFECT_KEYS.join(', ')}`)
  const effect = EFFECTS[effectKey](values.get(effectKey) ?? '')
  if (effect === null) return refuse(`has a bad value ${effectKey}=${values.get(effectKey)}`)
  const operation = FAULT_OPERATIONS.find((one) => one === (values.get('op') ?? 'any'))
  if (operation === undefined) return refuse(`has an unknown op, known are ${FAULT_OPERATIONS.join(', ')}`)
  const numbers = readNumbers(values)
  return typeof numbers === 'string'
    ? refuse(`has a bad number ${numbers}=${values.get(numbers)}`)
    : { ok: true, rule: { target, operation, ...numbers, effect } }
}

/** The key of the first number that is wrong, or all of them. */
function readNumbers(
  values: ReadonlyMap<string, string>,
): string | { begin: number; count: number; chance: number; from: Bytes; to: Bytes } {
  const begin = parseCount(values.get('begin') ?? '0')
  if (begin === null) return 'begin'
  const count = values.get('count') === 'all' ? Infinity : parseCount(values.get('count') ?? '1')
  if (count === null) return 'count'
  const chance = parseChance(values.get('chance') ?? '1')
  if (chance === null) return 'chance'
  const from = parseCount(values.get('from') ?? '0')
  if (from === null) return 'from'
  const end = values.get('to')
  const to = end === undefined ? Infinity : parseCount(end)
  return to === null ? 'to' : { begin, count, chance, from, to }
}

function refuse(problem: string): ParsedRule {
  return { ok: false, problem }
}

function parseCount(text: string): number | null {
  return /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : null
}

function parseChance(text: string): number | null {
  const value = /^\d(\.\d{1,30})?(e-\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
  return value >= 0 && value <= 1 ? value : null
}

type EffectKey = (typeof EFFECT_KEYS)[number]

/** How each effect reads its value; null when it cannot. */
const EFFECTS: Readonly<Record<EffectKey, (value: string) => FaultEffect | null>> = {
  error: (value) => (/^E[A-Z0-9]{1,30}$/.test(value) ? { kind: 'error', code: value } : null),
  delay: (value) => {
    const parsed = parseDuration(value)
    return parsed.ok ? { kind: 'delay', delayMs: parsed.value } : null
  },
  torn: (value) => (value === 'prefix' || value === 'subset' ? { kind: 'torn', shape: value } : null),
  flip: (value) => {
    const bits = parseCount(value)
    return bits !== null && bits >= 1 && bits <= FLIPPED_BITS_MAX ? { kind: 'flip', bits } : null
  },
  misdirect: (value) => {
    const bytes = parseCount(value.replace(/^-(?!0)/, ''))
    return bytes === null ? null : { kind: 'misdirect', bytes: value.startsWith('-') ? -bytes : bytes }
  },
  hang: (value) => (value === 'yes' ? { kind: 'hang' } : null),
  lost: (value) => (value === 'yes' ? { kind: 'lost' } : null),
  split: (value) => (value === 'yes' ? { kind: 'split' } : null),
}

/** The shortest text that parseFaultRule reads back as an equal rule. */
export function printFaultRule(rule: FaultRule): string {
  const parts: string[] = []
  if (rule.operation !== 'any') parts.push(`op=${rule.operation}`)
  if (rule.begin !== 0) parts.push(`begin=${rule.begin}`)
  if (rule.count !== 1) parts.push(`count=${rule.count === Infinity ? 'all' : rule.count}`)
  if (rule.chance !== 1) parts.push(`chance=${rule.chance}`)
  if (rule.from !== 0) parts.push(`from=${rule.from}`)
  if (rule.to !== Infinity) parts.push(`to=${rule.to}`)
  parts.push(printEffect(rule.effect))
  return `fault://${rule.target}?${parts.join('&')}`
}

function printEffect(effect: FaultEffect): string {
  switch (effect.kind) {
    case 'error':
      return `error=${effect.code}`
    case 'delay':
      return `delay=${printDuration(effect.delayMs)}`
    case 'torn':
      return `torn=${effect.shape}`
    case 'flip':
      return `flip=${effect.bits}`
    case 'misdirect':
      return `misdirect=${effect.bytes}`
    case 'hang':
    case 'lost':
    case 'split':
      return `${effect.kind}=yes`
  }
}
