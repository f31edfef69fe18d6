// Proves: lines are parseable and cannot be forged, levels filter, repeats are limited and counted, and a sink that
// has no room costs lines but neither time nor an exception.
import { createWinstonLog, EVENTS_PER_INTERVAL, LIMIT_INTERVAL_MS } from '../../../base/log-winston.ts'
import type { LogFormat } from '../../../base/log-winston.ts'
import type { LogLevel } from '../../../base/log.ts'

function setUp(format: LogFormat, level: LogLevel = 'info') {
  const lines: string[] = []
  const state = { nowMs: 0, wallMs: Date.UTC(2024, 1, 29, 23, 59, 58, 7), room: true }
  const clock = { monotonicMs: () => state.nowMs, wallMs: () => state.wallMs }
  const sink = { write: (line: string) => state.room && lines.push(line) > 0 }
  return { log: createWinstonLog({ format, level, clock, sink }), lines, state }
}

test('text lines', () => {
  const { log, lines } = setUp('text')
  log
    .child({ volume: 'v1' })
    .event('engine.started', { path: '/dev/x', note: 'a b\nforged', n: 3, ok: true }, 'warning')
  expect(lines).toEqual([
    '2024-02-29T23:59:58.007Z warning engine.started volume=v1 path=/dev/x note="a b\\nforged" n=3 ok=true\n',
  ])
})

test('json lines', () => {
  const { log, lines } = setUp('json')
  log.event('a.b', { note: 'x\ny', n: null })
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/\n$/)
  expect(JSON.parse(lines[0] as string)).toEqual({
    time: '2024-02-29T23:59:58.007Z',
    level: 'info',
    event: 'a.b',
    note: 'x\ny',
    n: null,
  })
})

test('times agree with Date over centuries', () => {
  const { log, lines, state } = setUp('json')
  for (let year = 1970; year < 2200; year += 1) {
    for (const [month, day] of [
      [0, 1],
      [1, 28],
      [2, 1],
      [11, 31],
    ] as const) {
      state.nowMs += LIMIT_INTERVAL_MS
      state.wallMs = Date.UTC(year, month, day, 12, 34, 56, 789)
      log.event('t')
      expect(JSON.parse(lines.at(-1) as string).time).toBe(new Date(state.wallMs).toISOString())
    }
  }
})

test('levels below the limit are dropped', () => {
  const { log, lines } = setUp('text', 'warning')
  log.event('a', {}, 'debug')
  log.event('b', {}, 'info')
  log.event('c', {}, 'error')
  expect(lines).toHaveLength(1)
})

test('repeats are limited per name and the suppressed ones counted', () => {
  const { log, lines, state } = setUp('json')
  for (let i = 0; i < EVENTS_PER_INTERVAL + 5; i++) log.event('same')
  log.event('other')
  expect(lines).toHaveLength(EVENTS_PER_INTERVAL + 1)
  state.nowMs += LIMIT_INTERVAL_MS
  log.event('same')
  expect(JSON.parse(lines.at(-1) as string)).toMatchObject({ event: 'same', suppressed: 5 })
  state.nowMs += LIMIT_INTERVAL_MS
  log.event('same')
  expect(JSON.parse(lines.at(-1) as string)).not.toHaveProperty('suppressed')
})

test('a full sink loses lines and says how many', () => {
  const { log, lines, state } = setUp('text')
  state.room = false
  log.event('a')
  log.event('b')
  expect(lines).toEqual([])
  state.room = true
  log.event('c')
  expect(lines).toHaveLength(2)
  expect(lines[0]).toContain('2 lines lost')
})
