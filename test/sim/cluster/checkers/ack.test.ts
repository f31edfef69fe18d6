// Proves that an acknowledgement is seen which counts a member that lost its content before the write was submitted.
import { ClusterAckChecker } from './ack.ts'
import { ClusterStage } from './cluster-stage.ts'

function staged(beyondBudget = false) {
  const stage = new ClusterStage()
  const destroyed = new Map<string, number>()
  const checker = new ClusterAckChecker({
    report: stage.report,
    record: () => stage.record,
    destroyedAt: ({ storeUuid }) => destroyed.get(storeUuid),
    beyondBudget,
  })
  const lose = (): unknown => destroyed.set('b'.repeat(32), stage.world.tick())
  return { stage, checker, lose }
}

test('a write that came after the loss is seen', () => {
  const { stage, checker, lose } = staged()
  lose()
  checker.onAcknowledge({ epoch: 1 }, stage.submit(0, 1))
  expect(stage.found).toEqual(['ack'])
})

test('one that came before it is not: the member may have held it', () => {
  const { stage, checker, lose } = staged()
  const write = stage.submit(0, 1)
  lose()
  checker.onAcknowledge({ epoch: 1 }, write)
  expect(stage.found).toEqual([])
})

test('nor is one of another phase or epoch, after the removal, or beyond the budget', () => {
  const { stage, checker, lose } = staged()
  lose()
  checker.onAcknowledge({ epoch: 2 }, stage.submit(0, 1))
  stage.change({ phase: 'WriteThrough' })
  checker.onAcknowledge({ epoch: 1 }, stage.submit(0, 1))
  stage.change({ phase: 'WriteBack', members: stage.record.members.slice(0, 1) })
  checker.onAcknowledge({ epoch: 1 }, stage.submit(0, 1))
  const beyond = staged(true)
  beyond.lose()
  beyond.checker.onAcknowledge({ epoch: 1 }, beyond.stage.submit(0, 1))
  expect([...stage.found, ...beyond.stage.found]).toEqual([])
})
