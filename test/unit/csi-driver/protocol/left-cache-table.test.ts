// Proves that every combination of facts about a reader has exactly one row, that every row is reached, and that nobody but
// the node that the volume was moved to, with the key and a larger epoch, in its first life, is let at a left cache.
import { combinationsOf, decide, type FactDomain } from '../../../../csi-driver/protocol/decision-table.ts'
import { LEFT_CACHE_ROWS, type LeftCacheFacts } from '../../../../csi-driver/protocol/left-cache-table.ts'
import { idleOrDouble, undecided } from './tables.ts'

const FACTS: FactDomain<LeftCacheFacts> = {
  cache: ['here', 'none'],
  proof: ['right', 'wrong'],
  node: ['moved-to', 'other'],
  epoch: ['larger', 'not-larger'],
  before: ['nobody', 'reader'],
}

test('every combination has exactly one row, every row is reached', () => {
  expect([undecided(LEFT_CACHE_ROWS, FACTS), idleOrDouble(LEFT_CACHE_ROWS, FACTS)]).toEqual([[], []])
})

test('one combination is welcome', () => {
  const welcome = [...combinationsOf(FACTS)].filter((facts) => decide(LEFT_CACHE_ROWS, facts).then === 'welcome')
  expect(welcome).toEqual([{ cache: 'here', proof: 'right', node: 'moved-to', epoch: 'larger', before: 'nobody' }])
})
