// Proves: the front door of the peer's side. An engine says HELLO, is welcomed, appends and hears what is durable; who
// misbehaves is refused and logged once, and nobody else notices.
import { Rig, settle, TestLog } from './receiver/receiver-kit.ts'

test('HELLO, WELCOME, LEARN, APPEND, APPENDED, HEARTBEAT, ALIVE', async () => {
  const rig = await Rig.start()
  const owner = await rig.welcomed()
  expect(owner.answers).toMatchObject([
    {
      type: 'WELCOME',
      version: 1,
      node: 'peer',
      resource: 'flash',
      state: { promise: 1, epoch: 1, run: 1, log: null },
    },
  ])
  const log = new TestLog()
  owner.send(log.learn())
  owner.send(log.next())
  owner.send(log.next(8192))
  owner.send({ type: 'HEARTBEAT', number: 7 })
  await settle()
  expect(owner.answers.slice(1)).toEqual([
    { type: 'LEARNING' },
    { type: 'APPENDED', batchSeq: 1 },
    { type: 'APPENDED', batchSeq: 2 },
    { type: 'ALIVE', number: 7 },
  ])
  expect(rig.receiver.status()).toMatchObject({
    unwrittenBytes: 0,
    volumes: [{ volume: 'tank', log: { lastBatchSeq: 2 } }],
  })
})
