// Proves that the checker sees epochs that go back, two holders of one epoch, a run that comes twice, and an old owner
// that acknowledges while a newer one serves; and that an owner without any other member is bound by no lease.
import { ClusterStage } from './cluster-stage.ts'
import { OneWriterChecker } from './one-writer.ts'

function staged() {
  const stage = new ClusterStage()
  const checker = new OneWriterChecker(stage.report)
  checker.onRegister(stage.record)
  return { stage, checker }
}

test('owners that follow one another are fine', () => {
  const { stage, checker } = staged()
  checker.onServing({ epoch: 1, run: 1, number: 1 })
  checker.onAcknowledge({ epoch: 1, run: 1, number: 1 }, stage.submit(0, 1))
  checker.onServing({ epoch: 1, run: 2, number: 1 })
  checker.onRegister(stage.change({ epoch: 2 }))
  checker.onAcknowledge({ epoch: 1, run: 2, number: 1 }, stage.submit(0, 1))
  checker.onServing({ epoch: 2, run: 1, number: 2 })
  checker.onAcknowledge({ epoch: 2, run: 1, number: 2 }, stage.submit(0, 1))
  expect(stage.found).toEqual([])
})

test('an old owner that acknowledges while a newer one serves is seen', () => {
  const { stage, checker } = staged()
  checker.onServing({ epoch: 1, run: 1, number: 1 })
  checker.onRegister(stage.change({ epoch: 2 }))
  checker.onServing({ epoch: 2, run: 1, number: 2 })
  checker.onAcknowledge({ epoch: 1, run: 1, number: 1 }, stage.submit(0, 1))
  expect(stage.found).toEqual(['one-writer'])
})

test('not where the old owner was the only member: its through-writes ended before its fence', () => {
  const { stage, checker } = staged()
  checker.onRegister(stage.change({ members: stage.record.members.slice(0, 1) }))
  checker.onServing({ epoch: 1, run: 1, number: 1 })
  checker.onRegister(stage.change({ epoch: 2 }))
  checker.onServing({ epoch: 2, run: 1, number: 2 })
  checker.onAcknowledge({ epoch: 1, run: 1, number: 1 }, stage.submit(0, 1))
  expect(stage.found).toEqual([])
})

test.each([
  ['a register that goes back', (c: OneWriterChecker, s: ClusterStage) => c.onRegister(s.change({ epoch: 0 }))],
  ['an epoch that the register does not know', (c: OneWriterChecker) => c.onServing({ epoch: 7, run: 1, number: 2 })],
  ['two holders of an epoch', (c: OneWriterChecker) => c.onServing({ epoch: 1, run: 9, number: 2 })],
  ['a run that was there', (c: OneWriterChecker) => c.onServing({ epoch: 1, run: 1, number: 1 })],
])('%s is seen', (_what, happen) => {
  const { stage, checker } = staged()
  checker.onServing({ epoch: 1, run: 1, number: 1 })
  happen(checker, stage)
  expect(stage.found).toEqual(['one-writer'])
})
