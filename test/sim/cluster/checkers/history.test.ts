// Proves that ownerships divide the history: a write of an old owner's user that was open when a newer owner began to
// serve may turn up before that, and travels in time afterwards.
import { ClusterStage } from './cluster-stage.ts'
import { HistoryChecker } from './history.ts'

function staged() {
  const stage = new ClusterStage()
  const outstanding = new Map<number, unknown>()
  const checker = new HistoryChecker({
    world: stage.world,
    oracle: stage.oracle,
    holders: [
      { epoch: 1, frontEnd: { outstanding } },
      { epoch: 0, frontEnd: { outstanding: new Map() } },
    ],
  })
  const write = stage.submit(8, 1)
  outstanding.set(write.id, write)
  return { stage, checker, write }
}

test('what the new owner found may be the open write', () => {
  const { stage, checker, write } = staged()
  checker.onServing({ epoch: 2 })
  const now = stage.world.tick()
  expect(stage.oracle.observed(8, write.id, now, stage.world.tick(), true)).toBeNull()
})

test('a write that turns up after a newer one of the new owner is seen', () => {
  const { stage, checker, write } = staged()
  checker.onServing({ epoch: 2 })
  stage.acknowledge(stage.submit(8, 1))
  const illegal = stage.oracle.observed(8, write.id, stage.world.tick(), stage.world.tick(), true)
  expect(illegal?.reason).toBe('lost')
})

test('without a new owner the two writes may come in either order', () => {
  const { stage, write } = staged()
  stage.acknowledge(stage.submit(8, 1))
  expect(stage.oracle.observed(8, write.id, stage.world.tick(), stage.world.tick(), true)).toBeNull()
})
