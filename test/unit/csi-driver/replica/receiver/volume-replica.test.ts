// Proves what stands between the connections of one volume: the newest HELLO ends the older connection before anything
// else is processed, what is being written completes first and is not acknowledged to anybody who is gone; nothing is
// answered before it is durable; heartbeats pass everything; orders keep their order; after a failed write nobody is
// told anything but 'io'.
import { CacheError, IoError } from '../../../../../base/errors.ts'
import { ORDERS_WAITING_MAX } from '../../../../../csi-driver/replica/receiver/limits.ts'
import { Rig, settle, TestLog, VOLUME_UUID } from './receiver-kit.ts'

const lastBatch = (rig: Rig): number | undefined => rig.store.find(VOLUME_UUID)?.state.log?.lastBatchSeq

describe('a newer HELLO', () => {
  test('ends the older connection; the write in flight completes, what waited is dropped', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const old = await rig.learned(log)
    rig.store.hold = true
    old.send(log.next())
    old.send(log.next())
    const next = rig.connect()
    next.hello({ run: 2 })
    await settle()
    expect(old.heard).toEqual(['REFUSED run-old'])
    expect(next.heard).toEqual([])
    expect(rig.store.waiting.map(({ name }) => name)).toEqual(['append tank'])
    rig.store.complete()
    expect(rig.store.waiting.map(({ name }) => name)).toEqual(['update tank'])
    rig.store.complete()
    expect(next.last('WELCOME')?.state).toMatchObject({ run: 2, log: { lastBatchSeq: 1 } })
    expect(old.heard).toEqual(['REFUSED run-old'])
    expect(rig.receiver.status()).toMatchObject({ unwrittenBytes: 0, volumes: [{ waitingOrders: 0 }] })
  })

  test('an older engine gets nothing past it, from whatever was on its way', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const old = await rig.learned(log)
    const late = [old.frame(log.next()), old.frame({ type: 'TRIM', batchSeq: 1 }), old.frame({ type: 'STATE' })]
    await rig.welcomed({ run: 2 })
    const orders = rig.store.orders.length
    for (const bytes of late) old.stream.deliver(bytes)
    await settle()
    expect(rig.store.orders.length).toBe(orders)
    expect(old.heard).toEqual(['REFUSED run-old'])
  })

  test('a smaller run is refused also while the newer one is not yet durable', async () => {
    const rig = await Rig.start()
    const old = await rig.learned(new TestLog())
    rig.store.hold = true
    const third = rig.connect()
    third.hello({ run: 3 })
    const second = rig.connect()
    second.hello({ run: 2 })
    expect(second.heard).toEqual(['REFUSED run-old'])
    expect(old.heard).toEqual(['REFUSED run-old'])
    rig.store.complete()
    expect(third.heard).toEqual(['WELCOME'])
  })

  test('two that come together: the newer one is welcomed, the other one refused, each run durable in turn', async () => {
    const rig = await Rig.start()
    await rig.learned(new TestLog())
    rig.store.hold = true
    const second = rig.connect()
    second.hello({ run: 2 })
    const third = rig.connect()
    third.hello({ run: 3 })
    expect(second.heard).toEqual(['REFUSED run-old'])
    rig.store.complete()
    expect(third.heard).toEqual([])
    rig.store.complete()
    expect(third.last('WELCOME')?.state.run).toBe(3)
  })

  test('the same engine again: the older connection ends without a word', async () => {
    const rig = await Rig.start()
    const old = await rig.welcomed()
    const again = await rig.welcomed()
    expect(old.heard).toEqual(['WELCOME'])
    expect(old.isClosed).toBe(true)
    expect(again.heard).toEqual(['WELCOME'])
  })

  test('one that goes before it is welcomed leaves room for the next', async () => {
    const rig = await Rig.start()
    await rig.learned(new TestLog())
    rig.store.hold = true
    const gone = rig.connect()
    gone.hello({ run: 2 })
    gone.stream.destroy()
    await settle()
    const next = rig.connect()
    next.hello({ run: 3 })
    rig.store.complete('update tank')
    rig.store.complete('update tank')
    expect(gone.heard).toEqual([])
    expect(next.heard).toEqual(['WELCOME'])
  })

  test('cuts a trim in flight off from its answer, and a refused order from everybody else', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const old = await rig.learned(log)
    old.send(log.next())
    rig.store.hold = true
    rig.store.fails = { name: 'trim tank', error: new CacheError('invalid', 'CACHE_STORE_ORDER', 'not so') }
    old.send({ type: 'TRIM', batchSeq: 1 })
    const next = rig.connect()
    next.hello({ run: 2 })
    rig.store.complete('trim tank')
    rig.store.complete('update tank')
    await settle()
    expect(old.heard).toEqual(['APPENDED', 'REFUSED run-old'])
    expect(next.heard).toEqual(['WELCOME'])
  })
})

