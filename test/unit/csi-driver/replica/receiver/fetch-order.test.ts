// Proves: a fetch sends the batches as they came, stops at the asked bytes and at the end that the log had when it began,
// waits for a slow reader and gives up one that takes nothing, and that a damaged batch ends it without harm to others.
import { CacheError, IoError } from '../../../../../base/errors.ts'
import { MIB } from '../../../../../base/units.ts'
import { envelopeBytes } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { DRAIN_DEADLINE_MS } from '../../../../../csi-driver/replica/receiver/limits.ts'
import type { MessageOf } from '../../../../../csi-driver/replica/wire/messages.ts'
import { Rig, settle, type TestEngine, TestLog } from './receiver-kit.ts'

async function filled(bytes: readonly number[], settings = {}) {
  const rig = await Rig.start(settings)
  const log = new TestLog()
  const owner = await rig.learned(log)
  const sent: MessageOf<'APPEND'>[] = []
  for (const length of bytes) {
    const batch = log.next(length, String(length))
    sent.push(batch)
    owner.send(batch)
    await settle()
  }
  owner.answers.length = 0
  return { rig, log, owner, sent }
}

const fetched = (engine: TestEngine) => engine.answers.filter((answer) => answer.type === 'BATCH')

test('batches come back byte for byte, in order', async () => {
  const { owner, sent } = await filled([512, 70_000 - (70_000 % 512), 0, MIB])
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: 16 * MIB })
  const back = fetched(owner)
  expect(back.length).toBe(4)
  back.forEach(({ codec, rawPayloadBytes, header, payload }, index) => {
    const batch = sent[index]
    expect({ codec, rawPayloadBytes }).toEqual({ codec: batch?.codec, rawPayloadBytes: batch?.rawPayloadBytes })
    expect(batch?.header.equals(header)).toBe(true)
    expect(batch?.payload.equals(payload)).toBe(true)
  })
  expect(owner.last('FETCH_END')).toEqual({ type: 'FETCH_END', lastBatchSeq: 4, more: false })
})

test('it stops when the asked bytes are reached, at one batch at least, and says that there is more', async () => {
  const { owner, sent } = await filled([512, 512, 512, 512])
  const [first] = sent
  const each = first === undefined ? 0 : envelopeBytes(first)
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: 1 })
  owner.send({ type: 'FETCH', fromBatchSeq: 2, bytesMax: 2 * each })
  expect(owner.heard).toEqual(['BATCH', 'FETCH_END', 'BATCH', 'BATCH', 'FETCH_END'])
  expect(owner.last('FETCH_END')).toEqual({ type: 'FETCH_END', lastBatchSeq: 3, more: true })
})

test('no fetch sends more than the limit, whatever it asks for', async () => {
  const { owner } = await filled([512, 512, 512], { limits: { fetchBytesMax: 1 } })
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: 2 ** 32 })
  expect(owner.heard).toEqual(['BATCH', 'FETCH_END'])
})

test('a slow reader is waited for, and reading goes on when he has taken what was sent', async () => {
  const { owner } = await filled(Array.from({ length: 12 }, () => MIB))
  owner.stream.stalled = true
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: 64 * MIB })
  await settle()
  // What the stream takes before it asks to wait.
  expect(owner.stream.pendingBytes).toBeLessThan(6 * MIB)
  for (let i = 0; i < 4; i++) {
    owner.stream.flush()
    await settle()
  }
  owner.stream.stalled = false
  owner.stream.flush()
  await settle()
  expect(fetched(owner).length).toBe(12)
  expect(owner.heard.at(-1)).toBe('FETCH_END')
})

test('a reader that takes nothing is given up; others go on, and so does the volume', async () => {
  const { rig, owner } = await filled(Array.from({ length: 8 }, () => MIB))
  owner.stream.stalled = true
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: 64 * MIB })
  await rig.time.advance(DRAIN_DEADLINE_MS + 2_000)
  expect(owner.isClosed).toBe(true)
  const again = await rig.welcomed()
  again.send({ type: 'FETCH', fromBatchSeq: 8, bytesMax: 1 })
  await settle()
  expect(again.heard).toEqual(['WELCOME', 'BATCH', 'FETCH_END'])
})

test('a fetch whose reader has gone ends when the read in flight does', async () => {
  const { rig, owner } = await filled([512, 512, 512])
  rig.store.hold = true
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: MIB })
  owner.stream.destroy()
  const again = await rig.welcomed()
  expect(again.heard).toEqual([])
  rig.store.complete('read tank')
  expect(again.heard).toEqual(['WELCOME'])
  expect(rig.store.waiting).toEqual([])
})

test.each([
  ['damaged', new CacheError('corrupt', 'CACHE_STORE_DAMAGED', 'batch is damaged'), 'REFUSED corrupt'],
  ['unreadable', new IoError('EIO', 'read failed'), 'REFUSED io'],
])('a %s batch ends the fetch, and the volume goes on', async (_what, error, refused) => {
  const { rig, owner, log } = await filled([512, 512])
  rig.store.fails = { name: 'read tank', error }
  owner.send({ type: 'FETCH', fromBatchSeq: 1, bytesMax: MIB })
  expect(owner.heard).toEqual([refused])
  const again = await rig.welcomed()
  again.send(log.next())
  again.send({ type: 'FETCH', fromBatchSeq: 3, bytesMax: MIB })
  expect(again.heard).toEqual(['WELCOME', 'APPENDED', 'BATCH', 'FETCH_END'])
})
