// Proves that a record which leaves any log before it is durable on the backing is seen, and that one which is there, or
// stands later in the same log, or that nobody was promised, may go.
import { ClusterStage } from './cluster-stage.ts'
import { TrimOrderChecker } from './trim-order.ts'
import type { UserOperation } from '../../checkers/checker.ts'

function staged() {
  const stage = new ClusterStage()
  const { report, oracle, backing, first, second } = stage
  const checker = new TrimOrderChecker({ report, oracle, backing, copies: [first, second] })
  return { stage, checker }
}

function trim({ stage }: ReturnType<typeof staged>, { id, firstSector, sectors }: UserOperation): void {
  const records = [{ sector: firstSector, contents: Array.from({ length: sectors }, () => id) }]
  stage.second.onTrimmed([{ position: 0, bytes: 4096, batchSeq: 1, previousHash: 0n, headerHash: 1n, records }])
}

test('a record that is acknowledged and not on the backing may not go', () => {
  const { stage, checker } = staged()
  const write = stage.submit(8, 4)
  stage.acknowledge(write)
  trim({ stage, checker }, write)
  expect(stage.found).toEqual(['trim-order'])
  expect(checker.trimmed).toBe(1)
})

test('nor one that the backing has not flushed', async () => {
  const { stage, checker } = staged()
  const write = stage.submit(8, 4)
  stage.acknowledge(write)
  await stage.destage(write)
  trim({ stage, checker }, write)
  expect(stage.found).toEqual(['trim-order'])
})

test('one that is durable there may, or that stands later in the log, or that nobody was promised', () => {
  const { stage, checker } = staged()
  const durable = stage.submit(0, 1)
  stage.acknowledge(durable)
  stage.backing.durable.set(stage.backing.visible)
  const later = stage.submit(8, 1)
  stage.acknowledge(later)
  const newest = stage.submit(8, 1)
  stage.acknowledge(newest)
  stage.second.log(newest)
  const open = stage.submit(16, 1)
  trim({ stage, checker }, later)
  trim({ stage, checker }, open)
  expect(stage.found).toEqual([])
})

test('one before which something stands in the log that nobody will ever see may go', () => {
  const { stage, checker } = staged()
  const write = stage.submit(8, 1)
  stage.acknowledge(write)
  const lost = stage.submit(8, 1)
  stage.second.log(lost)
  stage.oracle.endedBefore(stage.world.tick(), [lost.id])
  stage.oracle.observed(8, write.id, stage.world.tick(), stage.world.tick(), true)
  trim({ stage, checker }, write)
  expect(stage.found).toEqual([])
})