describe('order and durability', () => {
  test('nothing is acknowledged before its write has ended; one write at a time; acknowledgements in order', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const owner = await rig.learned(log)
    rig.store.hold = true
    for (let i = 0; i < 3; i++) owner.send(log.next())
    await settle()
    expect(owner.heard).toEqual([])
    for (let i = 1; i <= 3; i++) {
      expect(rig.store.waiting.length).toBe(1)
      rig.store.complete()
      expect(owner.answers.length).toBe(i)
    }
    expect(owner.answers).toEqual([1, 2, 3].map((batchSeq) => ({ type: 'APPENDED', batchSeq })))
  })

  test('heartbeats and releases pass appends that wait', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const owner = await rig.learned(log)
    rig.store.hold = true
    owner.send(log.next())
    owner.send(log.next())
    owner.send({ type: 'HEARTBEAT', number: 4 })
    owner.send({ type: 'RELEASE' })
    expect(owner.heard).toEqual(['ALIVE', 'RELEASED'])
  })

  test('orders of one connection are carried out in the order of their arrival', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const owner = await rig.learned(log)
    rig.store.hold = true
    owner.send(log.next())
    owner.send({ type: 'STATE' })
    owner.send({ type: 'TRIM', batchSeq: 1 })
    owner.send(log.next())
    while (rig.store.waiting.length > 0) rig.store.complete()
    await settle()
    expect(owner.heard).toEqual(['APPENDED', 'STATE_IS', 'TRIMMED', 'APPENDED'])
    expect(rig.store.orders.slice(-3)).toEqual(['append tank', 'trim tank', 'append tank'])
  })

  test('the welcome comes after promise and run are durable', async () => {
    const rig = await Rig.start()
    await rig.learned(new TestLog())
    rig.store.hold = true
    const owner = rig.connect()
    owner.hello({ epoch: 4, run: 2 })
    await settle()
    expect(owner.heard).toEqual([])
    rig.store.complete('update tank')
    expect(owner.last('WELCOME')?.state).toMatchObject({ promise: 4, epoch: 4, run: 2, log: { lastBatchSeq: 0 } })
  })

  test('the first LEARN is answered after the volume and its log are durable', async () => {
    const rig = await Rig.start()
    const owner = await rig.welcomed({ epoch: 4, run: 2 })
    rig.store.hold = true
    owner.send(new TestLog(4).learn())
    rig.store.complete('create tank')
    expect(owner.heard).toEqual(['WELCOME'])
    rig.store.complete('learn tank')
    expect(owner.heard).toEqual(['WELCOME', 'LEARNING'])
    expect(rig.store.find(VOLUME_UUID)?.state).toMatchObject({ epoch: 4, run: 2, log: { lastBatchSeq: 0 } })
  })

  test('orders that wait are bounded: the stream stands still, and whoever floods it all the same is refused', async () => {
    const rig = await Rig.start()
    const owner = await rig.learned(new TestLog())
    rig.store.hold = true
    owner.send(new TestLog().next())
    for (let i = 0; i < ORDERS_WAITING_MAX; i++) owner.send({ type: 'STATE' })
    expect(owner.stream.isPaused).toBe(true)
    rig.store.hold = false
    rig.store.complete()
    await settle()
    expect(owner.stream.isPaused).toBe(false)
    expect(owner.heard.length).toBe(1 + ORDERS_WAITING_MAX)

    rig.store.hold = true
    owner.send({ type: 'TRIM', batchSeq: 1 })
    const flood = Array.from({ length: 5 * ORDERS_WAITING_MAX }, () => owner.frame({ type: 'STATE' }))
    owner.stream.deliver(Buffer.concat(flood))
    expect(owner.heard.at(-1)).toBe('REFUSED too-many')
  })
})

