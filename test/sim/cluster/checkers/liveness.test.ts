// Proves what a standstill may be excused by: only that no copy is left, and that the volume says so.
import { CacheError } from '../../../../base/errors.ts'
import { ClusterStage } from './cluster-stage.ts'
import { judgeStandstill, type Standstill } from './liveness.ts'

const BLOCKED = new CacheError('corrupt', 'CACHE_BLOCKED_NO_MEMBER', 'no copy of the newest writes can be reached')
const STANDSTILL: Standstill = {
  record: new ClusterStage().record,
  intactCopies: 0,
  refusals: [BLOCKED],
  state: 'nobody',
  stuck: '',
}

test('a loss that is said, with no copy left, is no violation', () => {
  expect(judgeStandstill(STANDSTILL)).toEqual({ excused: 'loss said: CACHE_BLOCKED_NO_MEMBER' })
  const serving = { ...STANDSTILL, refusals: [], stuck: 'read 7' }
  expect(judgeStandstill(serving)).toEqual({ excused: 'stalled without any copy' })
})

test.each([
  ['a copy is left', { intactCopies: 1 }],
  ['nothing is dirty', { record: new ClusterStage().change({ dirty: false, phase: 'WriteThrough' }) }],
  ['nobody says a loss', { refusals: [new CacheError('invalid', 'CACHE_NOT_FENCED', 'no answer')] }],
])('it is one where %s', (_what, change) => {
  expect(judgeStandstill({ ...STANDSTILL, ...change })).toHaveProperty('violation')
})
