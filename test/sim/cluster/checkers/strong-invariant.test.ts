// Proves that the strong invariant is looked at in every state: a listed copy that lacks an acknowledged write is seen,
// and so is one with an older version over the backing, one under another name, one that is nowhere, a clean volume whose
// backing lacks a write, and a backing that would lose it with the power.
import { ClusterStage, OTHER_LOG_UUID } from './cluster-stage.ts'
import { StrongInvariantChecker } from './strong-invariant.ts'

function staged(destroyed: readonly string[] = [], beyondBudget = false) {
  const stage = new ClusterStage()
  const checker = new StrongInvariantChecker({
    world: stage.world,
    report: stage.report,
    oracle: stage.oracle,
    backing: stage.backing,
    copies: [stage.first, stage.second],
    record: () => stage.record,
    isDestroyed: ({ node }) => destroyed.includes(node),
    beyondBudget,
  })
  stage.backing.watchers.push(checker)
  checker.afterEvent()
  return { stage, checker }
}

/** The write is in both logs, or in those that are given, and acknowledged. */
function acknowledged(
  { stage, checker }: ReturnType<typeof staged>,
  copies = [stage.first, stage.second],
  place = { firstSector: 8, sectors: 4 },
) {
  const write = stage.submit(place.firstSector, place.sectors)
  for (const copy of copies) copy.log(write)
  stage.acknowledge(write)
  checker.onAnswer({} as never, write)
  checker.afterEvent()
  return write
}

test('every copy holds every acknowledged write: nothing is said', () => {
  const { stage, checker } = staged()
  acknowledged({ stage, checker })
  expect(stage.found).toEqual([])
  expect(checker.looks).toBeGreaterThan(0)
})

test('a write that one listed copy lacks is seen when it is acknowledged', () => {
  const { stage, checker } = staged()
  acknowledged({ stage, checker }, [stage.first])
  expect(stage.found).toEqual(['strong-invariant'])
  expect(stage.report.violations[0]?.message).toContain('host-b')
})

test('a copy whose content a fault took away is not asked, nor is anybody beyond the budget', () => {
  for (const { stage, checker } of [staged(['host-b']), staged([], true)]) {
    acknowledged({ stage, checker }, [stage.first])
    expect(stage.found).toEqual([])
  }
})

test('a write that has gone from a log before it is on the backing is seen', () => {
  const { stage, checker } = staged()
  acknowledged({ stage, checker })
  stage.second.content.fill(-3)
  stage.second.onTouched(9)
  checker.afterEvent()
  expect(stage.found).toEqual(['strong-invariant'])
})

test('an older version in a log over a newer one on the backing is seen', async () => {
  const { stage, checker } = staged()
  acknowledged({ stage, checker })
  const through = stage.submit(8, 4)
  await stage.destage(through)
  stage.acknowledge(through)
  checker.onAnswer({} as never, through)
  checker.afterEvent()
  // Of both copies.
  expect(stage.found).toEqual(['strong-invariant', 'strong-invariant'])
})

test('a listed copy under another name, or nowhere, is seen', () => {
  const other = staged()
  other.stage.change({ logUuid: OTHER_LOG_UUID })
  other.checker.afterEvent()
  expect(other.stage.found).toContain('strong-invariant')
  const gone = staged()
  gone.stage.second.head = null
  gone.stage.second.onHead()
  gone.checker.afterEvent()
  expect(gone.stage.report.violations[0]?.message).toContain('is nowhere')
})

test('dirty=false while only logs hold a write is seen', () => {
  const { stage, checker } = staged()
  acknowledged({ stage, checker })
  stage.change({ dirty: false, phase: 'WriteThrough' })
  checker.afterEvent()
  expect(stage.report.violations[0]?.message).toContain('dirty=false')
})

test('a write that only the cache of the backing holds is seen, since the power may go', async () => {
  const { stage, checker } = staged()
  const write = acknowledged({ stage, checker })
  await stage.destage(write)
  checker.afterEvent()
  expect(stage.found).toEqual([])
  for (const copy of [stage.first, stage.second]) {
    copy.content.fill(-3)
    for (let sector = 8; sector < 12; sector++) copy.onTouched(sector)
  }
  checker.afterEvent()
  expect(stage.report.violations[0]?.message).toContain('after a power cut')
})
