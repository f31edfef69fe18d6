// Proves that every miss has exactly one source, that every row is reached, and that the cache of the owner before is never
// asked for what was written, without permission, or before it is found; before its trial it answers nothing.
import { combinationsOf, decide, type FactDomain } from '../../../../../csi-driver/protocol/decision-table.ts'
import { SOURCE_ROWS, type SourceFacts } from '../../../../../csi-driver/engine/previous-cache/source-table.ts'
import { idleOrDouble, undecided } from '../../protocol/tables.ts'

const FACTS: FactDomain<SourceFacts> = {
  stage: ['closed', 'trial', 'open'],
  permitted: [true, false],
  written: ['none', 'some'],
  size: ['fits', 'large'],
  room: [true, false],
  pace: ['faster', 'slower'],
  probe: [true, false],
}

test('every combination has exactly one row, every row is reached', () => {
  expect([undecided(SOURCE_ROWS, FACTS), idleOrDouble(SOURCE_ROWS, FACTS)]).toEqual([[], []])
})

test('what may be asked, and what answers a read', () => {
  for (const facts of combinationsOf(FACTS)) {
    const { then } = decide(SOURCE_ROWS, facts)
    if (then === 'backing') continue
    expect(facts).toMatchObject({ permitted: true, written: 'none', size: 'fits', room: true })
    expect(facts.stage).not.toBe('closed')
    if (then === 'previous') expect(facts).toMatchObject({ stage: 'open', pace: 'faster', probe: false })
  }
})
