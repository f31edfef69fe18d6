// Proves: each refusal is counted; the log has the first one of a node and code, then one a minute that says how many
// were left out, with texts cut to a length; and what is remembered for that is bounded.
import { CacheError, IoError } from '../../../../../base/errors.ts'
import { MemoryEventLog } from '../../../../../base/log.ts'
import {
  LOGGED_TEXT_MAX,
  REFUSAL_LOG_INTERVAL_MS,
  REFUSALS_REMEMBERED_MAX,
} from '../../../../../csi-driver/replica/receiver/limits.ts'
import { RefusalLog, storeRefusal } from '../../../../../csi-driver/replica/receiver/refusals.ts'
import { TestTime } from '../../engine/test-time.ts'

function fresh() {
  const log = new MemoryEventLog()
  const time = new TestTime()
  const refusals = new RefusalLog({ log, clock: time })
  const note = (node: string, code: 'proof' | 'gap', message = 'no'): void =>
    refusals.note({ node, remote: '10.0.0.1:7', volume: '' }, { code, message })
  return { log, time, refusals, note }
}

test('one line for a node and code, then one a minute with the number left out', () => {
  const { log, time, refusals, note } = fresh()
  for (let i = 0; i < 1000; i++) note('node-x', 'proof')
  note('node-x', 'gap')
  note('node-y', 'proof')
  expect(log.events.length).toBe(3)
  time.nowMs += REFUSAL_LOG_INTERVAL_MS
  note('node-x', 'proof')
  expect(log.events.at(-1)).toMatchObject({ level: 'warning', fields: { node: 'node-x', code: 'proof', leftOut: 999 } })
  expect(Object.fromEntries(refusals.counts)).toEqual({ proof: 1002, gap: 1 })
})

test('long texts are cut, and nodes without end do not fill the memory', () => {
  const { log, note } = fresh()
  note('node-0', 'proof', 'x'.repeat(10_000))
  expect(String(log.events[0]?.fields['reason']).length).toBe(LOGGED_TEXT_MAX + 1)
  for (let i = 1; i <= REFUSALS_REMEMBERED_MAX; i++) note(`node-${i}`, 'proof')
  // The oldest one was forgotten, so it is logged again; a late one is not.
  const logged = log.events.length
  note(`node-${REFUSALS_REMEMBERED_MAX}`, 'proof')
  expect(log.events.length).toBe(logged)
  note('node-0', 'proof')
  expect(log.events.length).toBe(logged + 1)
})

test.each([
  [new CacheError('full', 'CACHE_STORE_FULL', 'no room'), 'full'],
  [new CacheError('corrupt', 'CACHE_STORE_DAMAGED', 'damaged'), 'corrupt'],
  [new CacheError('invalid', 'CACHE_STORE_ORDER', 'not so'), 'not-held'],
  [new CacheError('retry', 'CACHE_STORE_CLOSED', 'closing'), 'stopping'],
  [new IoError('EIO', 'write failed'), 'io'],
  [new Error('anything'), 'io'],
])('%s of the store is refused as %s', (error, code) => {
  expect(storeRefusal(error).code).toBe(code)
})
