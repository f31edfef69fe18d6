// Proves: health says since when and why, per kind of operation, recovers by a success of that kind only, and logs
// changes rather than repeats.
import { IoError } from '../../../../base/errors.ts'
import { MemoryEventLog } from '../../../../base/log.ts'
import { BackingHealth } from '../../../../csi-driver/backing/health.ts'

function setUp() {
  const log = new MemoryEventLog()
  const clock = { nowMs: 1000, wallMs: () => clock.nowMs }
  return { log, clock, health: new BackingHealth(clock, log) }
}

test('failing since the first failure until a success of the same kind', () => {
  const { log, clock, health } = setUp()
  expect([health.failingSinceWallMs, health.lastError, health.full, health.consecutiveFailures]).toEqual([
    null,
    null,
    false,
    0,
  ])
  health.onFailure('write', new IoError('EIO', 'bad write'))
  clock.nowMs = 5000
  health.onFailure('write', new IoError('EIO', 'bad write'))
  health.onSuccess('read')
  expect([health.failingSinceWallMs, health.lastError, health.consecutiveFailures]).toEqual([1000, 'bad write', 2])
  expect(log.named('backing.failing')).toHaveLength(1)
  health.onSuccess('write')
  expect([health.failingSinceWallMs, health.lastError, health.consecutiveFailures]).toEqual([null, null, 0])
  expect(log.named('backing.recovered')[0]?.fields).toEqual({ operation: 'write', failures: 2, failedForMs: 4000 })
  expect(health.failures.write).toBe(2)
})

test.each(['ENOSPC', 'EDQUOT'])('%s on a write means a full thin backing', (code) => {
  const { log, health } = setUp()
  health.onFailure('write', new IoError(code, 'no room'))
  expect([health.full, health.lastError]).toEqual([true, 'thin backing full'])
  expect(log.named('backing.full')).toHaveLength(1)
  health.onSuccess('zero')
  expect(health.full).toBe(true)
  health.onSuccess('write')
  expect(health.full).toBe(false)
})

test('a write error is told before a read error; the oldest begin counts', () => {
  const { clock, health } = setUp()
  health.onFailure('read', new IoError('EIO', 'bad read'))
  clock.nowMs = 2000
  health.onFailure('write', new IoError('EIO', 'bad write'))
  expect([health.failingSinceWallMs, health.lastError]).toEqual([1000, 'bad write'])
})

test('not answering begins with the unanswered operation and ends once', () => {
  const { log, clock, health } = setUp()
  clock.nowMs = 60_000
  health.onNotAnswering(10_000)
  health.onNotAnswering(11_000)
  expect([health.notAnsweringSinceWallMs, health.lastError]).toEqual([50_000, 'backing does not answer'])
  health.onAnswering()
  health.onAnswering()
  expect(log.events.map(({ name }) => name)).toEqual(['backing.not_answering', 'backing.answering'])
})
