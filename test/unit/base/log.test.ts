// Proves: scopes add fields, children share one memory, the memory is bounded.
import { MemoryEventLog, REMEMBERED_EVENTS_MAX, SILENT_LOG } from '../../../base/log.ts'

test('a child adds its fields; fields of the event win', () => {
  const log = new MemoryEventLog({ volume: 'v' })
  log.child({ epoch: 3 }).event('x.y', { epoch: 4, n: null }, 'warning')
  log.event('plain')
  expect(log.events).toEqual([
    { name: 'x.y', level: 'warning', fields: { volume: 'v', epoch: 4, n: null } },
    { name: 'plain', level: 'info', fields: { volume: 'v' } },
  ])
  expect(log.named('plain')).toHaveLength(1)
})

test('memory is bounded and keeps the newest', () => {
  const log = new MemoryEventLog()
  for (let i = 0; i <= REMEMBERED_EVENTS_MAX; i++) log.event('n', { i })
  expect(log.events.length).toBeLessThanOrEqual(REMEMBERED_EVENTS_MAX)
  expect(log.events.at(-1)?.fields['i']).toBe(REMEMBERED_EVENTS_MAX)
})

test('the silent log takes everything', () => {
  expect(() => SILENT_LOG.child({ a: 1 }).event('x', {}, 'error')).not.toThrow()
})
