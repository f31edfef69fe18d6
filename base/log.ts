// Events: a fixed name (`journal.recovery.torn_tail`) and fields with their units, one per change of state, none per
// I/O. The port every layer logs through; log-winston.ts prints, MemoryEventLog remembers for tests and the simulator.

export type LogLevel = 'debug' | 'info' | 'warning' | 'error'
export type LogFields = Readonly<Record<string, string | number | boolean | null>>

export interface EventLog {
  /** Never throws, never blocks. `level` is 'info' unless given. Fields of the event win over those of the scope. */
  event(name: string, fields?: LogFields, level?: LogLevel): void
  /** A scope: the same log with `fields` on every event (volume, epoch). */
  child(fields: LogFields): EventLog
}

export interface RememberedEvent {
  readonly name: string
  readonly level: LogLevel
  readonly fields: LogFields
}

/** Largest number of events a MemoryEventLog keeps; the oldest go first. */
export const REMEMBERED_EVENTS_MAX = 100_000

/** Keeps events in memory. Children write into the same list. */
export class MemoryEventLog implements EventLog {
  readonly events: RememberedEvent[]
  private readonly scope: LogFields

  constructor(scope: LogFields = {}, events: RememberedEvent[] = []) {
    this.scope = scope
    this.events = events
  }

  event(name: string, fields: LogFields = {}, level: LogLevel = 'info'): void {
    // Dropped by half, so that the cost per event stays constant.
    if (this.events.length >= REMEMBERED_EVENTS_MAX) this.events.splice(0, REMEMBERED_EVENTS_MAX / 2)
    this.events.push({ name, level, fields: { ...this.scope, ...fields } })
  }

  child(fields: LogFields): EventLog {
    return new MemoryEventLog({ ...this.scope, ...fields }, this.events)
  }

  /** Every remembered event of that name, oldest first. */
  named(name: string): RememberedEvent[] {
    return this.events.filter((event) => event.name === name)
  }
}

/** Drops everything: for code that is run without anybody to read it. */
export const SILENT_LOG: EventLog = {
  event() {},
  child() {
    return SILENT_LOG
  },
}
