// Proves: a batch counts only when the own log and the peers have it, in whatever order they answer; its memory is not
// used again before both have; and nothing is answered while leases have run out or a change of the register is open.
import type { BatchFrame, PeerCopies } from '../../../../csi-driver/engine/log-copies.ts'
import { PassingRequests } from '../../../../csi-driver/engine/passing-requests.ts'
import { REQUEST_OK } from '../../../../csi-driver/engine/request.ts'
import { ThroughPath } from '../../../../csi-driver/engine/through-path.ts'
import { WritePath } from '../../../../csi-driver/engine/write-path.ts'
import { aFlush, aRead, aWrite, makeCore, TestMachine, type TestRequest } from './harness.ts'

/** Peers whose answers a test gives. */
class HeldPeers implements PeerCopies {
  lease = true
  readonly appended: { readonly batchSeq: number; readonly bytes: Buffer; readonly done: () => void }[] = []
  readonly trimmed: number[] = []
  private frame: BatchFrame | null = null

  append(frame: BatchFrame, batchSeq: number, done: () => void): void {
    this.frame = frame
    this.appended.push({ batchSeq, bytes: Buffer.from(this.bytes()), done })
  }

  /** Of the batch given last, as they stand now. */
  bytes(): Buffer {
    const { buffer, start, headerBytes, payloadBytes } = this.frame as BatchFrame
    return buffer.subarray(start, start + headerBytes + payloadBytes)
  }

  trim(batchSeq: number, done: () => void): void {
    this.trimmed.push(batchSeq)
    done()
  }

  fetchBatch(_batchSeq: number, done: (error: Error | null, frame: Buffer | null) => void): void {
    done(new Error('not here'), null)
  }

  noticeSleep(): void {}

  leaseValid(): boolean {
    return this.lease
  }
}

async function rig() {
  const machine = new TestMachine()
  const core = await makeCore(machine)
  const peers = new HeldPeers()
  core.copies.peers = peers
  const failed: number[] = []
  const path = new WritePath(core, {
    onLoggedBefore: () => undefined,
    onCommitted: () => undefined,
    onLogFailed: (_error, writes) => failed.push(writes.length),
  })
  const write = (offset: number, fill: number): TestRequest => {
    const request = aWrite(offset, fill)
    path.addWrite(request, request.data, 0)
    path.kick()
    return request
  }
  return { machine, core, peers, path, write, failed }
}

describe('a batch', () => {
  test('is sent before the own write begins, which may take the thread', async () => {
    const { machine, peers, write } = await rig()
    machine.cache.hold('write')
    write(0, 1)
    expect(peers.appended.map(({ batchSeq }) => batchSeq)).toEqual([1])
    expect(machine.cache.held).toHaveLength(1)
  })

  test.each(['own log first', 'peers first'])('is acknowledged when both have it: %s', async (order) => {
    const { machine, core, peers, write } = await rig()
    machine.cache.hold('write')
    const request = write(0, 1)
    const steps = [() => machine.cache.completeAll(), () => peers.appended[0]?.done()]
    const [first, second] = order === 'own log first' ? steps : steps.toReversed()
    first?.()
    expect(request.result).toBe(null)
    expect(core.committedSeq).toBe(0)
    second?.()
    expect(request.result).toBe(REQUEST_OK)
    expect(core.committedSeq).toBe(1)
  })

  test('keeps its memory until the peers have it, also where the own log failed', async () => {
    const { machine, peers, write, failed } = await rig()
    machine.cache.fail('write')
    const request = write(0, 7)
    const sent = Buffer.from(peers.appended[0]?.bytes ?? Buffer.alloc(0))
    write(4096, 9)
    expect(failed).toEqual([])
    expect(peers.bytes().equals(sent)).toBe(true)
    peers.appended[0]?.done()
    expect(failed).toEqual([2])
    expect(request.result).toBe(null)
  })
})

describe('without a lease, or while a change of the register is open', () => {
  test.each(['lease', 'freeze'])(
    'a batch that is durable everywhere is neither answered nor seen: %s',
    async (what) => {
      const { core, peers, path, write } = await rig()
      const request = write(0, 1)
      if (what === 'lease') peers.lease = false
      else core.frozen = 1
      peers.appended[0]?.done()
      expect([request.result, core.committedSeq, core.index.find(0)]).toEqual([null, 0, 0])
      path.answerHeld()
      expect(request.result).toBe(null)
      peers.lease = true
      core.frozen = 0
      path.answerHeld()
      expect([request.result, core.committedSeq, core.index.find(0)]).toEqual([REQUEST_OK, 1, 1])
    },
  )

  test('reads and flushes wait, also those that have their data already', async () => {
    const { core, peers } = await rig()
    const started: unknown[] = []
    const through = new ThroughPath(core, () => undefined)
    const passing = new PassingRequests(core, through, (request) => started.push(request))
    const [read, flush, running] = [aRead(0), aFlush(), aRead(4096)]
    passing.submit(running)
    peers.lease = false
    passing.submit(read)
    passing.submit(flush)
    expect(passing.takesBack(running, false)).toBe(true)
    expect([started.length, flush.result, passing.count]).toEqual([1, null, 3])
    passing.release()
    expect(passing.count).toBe(3)
    peers.lease = true
    passing.release()
    expect(started).toEqual([running, read, running])
    expect([flush.result, passing.count]).toEqual([REQUEST_OK, 0])
  })

  test('a through-write that has reached the backing is not answered', async () => {
    const { machine, core, peers } = await rig()
    const through = new ThroughPath(core, () => undefined)
    machine.backing.hold('write')
    const request = aWrite(0, 1)
    through.start(request, request.data, 0)
    peers.lease = false
    machine.backing.letGo()
    expect([request.result, through.active, through.atBacking]).toEqual([null, 1, 0])
    expect(through.touches(0, 4096)).toBe(true)
    peers.lease = true
    through.answerHeld()
    expect([request.result, through.active]).toEqual([REQUEST_OK, 0])
  })
})
