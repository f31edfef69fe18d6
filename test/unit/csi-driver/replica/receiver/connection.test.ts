// Proves that one connection harms nobody: whatever it sends, however slowly, it is refused once with the right code,
// logged once, closed, and gives back what it held, while an owner beside it goes on undisturbed. Every deadline is held
// by a clock that the test moves.
import fc from 'fast-check'
import { crc32 } from '../../../../../base/crc32.ts'
import {
  DEADLINE_TICK_MS,
  FRAME_DEADLINE_MS,
  HELLO_DEADLINE_MS,
  IDLE_DEADLINE_MS,
  LINGER_MS,
  QUIET_DEADLINE_MS,
} from '../../../../../csi-driver/replica/receiver/limits.ts'
import { FRAME_HEADER } from '../../../../../csi-driver/replica/wire/frame.ts'
import { defineVersion, MESSAGES_V1, WIRE_VERSIONS } from '../../../../../csi-driver/replica/wire/versions.ts'
import { volumeProof } from '../../../../../csi-driver/replica/wire/volume-proof.ts'
import { KEY, Rig, settle, type TestEngine, TestLog, VOLUME_UUID } from './receiver-kit.ts'

/** An owner at work, and what it must still be able to do afterwards. */
async function busy(settings = {}) {
  const rig = await Rig.start(settings)
  const log = new TestLog()
  const owner = await rig.learned(log)
  const undisturbed = async (): Promise<void> => {
    owner.answers.length = 0
    owner.send(log.next())
    owner.send({ type: 'HEARTBEAT', number: 1 })
    await settle()
    expect(owner.heard).toEqual(['APPENDED', 'ALIVE'])
    expect(rig.receiver.status()).toMatchObject({ connections: 1, unwrittenBytes: 0 })
  }
  return { rig, owner, undisturbed }
}

const refusals = (rig: Rig): unknown[] => rig.log.named('replica.receiver.refused').map(({ fields }) => fields['code'])

/** Time for a refused connection to end, with the owner's heartbeats going on. */
async function pass(rig: Rig, owner: TestEngine, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 1000) {
    owner.send({ type: 'HEARTBEAT', number: passed })
    await rig.time.advance(Math.min(1000, ms - passed))
  }
}

describe('HELLO', () => {
  test.each([
    ['no version in common', { versionMin: 2, versionMax: 9 }, 'version'],
    ['the node of another certificate', { node: 'node-z' }, 'proof'],
    ['a known volume under another name', { volume: 'pond' }, 'bad-message'],
    ['the proof of another key', { key: Buffer.alloc(32, 1) }, 'proof'],
    ['the proof for another volume', { proof: volumeProof(KEY, Buffer.alloc(32, 2), 'b'.repeat(32)) }, 'proof'],
    ['the proof of another connection', { proof: volumeProof(KEY, Buffer.alloc(32, 1), VOLUME_UUID) }, 'proof'],
  ])('with %s', async (_what, hello, code) => {
    const { rig, owner, undisturbed } = await busy()
    const other = await rig.welcomed({ run: 5, ...hello }, 'node-b')
    expect(other.heard).toEqual([`REFUSED ${code}`])
    expect(refusals(rig)).toEqual([code])
    await pass(rig, owner, LINGER_MS)
    await undisturbed()
  })

  test('twice ends the connection', async () => {
    const { rig } = await busy()
    const other = await rig.welcomed({ run: 2 })
    other.hello({ run: 3 })
    expect(other.heard).toEqual(['WELCOME', 'REFUSED bad-message'])
  })

  test('that never comes, or never ends, is given up', async () => {
    const { rig, owner, undisturbed } = await busy()
    const silent = rig.connect('node-b')
    const slow = rig.connect('node-c')
    slow.stream.deliver(slow.frame({ type: 'STATE' }).subarray(0, 10))
    await pass(rig, owner, HELLO_DEADLINE_MS)
    expect(silent.heard).toEqual([])
    await pass(rig, owner, DEADLINE_TICK_MS)
    expect(silent.heard).toEqual(['REFUSED bad-message'])
    expect(slow.heard).toEqual(['REFUSED bad-message'])
    await pass(rig, owner, LINGER_MS)
    await undisturbed()
  })

  test('without a key for an unknown volume is how engines begin: counted, and not a line in the log', async () => {
    const rig = await Rig.start()
    await rig.welcomed({ volumeKey: null })
    expect(refusals(rig)).toEqual([])
    expect(rig.receiver.status().refused).toEqual({ proof: 1 })
  })

  test('the largest common version is spoken from the welcome on', async () => {
    const versions = new Map([...WIRE_VERSIONS, [2, defineVersion(2, MESSAGES_V1)]])
    const rig = await Rig.start({ versions })
    const old = await rig.welcomed({ versionMin: 1, versionMax: 1 })
    expect(old.last('WELCOME')?.version).toBe(1)
    const agreed: number[] = []
    const newer = rig.connect()
    newer.stream.onBytes = (bytes) => agreed.push(bytes.readUInt16LE(FRAME_HEADER.offsets.version))
    newer.hello({ versionMin: 1, versionMax: 3, run: 2 })
    await settle()
    newer.stream.deliver(frameOfVersion2(newer))
    expect(agreed).toEqual([0, 2])
  })
})

