// Proves the times of rules 8.1 and 8.2 by a clock that the test moves: a seal comes 8 s after the last heartbeat that
// arrived and 8 s after the store's start, not a moment sooner; released leases and predecessors that are off are not
// waited for; engines of the own node end first; and whoever waits hears about it each second.
import { IoError } from '../../../../../base/errors.ts'
import { LOCAL_ENGINES_DEADLINE_MS } from '../../../../../csi-driver/replica/receiver/limits.ts'
import { Rig, settle, type TestEngine, TestLog } from './receiver-kit.ts'

async function opener(rig: Rig, predecessorOff = false): Promise<TestEngine> {
  const engine = await rig.welcomed({ purpose: 'opener', epoch: 2 }, 'node-b')
  engine.answers.length = 0
  engine.send({ type: 'SEAL', predecessorOff })
  await settle()
  return engine
}

/** A store that began long ago, and an owner with an empty log. */
async function oldStore(): Promise<{ rig: Rig; owner: TestEngine }> {
  const rig = await Rig.start()
  const owner = await rig.learned(new TestLog())
  await rig.time.advance(7_000)
  owner.send({ type: 'STATE' })
  await rig.time.advance(7_000)
  owner.answers.length = 0
  return { rig, owner }
}

const waits = (engine: TestEngine): number[] =>
  engine.answers.flatMap((answer) => (answer.type === 'SEAL_WAIT' ? [answer.remainingMs] : []))

test('a lease is waited for, 8 s from the last heartbeat that arrived, and reported each second', async () => {
  const { rig, owner } = await oldStore()
  owner.send({ type: 'HEARTBEAT', number: 1 })
  await rig.time.advance(2_500)
  const engine = await opener(rig)
  expect(owner.heard).toEqual(['ALIVE', 'REFUSED epoch-old'])
  expect(waits(engine)).toEqual([5_500])
  await rig.time.advance(5_499)
  expect(waits(engine)).toEqual([5_500, 4_500, 3_500, 2_500, 1_500, 500])
  expect(engine.heard).not.toContain('SEALED')
  await rig.time.advance(1)
  expect(engine.heard.at(-1)).toBe('SEALED')
  expect(engine.last('SEALED')?.state).toMatchObject({ promise: 2, epoch: 2 })
})

test('the promise is durable, and no heartbeat answered, before the wait begins', async () => {
  const { rig, owner } = await oldStore()
  owner.send({ type: 'HEARTBEAT', number: 1 })
  rig.store.hold = true
  const engine = rig.connect('node-b')
  engine.hello({ purpose: 'opener', epoch: 2 })
  engine.send({ type: 'HEARTBEAT', number: 1 })
  // Not yet durable: the owner is cut off all the same, and cannot come back.
  owner.send({ type: 'HEARTBEAT', number: 2 })
  await settle()
  expect(owner.heard).toEqual(['ALIVE', 'REFUSED epoch-old'])
  const again = rig.connect()
  again.hello({ run: 2 })
  expect(again.heard).toEqual(['REFUSED epoch-old'])
  expect(engine.heard).toEqual(['REFUSED bad-message'])
  rig.store.complete('update tank')
  expect(rig.store.find('a'.repeat(32))?.state.promise).toBe(2)
})

test('a store that has just started waits 8 s, whoever asks', async () => {
  const rig = await Rig.start()
  await rig.learned(new TestLog())
  await rig.time.advance(1_000)
  const engine = await opener(rig)
  await rig.time.advance(6_999)
  expect(engine.heard).not.toContain('SEALED')
  await rig.time.advance(1)
  expect(engine.heard.at(-1)).toBe('SEALED')
})

test('a release ends the lease of the heartbeat before it, not of one after it, and not what an earlier life gave', async () => {
  const { rig, owner } = await oldStore()
  owner.send({ type: 'HEARTBEAT', number: 1 })
  owner.send({ type: 'RELEASE' })
  owner.send({ type: 'HEARTBEAT', number: 2 })
  expect(waits(await opener(rig))).toEqual([8_000])

  const fresh = await Rig.start()
  const released = await fresh.learned(new TestLog())
  released.send({ type: 'RELEASE' })
  expect(waits(await opener(fresh))).toEqual([8_000])
})

