// Proves: what one node has begun to send and does not go on with keeps others of that node waiting and nobody else; room
// in a share goes to who waits for it first, past those who have gone; one body is always allowed; nothing is remembered
// of nodes that have nothing.
import { KIB, MIB } from '../../../../../base/units.ts'
import { BegunBodies } from '../../../../../csi-driver/replica/receiver/begun-bodies.ts'
import { BodyPool } from '../../../../../csi-driver/replica/receiver/body-pool.ts'
import { heapMemory } from '../../batch/batch-kit.ts'
import { settle, TestTime } from '../../engine/test-time.ts'
import { Rig, TestLog } from './receiver-kit.ts'

const LARGEST = 64 * KIB
const SHARE = 2 * LARGEST

function bodies(): { pool: BodyPool; begun: BegunBodies; time: TestTime } {
  const timers = new TestTime()
  const pool = new BodyPool({ memory: heapMemory, timers }, { bufferBytesMax: LARGEST, bytesMax: 8 * LARGEST })
  return { pool, begun: new BegunBodies({ pool, timers }, SHARE), time: timers }
}

function taken(begun: BegunBodies, node: string): Buffer {
  const buffer = begun.take(node, LARGEST)
  if (buffer === null) throw new Error(`no room for ${node}`)
  return buffer
}

test('a share is a limit for its node, whatever the pool has, and for no other', () => {
  const { begun } = bodies()
  taken(begun, 'a')
  const second = taken(begun, 'a')
  expect(begun.take('a', LARGEST)).toBeNull()
  taken(begun, 'b')
  begun.ended('a', second)
  taken(begun, 'a')
})

test('one body is always allowed', () => {
  const timers = new TestTime()
  const pool = new BodyPool({ memory: heapMemory, timers }, { bufferBytesMax: LARGEST, bytesMax: 8 * LARGEST })
  expect(() => new BegunBodies({ pool, timers }, LARGEST - 1)).toThrow('nodeBytesMax')
  expect(new BegunBodies({ pool, timers }, LARGEST).take('a', LARGEST)?.length).toBe(LARGEST)
})

test('who waits for room in a share is called in order, past who has gone', async () => {
  const { begun, pool } = bodies()
  const [first, second] = [taken(begun, 'a'), taken(begun, 'a')]
  const called: string[] = []
  begun.wait('a', LARGEST, () => {
    called.push('gone')
    begun.passOn('a', LARGEST)
  })
  begun.wait('a', LARGEST, () => called.push('waiting'))
  begun.wait('a', LARGEST, () => called.push('last'))
  begun.givenUp('a', first)
  await settle()
  expect(called).toEqual(['gone', 'waiting'])
  begun.ended('a', second)
  await settle()
  expect(called).toEqual(['gone', 'waiting', 'last'])
  expect(pool.usedBytes).toBe(second.length)
})

test('without room in the pool its waiters are called when some is given back', async () => {
  const { begun, pool } = bodies()
  const held = Array.from({ length: 4 }, (_, index) => taken(begun, `node-${index}`))
  expect(begun.take('x', LARGEST)).toBeNull()
  let called = false
  begun.wait('x', LARGEST, () => (called = true))
  pool.give(held[0] as Buffer)
  await settle()
  expect(called).toBe(true)
  taken(begun, 'x')
})

test('connections that begin bodies and go silent keep no other node from its writes', async () => {
  const limits = { bodyBytesMax: 16 * MIB, begunBytesPerNodeMax: 5 * MIB }
  const rig = await Rig.start({ limits })
  const [one, two, three, other] = ['1', '2', '3', '4'].map((digit) => new TestLog(1, digit.repeat(32)))
  if (one === undefined || two === undefined || three === undefined || other === undefined) return
  const named = (log: TestLog): { volume: string } => ({ volume: `volume-${log.volumeUuid[0]}` })
  const [silent, slow, waiting] = [
    await rig.learned(one, named(one)),
    await rig.learned(two, named(two)),
    await rig.learned(three, named(three)),
  ]
  const honest = await rig.learned(other, named(other), 'node-b')
  const slowly = slow.frame(two.next(MIB + MIB / 2))
  silent.stream.deliver(silent.frame(one.next(MIB + MIB / 2)).subarray(0, 1000))
  slow.stream.deliver(slowly.subarray(0, 1000))
  waiting.send(three.next(MIB + MIB / 2))
  honest.send(other.next(MIB + MIB / 2))
  await settle()
  expect(waiting.stream.isPaused).toBe(true)
  expect(honest.heard).toEqual(['APPENDED'])
  slow.stream.deliver(slowly.subarray(1000))
  await settle()
  expect([slow.heard, waiting.heard]).toEqual([['APPENDED'], ['APPENDED']])
})
