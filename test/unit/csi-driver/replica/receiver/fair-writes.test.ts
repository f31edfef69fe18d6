// Proves: turns go round among the volumes that have something to write, however much one of them has; the bytes in
// flight keep their limit; a greedy volume's stream stands still while another one's writes and heartbeats go through;
// and when no memory is left, streams wait for it and go on.
import { MIB } from '../../../../../base/units.ts'
import { FairWrites, type Writer } from '../../../../../csi-driver/replica/receiver/fair-writes.ts'
import { Rig, settle, type TestEngine, TestLog } from './receiver-kit.ts'

class TestWriter implements Writer {
  writeBytes = 10
  readonly name: string
  private readonly begun: string[]

  constructor(name: string, begun: string[]) {
    this.name = name
    this.begun = begun
  }

  beginWrite(): void {
    this.begun.push(this.name)
  }
}

test('round and round, within the bytes in flight', () => {
  const begun: string[] = []
  const writes = new FairWrites(25)
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new TestWriter(name, begun))
  if (a === undefined || b === undefined || c === undefined) return
  for (const writer of [a, b, c]) writes.request(writer)
  expect(begun).toEqual(['a', 'b'])
  writes.ended(10)
  writes.request(a)
  expect(begun).toEqual(['a', 'b', 'c'])
  writes.ended(10)
  expect(begun.at(-1)).toBe('a')
  expect(writes.writingBytes).toBe(20)
})

test('one write is always allowed, and nothing overtakes a long one that waits', () => {
  const begun: string[] = []
  const writes = new FairWrites(25)
  const [long, a, b] = ['long', 'a', 'b'].map((name) => new TestWriter(name, begun))
  if (a === undefined || b === undefined || long === undefined) return
  long.writeBytes = 100
  writes.request(a)
  writes.request(long)
  writes.request(b)
  expect(begun).toEqual(['a'])
  writes.ended(10)
  expect(begun).toEqual(['a', 'long'])
  writes.ended(100)
  expect(begun).toEqual(['a', 'long', 'b'])
})

test('whoever withdraws is passed over', () => {
  const begun: string[] = []
  const writes = new FairWrites(10)
  const [a, b, c] = ['a', 'b', 'c'].map((name) => new TestWriter(name, begun))
  if (a === undefined || b === undefined || c === undefined) return
  for (const writer of [a, b, c]) writes.request(writer)
  writes.withdraw(b)
  writes.ended(10)
  expect(begun).toEqual(['a', 'c'])
})

const UUIDS = ['1', '2', '3'].map((digit) => digit.repeat(32))

async function volumes(rig: Rig): Promise<{ log: TestLog; engine: TestEngine }[]> {
  const made: { log: TestLog; engine: TestEngine }[] = []
  for (const volumeUuid of UUIDS) {
    const log = new TestLog(1, volumeUuid)
    made.push({ log, engine: await rig.learned(log, { volume: `volume-${volumeUuid[0]}` }) })
  }
  return made
}

test('a greedy volume starves nobody: its stream stands still, the others are written and heard', async () => {
  const limits = { unwrittenBytesMax: 8 * MIB, writingBytesMax: 1 }
  const rig = await Rig.start({ limits })
  const [greedy, modest, other] = await volumes(rig)
  if (greedy === undefined || modest === undefined || other === undefined) return
  rig.store.hold = true
  for (let i = 0; i < 30; i++) greedy.engine.send(greedy.log.next(MIB))
  await settle()
  expect(greedy.engine.stream.isPaused).toBe(true)
  expect(rig.receiver.status().unwrittenBytes).toBeLessThan(10 * MIB)
  for (let round = 1; round <= 5; round++) {
    modest.engine.send(modest.log.next())
    other.engine.send(other.log.next())
    modest.engine.send({ type: 'HEARTBEAT', number: round })
    expect(modest.engine.last('ALIVE')).toEqual({ type: 'ALIVE', number: round })
    // One write is in flight; the two small ones are served after at most one more of the greedy volume.
    for (let write = 0; write < 3; write++) rig.store.complete()
    await settle()
    expect(modest.engine.last('APPENDED')?.batchSeq).toBe(round)
    expect(other.engine.last('APPENDED')?.batchSeq).toBe(round)
  }
  expect(modest.engine.stream.isPaused).toBe(false)
  // Nothing of the greedy one is lost, either.
  for (let guard = 0; guard < 100 && greedy.engine.last('APPENDED')?.batchSeq !== 30; guard++) {
    rig.store.complete()
    await settle()
  }
  expect(greedy.engine.last('APPENDED')?.batchSeq).toBe(30)
  expect(greedy.engine.stream.isPaused).toBe(false)
  expect(rig.receiver.status()).toMatchObject({
    unwrittenBytes: 0,
    volumes: [{ counters: { appendedBatches: 30 } }, {}, {}],
  })
})

test('without memory for bodies streams wait, and every batch comes through in the end', async () => {
  const rig = await Rig.start({ limits: { bodyBytesMax: 5 * MIB, unwrittenBytesMax: 64 * MIB } })
  const all = await volumes(rig)
  rig.store.hold = true
  for (let i = 0; i < 4; i++) for (const { log, engine } of all) engine.send(log.next(MIB + MIB / 2))
  await settle()
  expect(all.some(({ engine }) => engine.stream.isPaused)).toBe(true)
  expect(rig.receiver.status().bodyBytes).toBeLessThanOrEqual(5 * MIB)
  for (let guard = 0; guard < 100 && rig.store.waiting.length > 0; guard++) {
    rig.store.complete()
    await settle()
  }
  expect(all.map(({ engine }) => engine.last('APPENDED')?.batchSeq)).toEqual([4, 4, 4])
  expect(all.map(({ engine }) => engine.stream.isPaused)).toEqual([false, false, false])
})

test('a connection that goes while it waits for memory passes its turn on', async () => {
  const rig = await Rig.start({ limits: { bodyBytesMax: 5 * MIB, unwrittenBytesMax: 64 * MIB } })
  const [first, second, third] = await volumes(rig)
  if (first === undefined || second === undefined || third === undefined) return
  rig.store.hold = true
  first.engine.send(first.log.next(2 * MIB))
  second.engine.send(second.log.next(2 * MIB))
  third.engine.send(third.log.next(2 * MIB))
  await settle()
  expect(second.engine.stream.isPaused).toBe(true)
  second.engine.stream.destroy()
  await settle()
  rig.store.complete()
  await settle()
  rig.store.complete()
  await settle()
  expect(third.engine.heard).toEqual(['APPENDED'])
})