describe('a store that fails', () => {
  test('a failed write is not acknowledged, and from then on everybody is refused', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const owner = await rig.learned(log)
    const other = await rig.learned(new TestLog(1, 'b'.repeat(32)), { volume: 'other' })
    rig.store.fails = { name: 'append tank', error: new IoError('EIO', 'write failed') }
    owner.send(log.next())
    expect(owner.heard).toEqual(['REFUSED io'])
    expect(lastBatch(rig)).toBe(0)
    expect((await rig.welcomed({ run: 2 })).heard).toEqual(['REFUSED io'])
    expect((await rig.welcomed({ purpose: 'opener', epoch: 2 })).heard).toEqual(['REFUSED io'])
    other.send({ type: 'HEARTBEAT', number: 1 })
    expect(other.heard).toEqual(['ALIVE'])
    expect(rig.log.named('replica.receiver.volume_failed').length).toBe(1)
    expect(rig.receiver.status().volumes).toMatchObject([
      { failure: 'the store failed: write failed' },
      { failure: null },
    ])
  })

  test('batches behind the failed one are neither written nor acknowledged', async () => {
    const rig = await Rig.start()
    const log = new TestLog()
    const owner = await rig.learned(log)
    rig.store.hold = true
    rig.store.fails = { name: 'append tank', error: new IoError('EIO', 'write failed') }
    owner.send(log.next())
    owner.send(log.next())
    rig.store.complete()
    expect(owner.heard).toEqual(['REFUSED io'])
    expect(rig.store.waiting).toEqual([])
    expect(rig.receiver.status().unwrittenBytes).toBe(0)
  })

  test.each(['create tank', 'learn tank'])('a failed %s refuses the engine', async (name) => {
    const rig = await Rig.start()
    rig.store.fails = { name, error: new IoError('EIO', 'write failed') }
    const owner = await rig.welcomed()
    owner.send(new TestLog().learn())
    expect(owner.heard).toEqual(['WELCOME', 'REFUSED io'])
  })

  test('a failed update refuses the engine', async () => {
    const rig = await Rig.start()
    await rig.learned(new TestLog())
    rig.store.fails = { name: 'update tank', error: new IoError('EIO', 'write failed') }
    expect((await rig.welcomed({ run: 2 })).heard).toEqual(['REFUSED io'])
  })

  test('a volume that could not be made for want of room may be tried again, also with another key', async () => {
    const rig = await Rig.start()
    rig.store.fails = { name: 'create tank', error: new CacheError('full', 'CACHE_STORE_VOLUMES', 'no room') }
    const owner = await rig.welcomed()
    owner.send(new TestLog().learn())
    expect(owner.heard).toEqual(['WELCOME', 'REFUSED full'])
    expect((await rig.welcomed({ key: Buffer.alloc(32, 3) })).heard).toEqual(['WELCOME'])
  })

  test('a failed promise leaves no way back for the older engine', async () => {
    const rig = await Rig.start()
    await rig.learned(new TestLog())
    rig.store.fails = { name: 'update tank', error: new IoError('EIO', 'write failed') }
    expect((await rig.welcomed({ epoch: 2, purpose: 'opener' })).heard).toEqual(['REFUSED io'])
    expect((await rig.welcomed()).heard).toEqual(['REFUSED io'])
  })
})

test('the first LEARN fixes the key, also while the volume is being made', async () => {
  const rig = await Rig.start()
  const first = await rig.welcomed()
  rig.store.hold = true
  first.send(new TestLog().learn())
  first.stream.destroy()
  await settle()
  const thief = rig.connect('node-x')
  thief.hello({ key: Buffer.alloc(32, 9), epoch: 7 })
  expect(thief.heard).toEqual(['REFUSED proof'])
  rig.store.complete('create tank')
  rig.store.complete('learn tank')
  expect(rig.store.find(VOLUME_UUID)?.state.log).not.toBeNull()
})

test('a HELLO alone leaves nothing: the next one may bring another key, and an opener finds nothing', async () => {
  const rig = await Rig.start()
  const first = await rig.welcomed()
  expect((await rig.welcomed({ purpose: 'opener', epoch: 2 }, 'node-b')).heard).toEqual(['REFUSED not-held'])
  first.send({ type: 'HEARTBEAT', number: 1 })
  expect(first.heard).toEqual(['WELCOME', 'ALIVE'])
  first.stream.destroy()
  await settle()
  expect((await rig.welcomed({ key: Buffer.alloc(32, 9) }, 'node-b')).heard).toEqual(['WELCOME'])
  expect(rig.store.orders).toEqual([])
})

test('a volume that comes to be in another life of the store than its engine was told is met anew', async () => {
  const rig = await Rig.start()
  const owner = await rig.welcomed()
  rig.store.incarnation = 2
  owner.send(new TestLog().learn())
  expect(owner.heard).toEqual(['WELCOME', 'REFUSED stopping'])
  const again = await rig.welcomed()
  expect(again.last('WELCOME')).toMatchObject({ incarnation: 2, state: { log: null } })
})

test('stopping refuses everybody and waits for what is in flight', async () => {
  const rig = await Rig.start()
  const log = new TestLog()
  const owner = await rig.learned(log)
  rig.store.hold = true
  owner.send(log.next())
  let closed = false
  const closing = rig.receiver.close().then(() => {
    closed = true
  })
  await settle()
  expect(owner.heard).toEqual(['REFUSED stopping'])
  expect(closed).toBe(false)
  rig.store.complete()
  await closing
  expect(lastBatch(rig)).toBe(1)
  expect(owner.heard).toEqual(['REFUSED stopping'])
})
