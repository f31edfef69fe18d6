// The real event log: text or JSON lines through winston into a LineSink (stderr, see csi-driver/io/real/line-sink.ts).
// Never blocks the data path: the sink takes a line or refuses it, and refused lines are counted. A failing device
// repeats itself thousands of times a second, so events of one name are limited per interval; the first one after the
// pause says how many were suppressed. The only importer of winston.
import winston from 'winston'

import type { Clock } from './clock.ts'
import type { EventLog, LogFields, LogLevel } from './log.ts'
import type { Ms } from './units.ts'

/** Where finished lines go. Returns false, without waiting, when it has no room. */
export interface LineSink {
  write(line: string): boolean
}

export type LogFormat = 'text' | 'json'

export interface WinstonLogOptions {
  readonly format: LogFormat
  /** Events below it are dropped. */
  readonly level: LogLevel
  readonly clock: Pick<Clock, 'wallMs' | 'monotonicMs'>
  readonly sink: LineSink
}

/** Events of one name and level that pass within one interval; 'error' events count on their own. */
export const EVENTS_PER_INTERVAL = 20
export const LIMIT_INTERVAL_MS: Ms = 10_000
/** Names the limiter remembers; beyond it the memory is emptied, which at worst lets some more lines pass. */
const LIMITED_NAMES_MAX = 1_000

const LEVELS = { error: 0, warning: 1, info: 2, debug: 3 }
/** Under this symbol winston's formats leave the finished line (package triple-beam). */
const MESSAGE = Symbol.for('message')

export function createWinstonLog(options: WinstonLogOptions): EventLog {
  const { printf } = winston.format
  const print = options.format === 'json' ? printJson : printText
  const logger = winston.createLogger({
    levels: LEVELS,
    level: options.level,
    format: printf((info) => print(info as unknown as Printed)),
    transports: [new LineTransport(options.sink) as unknown as winston.transport],
  })
  return new WinstonEventLog(logger, new RepeatLimiter(options.clock), options.clock, {})
}

interface Printed {
  readonly level: string
  readonly message: string
  readonly wallMs: number
  readonly fields: LogFields
}

/** winston exports this class, its types (3.19) describe it wrongly. */
const { Transport } = winston as unknown as { Transport: new () => object }

class LineTransport extends Transport {
  private readonly sink: LineSink
  private refused = 0

  constructor(sink: LineSink) {
    super()
    this.sink = sink
  }

  log(info: unknown, next: () => void): void {
    const line = (info as Record<symbol, unknown>)[MESSAGE]
    if (this.refused > 0 && this.sink.write(`… ${this.refused} lines lost: the log was not read fast enough\n`))
      this.refused = 0
    if (!this.sink.write(`${String(line)}\n`)) this.refused++
    next()
  }
}

class WinstonEventLog implements EventLog {
  private readonly logger: winston.Logger
  private readonly limiter: RepeatLimiter
  private readonly clock: Pick<Clock, 'wallMs'>
  private readonly scope: LogFields

  constructor(logger: winston.Logger, limiter: RepeatLimiter, clock: Pick<Clock, 'wallMs'>, scope: LogFields) {
    this.logger = logger
    this.limiter = limiter
    this.clock = clock
    this.scope = scope
  }

  event(name: string, fields: LogFields = {}, level: LogLevel = 'info'): void {
    const suppressed = this.limiter.pass(`${level} ${name}`)
    if (suppressed < 0) return
    const all = { ...this.scope, ...fields, ...(suppressed > 0 ? { suppressed } : {}) }
    this.logger.log({ level, message: name, wallMs: this.clock.wallMs(), fields: all })
  }

  child(fields: LogFields): EventLog {
    return new WinstonEventLog(this.logger, this.limiter, this.clock, { ...this.scope, ...fields })
  }
}

/** Lets EVENTS_PER_INTERVAL repeats of a key pass per LIMIT_INTERVAL_MS. */
export class RepeatLimiter {
  private readonly clock: Pick<Clock, 'monotonicMs'>
  private readonly states = new Map<string, { startMs: Ms; passed: number; suppressed: number }>()

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.clock = clock
  }

  /** −1: suppress this one; otherwise let it pass: the number suppressed since the last one that passed. */
  pass(key: string): number {
    const nowMs = this.clock.monotonicMs()
    const state = this.states.get(key)
    if (state === undefined || nowMs - state.startMs >= LIMIT_INTERVAL_MS) {
      if (this.states.size >= LIMITED_NAMES_MAX) this.states.clear()
      this.states.set(key, { startMs: nowMs, passed: 1, suppressed: 0 })
      return state?.suppressed ?? 0
    }
    if (state.passed < EVENTS_PER_INTERVAL) {
      state.passed++
      return 0
    }
    state.suppressed++
    return -1
  }
}

function printJson({ level, message, wallMs, fields }: Printed): string {
  return JSON.stringify({ time: printTime(wallMs), level, event: message, ...fields })
}

function printText({ level, message, wallMs, fields }: Printed): string {
  let line = `${printTime(wallMs)} ${level.padEnd(7)} ${message}`
  for (const [name, value] of Object.entries(fields)) line += ` ${name}=${quoteValue(value)}`
  return line
}

/** Values that could be misread, or could forge a line, are quoted. */
function quoteValue(value: string | number | boolean | null): string {
  if (typeof value !== 'string') return String(value)
  return /^[\w./:@%+,-]+$/.test(value) ? value : JSON.stringify(value)
}

/** ISO 8601 in UTC with milliseconds, computed here because Date stands for asking the time. */
function printTime(wallMs: Ms): string {
  const days = Math.floor(wallMs / 86_400_000)
  const { year, month, day } = civilDate(days)
  const ms = Math.floor(wallMs - days * 86_400_000)
  const two = (value: number): string => String(value).padStart(2, '0')
  const clock = `${two(Math.floor(ms / 3_600_000))}:${two(Math.floor(ms / 60_000) % 60)}:${two(Math.floor(ms / 1000) % 60)}`
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}T${clock}.${String(ms % 1000).padStart(3, '0')}Z`
}

/** Proleptic Gregorian date of a day count since 1970-01-01, in 400-year eras that begin on 1 March. */
function civilDate(days: number): { year: number; month: number; day: number } {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1
  return { year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day }
}