/** A HEARTBEAT as version 2 has it. */
function frameOfVersion2(engine: TestEngine): Buffer {
  const frame = engine.frame({ type: 'HEARTBEAT', number: 1 })
  frame.writeUInt16LE(2, FRAME_HEADER.offsets.version)
  frame.writeUInt32LE(crc32(frame, 0, FRAME_HEADER.offsets.headerCrc), FRAME_HEADER.offsets.headerCrc)
  return frame
}

describe('frames that are none', () => {
  const damaged = (change: (frame: Buffer) => void) => (engine: TestEngine) => {
    const frame = engine.frame({ type: 'HEARTBEAT', number: 1 })
    change(frame)
    return frame
  }
  const resealed = (change: (frame: Buffer) => void) =>
    damaged((frame) => {
      change(frame)
      frame.writeUInt32LE(crc32(frame, 0, FRAME_HEADER.offsets.headerCrc), FRAME_HEADER.offsets.headerCrc)
    })

  test.each<[string, (engine: TestEngine) => Buffer, string]>([
    ['noise', () => Buffer.alloc(64, 'GET / HTTP/1.1'), 'bad-message'],
    ['a flipped bit in the header', damaged((frame) => frame.writeUInt8(0x55, 12)), 'corrupt'],
    ['a flipped bit in the body', damaged((frame) => frame.writeUInt8(0x55, frame.length - 1)), 'corrupt'],
    [
      'a huge length',
      resealed((frame) => frame.writeUInt32LE(0xffff_ffff, FRAME_HEADER.offsets.bodyBytes)),
      'bad-message',
    ],
    [
      'a message of the other side',
      resealed((frame) => frame.writeUInt8(131, FRAME_HEADER.offsets.type)),
      'bad-message',
    ],
    [
      'a message that nobody knows',
      resealed((frame) => frame.writeUInt8(99, FRAME_HEADER.offsets.type)),
      'bad-message',
    ],
    ['another version', resealed((frame) => frame.writeUInt16LE(7, FRAME_HEADER.offsets.version)), 'version'],
    ['a frame left out', (engine) => (engine.sequence++, engine.frame({ type: 'STATE' })), 'bad-message'],
    ['a frame repeated', (engine) => Buffer.concat(Array(2).fill(engine.frame({ type: 'STATE' }))), 'bad-message'],
  ])('%s', async (_what, bytes, code) => {
    const { rig, owner, undisturbed } = await busy()
    const other = await rig.learned(new TestLog(1, 'b'.repeat(32)), { volume: 'other' })
    other.stream.deliver(bytes(other))
    expect(other.heard.at(-1)).toBe(`REFUSED ${code}`)
    expect(refusals(rig)).toEqual([code])
    await pass(rig, owner, LINGER_MS)
    expect(other.isClosed).toBe(true)
    await undisturbed()
  })

  test('random bytes, in any pieces, before or after a HELLO, never disturb another connection', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        async (pieces, afterHello) => {
          const { rig, owner, undisturbed } = await busy()
          const other = rig.connect('node-b')
          if (afterHello) other.hello({ volumeUuid: 'b'.repeat(32), volume: 'other' })
          await settle()
          for (const piece of pieces) other.stream.deliver(Buffer.from(piece))
          other.stream.destroy()
          await pass(rig, owner, LINGER_MS)
          await undisturbed()
          expect(refusals(rig).length).toBeLessThanOrEqual(1)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('batches that are none', () => {
  test.each<[string, Parameters<TestLog['next']>[2] & object, string]>([
    ['of another volume', { volumeUuid: Buffer.alloc(16, 0xbb) }, 'bad-message'],
    ['of a newer engine than the one that sends it', { epoch: 2 }, 'bad-message'],
    ['whose records do not follow', { firstSeq: 9 }, 'bad-message'],
  ])('%s', async (_what, changes, code) => {
    const rig = await Rig.start()
    const log = new TestLog()
    const owner = await rig.learned(log)
    owner.send(log.next(512, 'x', changes))
    expect(owner.heard).toEqual([`REFUSED ${code}`])
    expect(rig.receiver.status().unwrittenBytes).toBe(0)
  })

  test('with a header that was changed', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const owner = await rig.learned(log)
    const batch = log.next()
    batch.header.writeUInt32LE(77, 132)
    owner.send(batch)
    expect(owner.heard).toEqual(['REFUSED corrupt'])
    expect(rig.store.orders).not.toContain('append tank')
  })
})

describe('slowness', () => {
  test('a frame that does not end is given up, and its buffer comes back', async () => {
    const { rig, owner, undisturbed } = await busy()
    const log = new TestLog(1, 'b'.repeat(32))
    const slow = await rig.learned(log, { volume: 'other' })
    const frame = slow.frame(log.next(1024 * 1024))
    slow.stream.deliver(frame.subarray(0, 1000))
    const before = rig.receiver.status().bodyBytes
    for (let at = 1000, passed = 0; passed < FRAME_DEADLINE_MS + 2000; passed += 1000, at += 10) {
      slow.stream.deliver(frame.subarray(at, at + 10))
      await pass(rig, owner, 1000)
    }
    expect(slow.heard).toEqual(['REFUSED bad-message'])
    await pass(rig, owner, LINGER_MS)
    await undisturbed()
    // Used again: nothing was lost.
    const again = await rig.learned(new TestLog(1, 'b'.repeat(32)), { volume: 'other' })
    again.send(new TestLog(1, 'b'.repeat(32)).next(1024 * 1024))
    expect(again.heard).toEqual(['APPENDED'])
    expect(rig.receiver.status().bodyBytes).toBeLessThan(before + 1024 * 1024)
  })

  test('an owner whose heartbeats stop is disconnected; one that never sent any has more time', async () => {
    const rig = await Rig.start()
    const owner = await rig.learned(new TestLog())
    const quiet = await rig.learned(new TestLog(1, 'b'.repeat(32)), { volume: 'other' })
    owner.send({ type: 'HEARTBEAT', number: 1 })
    await rig.time.advance(IDLE_DEADLINE_MS)
    expect(owner.heard).toEqual(['ALIVE'])
    await rig.time.advance(DEADLINE_TICK_MS)
    expect(owner.heard).toEqual(['ALIVE', 'REFUSED bad-message'])
    await rig.time.advance(QUIET_DEADLINE_MS - IDLE_DEADLINE_MS)
    expect(quiet.heard).toEqual(['REFUSED bad-message'])
    await rig.time.advance(LINGER_MS)
    expect(rig.receiver.status().connections).toBe(0)
    await rig.time.advance(DEADLINE_TICK_MS)
    expect(rig.time.timers).toBe(0)
  })

  test('deadlines do not run while the receiver itself does not read', async () => {
    const rig = await Rig.start({ limits: { unwrittenBytesPerVolumeMax: 1 } })
    const log = new TestLog()
    const owner = await rig.learned(log)
    owner.send({ type: 'HEARTBEAT', number: 1 })
    rig.store.hold = true
    owner.send(log.next())
    expect(owner.stream.isPaused).toBe(true)
    owner.send({ type: 'HEARTBEAT', number: 2 })
    await rig.time.advance(IDLE_DEADLINE_MS * 3)
    rig.store.complete()
    await settle()
    expect(owner.heard).toEqual(['ALIVE', 'APPENDED', 'ALIVE'])
  })

  test('whoever does not read his answers is disconnected', async () => {
    const rig = await Rig.start({ limits: { unsentBytesMax: 1000 } })
    const owner = await rig.learned(new TestLog())
    owner.stream.stalled = true
    for (let i = 0; i < 100; i++) owner.send({ type: 'HEARTBEAT', number: i })
    await settle()
    expect(owner.isClosed).toBe(true)
    expect(refusals(rig)).toEqual(['too-many'])
    expect((await rig.welcomed()).heard).toEqual(['WELCOME'])
  })

  test('a refused connection that does not close is closed', async () => {
    const rig = await Rig.start()
    const other = rig.connect()
    other.stream.onEnd = () => {}
    other.stream.deliver(Buffer.alloc(64))
    expect(other.isClosed).toBe(false)
    await rig.time.advance(LINGER_MS)
    expect(other.isClosed).toBe(true)
  })

  test('the other side closing its half is the end, and its answers are still sent', async () => {
    const rig = await Rig.start()
    const owner = await rig.learned(new TestLog())
    owner.send({ type: 'RELEASE' })
    owner.stream.clientEnds()
    expect(rig.receiver.status().volumes[0]?.engine).toBeNull()
    await rig.time.advance(LINGER_MS)
    expect(owner.heard).toEqual(['RELEASED'])
    expect(owner.isClosed).toBe(true)
  })
})

describe('limits on connections', () => {
  test('in all, and of one node', async () => {
    const rig = await Rig.start({ limits: { connectionsMax: 3, connectionsPerNodeMax: 2 } })
    const heard = (engine: TestEngine): string[] => engine.heard
    const [a1, a2, a3] = [rig.connect('node-a'), rig.connect('node-a'), rig.connect('node-a')]
    await settle()
    expect([a1, a2, a3].map(heard)).toEqual([[], [], ['REFUSED too-many']])
    const [b1, c1] = [rig.connect('node-b'), rig.connect('node-c')]
    await settle()
    expect([b1, c1].map(heard)).toEqual([[], ['REFUSED too-many']])
    a1.stream.destroy()
    await settle()
    const again = await rig.welcomed({}, 'node-a')
    expect(again.heard).toEqual(['WELCOME'])
  })
})
