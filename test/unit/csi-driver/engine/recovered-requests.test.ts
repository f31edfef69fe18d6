// What the log holds of unanswered requests, by session and number.
import { BatchBuilder } from '../../../../csi-driver/batch/batch-builder.ts'
import { BatchView } from '../../../../csi-driver/batch/batch-view.ts'
import { RecoveredRequests } from '../../../../csi-driver/engine/recovered-requests.ts'
import { aWrite, heapMemory, type TestRequest } from './harness.ts'

/** A batch with one record for each number; the first record has `firstSeq`. */
function aBatch(
  session: bigint,
  firstSeq: number,
  ackedSeq: number,
  uniques: readonly [low: number, high: number][],
): BatchView {
  const builder = new BatchBuilder(heapMemory)
  for (const [low, high] of uniques) {
    builder.addWrite({ sector: 0, buffer: Buffer.alloc(512), start: 0, length: 512, uniqueLow: low, uniqueHigh: high })
  }
  const zeros = Buffer.alloc(16)
  builder.seal({
    volumeUuid: zeros,
    logUuid: zeros,
    epoch: 1,
    run: 1,
    batchSeq: 1,
    firstSeq,
    ackedSeq,
    trimSeq: 0,
    previousHash: 0n,
    wallMs: 0,
    session,
  })
  const view = new BatchView()
  expect(view.parse(builder.buffer, builder.frameStart, builder.frameBytes)).toBe('ok')
  return view
}

function named(low: number, high = 0, resent = true): TestRequest {
  const request = aWrite(0, 0, 512)
  request.uniqueLow = low
  request.uniqueHigh = high
  request.resent = resent
  return request
}

test('a re-sent request of this session is found by its whole number', () => {
  const recovered = new RecoveredRequests(7n)
  recovered.note(
    aBatch(7n, 10, 0, [
      [3, 0],
      [3, 1],
      [0xffff_fffe, 0x7fff_ffff],
    ]),
  )
  expect(recovered.seqOf(named(3))).toBe(10)
  expect(recovered.seqOf(named(3, 1))).toBe(11)
  expect(recovered.seqOf(named(0xffff_fffe, 0x7fff_ffff))).toBe(12)
  expect(recovered.seqOf(named(4))).toBe(0)
  expect(recovered.seqOf(named(3, 0, false))).toBe(0)
  expect([recovered.count, recovered.lowestSeq()]).toEqual([3, 10])
})

test('other sessions and requests without a name are not recognised', () => {
  const recovered = new RecoveredRequests(7n)
  recovered.note(aBatch(8n, 1, 0, [[3, 0]]))
  recovered.note(aBatch(7n, 2, 0, [[0, 0]]))
  expect([recovered.count, recovered.lowestSeq()]).toEqual([0, Infinity])
  const nameless = new RecoveredRequests(0n)
  nameless.note(aBatch(0n, 1, 0, [[3, 0]]))
  expect(nameless.count).toBe(0)
})

test('what a later batch says to be answered is forgotten', () => {
  const recovered = new RecoveredRequests(7n)
  recovered.note(
    aBatch(7n, 1, 0, [
      [3, 0],
      [5, 0],
    ]),
  )
  recovered.note(aBatch(9n, 3, 1, [[7, 0]]))
  expect([recovered.seqOf(named(3)), recovered.seqOf(named(5))]).toEqual([0, 2])
  expect(recovered.lowestSeq()).toBe(2)
  recovered.clear()
  expect([recovered.count, recovered.lowestSeq()]).toEqual([0, Infinity])
})
