// Proves that a read is not answered under a lease from before a sleep of the host, whenever in a turn of the loop that
// sleep was: the boot clock is looked at before the first request of a turn, and again when wall time has jumped.
import type { EngineCore } from '../../../../csi-driver/engine/engine-core.ts'
import type { PeerCopies } from '../../../../csi-driver/engine/log-copies.ts'
import { PassingRequests } from '../../../../csi-driver/engine/passing-requests.ts'
import { ThroughPath } from '../../../../csi-driver/engine/through-path.ts'
import { aRead, makeCore, settle, TestMachine, type TestRequest } from './harness.ts'

interface Kit {
  readonly core: EngineCore
  readonly passing: PassingRequests
  readonly started: TestRequest[]
  readonly peers: PeerCopies & { looks: number }
  /** All clocks but the monotonic one move on. */
  readonly sleep: (ms: number) => void
}

async function kit(): Promise<Kit> {
  const machine = new TestMachine()
  const { time } = machine
  let sleptMs = 0
  let seenMs = 0
  let isLeased = true
  const wallMs = time.wallMs.bind(time)
  time.wallMs = () => wallMs() + sleptMs
  time.bootMs = () => time.nowMs + sleptMs
  const core = await makeCore(machine)
  const peers = {
    looks: 0,
    append: () => {},
    trim: () => {},
    fetchBatch: () => {},
    noticeSleep() {
      peers.looks += 1
      const offsetMs = time.bootMs() - time.monotonicMs()
      if (offsetMs > seenMs) isLeased = false
      seenMs = offsetMs
    },
    leaseValid: () => isLeased,
  }
  core.copies.peers = peers
  const started: TestRequest[] = []
  const passing = new PassingRequests(core, new ThroughPath(core, () => {}), (request) => {
    started.push(request as TestRequest)
  })
  return { core, passing, started, peers, sleep: (ms) => void (sleptMs += ms) }
}

test('a sleep between two requests of one turn is noticed before the second', async () => {
  const { passing, started, sleep } = await kit()
  const [before, after] = [aRead(0), aRead(4096)]
  passing.submit(before)
  sleep(10_000)
  passing.submit(after)
  expect(started).toEqual([before])
  expect(passing.count).toBe(1)
})

test('a sleep while a read is under way is noticed before it is answered', async () => {
  const { passing, sleep } = await kit()
  const read = aRead(0)
  passing.submit(read)
  sleep(10_000)
  expect(passing.takesBack(read, false)).toBe(true)
})

test('the boot clock is looked at once per turn, and once more where wall time has jumped, also backwards', async () => {
  const { passing, peers, sleep } = await kit()
  for (let i = 0; i < 10; i += 1) passing.submit(aRead(i * 4096))
  expect(peers.looks).toBe(1)
  sleep(-3_600_000)
  for (let i = 0; i < 10; i += 1) passing.submit(aRead(i * 4096))
  expect(peers.looks).toBe(2)
  await settle()
  for (let i = 0; i < 10; i += 1) passing.submit(aRead(i * 4096))
  expect(peers.looks).toBe(3)
})