test('evidence that the predecessor is off replaces both waits', async () => {
  const rig = await Rig.start()
  const owner = await rig.learned(new TestLog())
  owner.send({ type: 'HEARTBEAT', number: 1 })
  expect((await opener(rig, true)).heard).toEqual(['SEALED'])
})

test('whoever goes away while he waits leaves the promise and nothing else', async () => {
  const { rig, owner } = await oldStore()
  owner.send({ type: 'HEARTBEAT', number: 1 })
  const engine = await opener(rig)
  engine.stream.destroy()
  await rig.time.advance(9_000)
  expect(engine.heard).toEqual(['SEAL_WAIT'])
  expect((await rig.welcomed({ run: 9 })).heard).toEqual(['REFUSED epoch-old'])
  expect((await opener(rig)).heard).toEqual(['SEALED'])
})

test('the next claim takes the place of one that waits', async () => {
  const { rig, owner } = await oldStore()
  owner.send({ type: 'HEARTBEAT', number: 1 })
  const first = await opener(rig)
  const second = await rig.welcomed({ purpose: 'opener', epoch: 3 }, 'node-c')
  second.send({ type: 'SEAL', predecessorOff: false })
  await rig.time.advance(8_000)
  expect(first.heard).toEqual(['SEAL_WAIT', 'REFUSED epoch-old'])
  expect(second.heard.at(-1)).toBe('SEALED')
})

test('orders behind a seal wait for it', async () => {
  const { rig, owner } = await oldStore()
  owner.send({ type: 'HEARTBEAT', number: 1 })
  const engine = await opener(rig)
  engine.send({ type: 'STATE' })
  expect(engine.heard).toEqual(['SEAL_WAIT'])
  await rig.time.advance(8_000)
  expect(engine.heard.slice(-2)).toEqual(['SEALED', 'STATE_IS'])
})

describe('engines of the own node', () => {
  test('end before anything is granted, and the wait is reported meanwhile', async () => {
    const { rig } = await oldStore()
    rig.engines.hold = true
    const engine = await opener(rig)
    await rig.time.advance(2_000)
    expect(waits(engine)).toEqual([1_000, 1_000, 1_000])
    rig.engines.asked[0]?.done(null)
    expect(engine.heard.at(-1)).toBe('SEALED')
    expect(rig.engines.asked.length).toBe(1)
  })

  test('that do not end refuse the seal; a later answer changes nothing', async () => {
    const { rig } = await oldStore()
    rig.engines.hold = true
    const engine = await opener(rig)
    await rig.time.advance(LOCAL_ENGINES_DEADLINE_MS)
    expect(engine.heard.at(-1)).toBe('REFUSED busy-engine')
    rig.engines.asked[0]?.done(null)
    expect(engine.heard).not.toContain('SEALED')
  })

  test('that answer with an error refuse it, too, and the next one asks anew', async () => {
    const { rig } = await oldStore()
    rig.engines.error = new IoError('EBUSY', 'it lives')
    expect((await opener(rig)).heard).toEqual(['REFUSED busy-engine'])
    rig.engines.error = null
    expect((await opener(rig)).heard).toEqual(['SEALED'])
  })

  test('are not asked about by an opener that lives there itself: it holds the lock that none of them outlives', async () => {
    const { rig } = await oldStore()
    const engine = await rig.welcomed({ purpose: 'opener', epoch: 2 }, 'peer')
    engine.send({ type: 'SEAL', predecessorOff: false })
    expect(engine.heard).toEqual(['WELCOME', 'SEALED'])
    expect(rig.engines.asked).toEqual([])
  })

  test('that answer after the opener has gone change nothing', async () => {
    const { rig } = await oldStore()
    rig.engines.hold = true
    const engine = await opener(rig)
    engine.stream.destroy()
    await settle()
    rig.engines.asked[0]?.done(null)
    expect(engine.heard).toEqual(['SEAL_WAIT'])
    expect(rig.receiver.status().volumes[0]?.engine).toBeNull()
  })
})
