// Proves that the checker sees a write of an old epoch that lands while a newer one serves, and a volume that serves while
// the register lists somebody who is not fenced.
import { ClusterStage } from './cluster-stage.ts'
import { FencingChecker } from './fencing.ts'

function staged() {
  const stage = new ClusterStage()
  const checker = new FencingChecker({ report: stage.report, backing: stage.backing, record: () => stage.record })
  stage.backing.watchers.push(checker)
  const old = stage.process('old')
  checker.onServing({ epoch: 1, life: { process: old } })
  return { stage, checker, old }
}

test('the write of an owner lands while it is the newest', async () => {
  const { stage, old } = staged()
  await stage.destage(stage.submit(0, 4), old)
  expect(stage.found).toEqual([])
})

test('a write of an old owner that lands while a newer one serves is seen', async () => {
  const { stage, checker, old } = staged()
  const landing = stage.destage(stage.submit(0, 4), old)
  stage.change({ epoch: 2 })
  checker.onServing({ epoch: 2, life: { process: stage.process('new') } })
  await landing
  expect(stage.found).toEqual(['fencing'])
})

test('serving while somebody is not fenced is seen', () => {
  const { stage, checker } = staged()
  stage.change({ epoch: 2, unfenced: [{ node: 'host-a', epoch: 1 }] })
  checker.onServing({ epoch: 2, life: null })
  expect(stage.report.violations[0]?.message).toContain('host-a/1')
})
