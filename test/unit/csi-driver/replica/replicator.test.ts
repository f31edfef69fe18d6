// Proves, against simulated stores on a simulated network: who is waited for and who is not; what a member that comes back
// must hold; when it is late; leases, release, trims, fences. The engine's part (freeze, CAS) is played by the test.
import { Owner, owner } from './replicator/owner-kit.ts'

test('a batch is complete when all members have it, at once without members', async () => {
  const none = await owner([])
  none.append()
  expect(none.completed).toEqual([1])
  const two = await owner(['a', 'b'])
  two.store('b').answerMs = 5
  two.append()
  await two.until(() => two.store('a').held.length === 1, 100)
  await two.run(2)
  expect(two.completed).toEqual([])
  await two.run(20)
  expect(two.completed).toEqual([1])
  for (const node of ['a', 'b']) expect(two.store(node).log.lastHash).toBe(two.log.lastHash)
})

test('many batches of all sizes arrive as they were sealed', async () => {
  const one = await owner(['a', 'b'])
  for (let i = 0; i < 40; i++) {
    one.append(1 + ((i * 97) % 700))
    expect(await one.until(() => !one.isFlying, 1000)).toBe(true)
    await one.run(1)
  }
  const hashes = one.hashes()
  for (const store of one.stores) {
    expect(store.held.map(({ batchSeq, headerHash }) => [batchSeq, headerHash])).toEqual([...hashes])
  }
  expect(one.kinds()).toEqual(['connected', 'connected'])
})

describe('a member that goes away', () => {
  test('is met again at once, and the batch in flight is sent again', async () => {
    const one = await owner(['a'], [], 3)
    one.network.cut('a', 'owner')
    one.append()
    await one.run(5)
    expect(one.store('a').log.lastBatchSeq).toBe(4)
    // Its answer is lost: the greeting tells that it has the batch, which is not sent again.
    one.network.reset('owner', 'a')
    one.network.uncut('a', 'owner')
    expect(await one.until(() => one.completed.length === 1, 500)).toBe(true)
    expect(one.store('a').heard.filter(({ type }) => type === 'APPEND')).toHaveLength(1)
    one.network.cut('owner', 'a')
    one.append()
    await one.run(5)
    one.network.reset('owner', 'a')
    one.network.uncut('owner', 'a')
    expect(await one.until(() => one.completed.length === 2, 500)).toBe(true)
    expect(one.store('a').heard.filter(({ type }) => type === 'APPEND')).toHaveLength(2)
    expect(one.kinds()).toEqual(['connected', 'lost', 'connected', 'lost', 'connected'])
  })

  test('is late once, and nothing is completed until it is removed', async () => {
    const one = await owner(['a', 'b'])
    one.store('b').kill()
    await one.run(1)
    one.append()
    await one.run(900)
    expect(one.kinds()).not.toContain('late')
    await one.run(600)
    expect(one.kinds('b')).toEqual(['connected', 'lost', 'late'])
    await one.run(5000)
    expect(one.kinds().filter((kind) => kind === 'late')).toHaveLength(1)
    expect(one.completed).toEqual([])
    one.replicator.waitFor(one.members(['a']))
    expect(one.completed).toEqual([1])
    expect(one.network.openStreams('owner')).toBe(1)
  })

  test('that is silent is late after its time; its stream is gone when its batch is given back', async () => {
    const one = await owner(['a', 'b'])
    one.store('b').mute = true
    one.append()
    await one.run(1900)
    expect(one.kinds()).not.toContain('late')
    await one.run(500)
    expect(one.kinds()).toContain('late')
    one.replicator.waitFor(one.members(['a']))
    expect(one.completed).toEqual([1])
    one.append()
    await one.run(100)
    expect(one.completed).toEqual([1, 2])
    // It is connected again, as a candidate that nobody waits for.
    one.store('b').mute = false
    await one.run(500)
    expect(one.replicator.peers().find(({ node }) => node === 'b')?.state).toBe('candidate')
  })

  test('and is back before it was removed: everything goes on', async () => {
    const one = await owner(['a'])
    one.store('a').kill()
    one.append()
    await one.run(3000)
    expect(one.kinds().at(-1)).toBe('late')
    expect(one.replicator.peers()[0]).toMatchObject({ state: 'behind', lagBatches: 1 })
    one.store('a').restart()
    expect(await one.until(() => one.completed.length === 1, 6000)).toBe(true)
    await one.run(1)
    expect(one.kinds().slice(-2)).toEqual(['connected', 'back'])
    expect(one.replicator.peers()[0]).toMatchObject({ state: 'member', lagBatches: 0, lastError: null })
  })

  test('while nothing is written is late, too', async () => {
    const one = await owner(['a', 'b'])
    one.store('a').mute = true
    one.store('b').kill()
    await one.run(4500)
    expect(one.kinds('a')).toContain('late')
    expect(one.kinds('b')).toContain('late')
  })

  test('whose address nobody knows is late', async () => {
    const one = await owner([])
    one.replicator.setPeers([])
    one.replicator.waitFor([one.ownMember, { node: 'x', storeUuid: '0'.repeat(32), incarnation: 1 }])
    one.append()
    await one.run(3000)
    expect(one.kinds('x')).toEqual(['late'])
    expect(one.replicator.leaseValid()).toBe(false)
  })

  test('a pause of the owner makes nobody late', async () => {
    const one = await owner(['a'])
    one.store('a').answerMs = 150
    one.append()
    // Its timers stand still with it, so that the clock jumps before anything that has arrived is read.
    const { clock } = one.process
    const monotonicMs = clock.monotonicMs.bind(clock)
    Object.assign(clock, { monotonicMs: () => monotonicMs() + 30_000 })
    await one.run(300)
    expect(one.completed).toEqual([1])
    expect(one.kinds()).toEqual(['connected'])
  })
})

describe('a member that has not what it acknowledged', () => {
  test('is reported, never waited for in vain, and its answers do not count', async () => {
    const one = await owner(['a', 'b'], [], 5)
    one.store('b').kill()
    one.store('b').loseTail(1)
    one.store('b').start()
    await one.run(500)
    expect(one.kinds('b')).toEqual(['connected', 'lost', 'connected', 'lost-content'])
    expect(one.replicator.peers().find(({ node }) => node === 'b')?.state).toBe('lost-content')
    expect(one.replicator.leaseValid()).toBe(false)
    one.append()
    await one.run(5000)
    expect(one.completed).toEqual([])
    one.replicator.waitFor(one.members(['a']))
    expect(one.completed).toEqual([6])
    expect(one.replicator.leaseValid()).toBe(true)
  })

  test('another life of its store is another store', async () => {
    const one = await owner(['a'], [], 5)
    const [, listed] = one.members(['a'])
    one.store('a').kill()
    one.store('a').wipe()
    one.store('a').start()
    await one.run(500)
    expect(one.kinds()).toEqual(['connected', 'lost', 'connected', 'lost-content'])
    // It did not know the volume, so it was shown the key.
    expect(
      one
        .store('a')
        .heard.filter((message) => message.type === 'HELLO')
        .map((hello) => hello.volumeKey !== null),
    ).toEqual([false, false, true])
    one.append()
    await one.run(3000)
    expect(one.completed).toEqual([])
    expect(one.replicator.leaseValid()).toBe(false)
    expect(listed?.incarnation).toBe(1)
  })

  test('what it acknowledged in one life does not count in the next', async () => {
    const one = await owner(['a', 'b'])
    one.store('b').answerMs = 2000
    one.append()
    await one.until(() => one.store('a').held.length === 1, 100)
    await one.run(1)
    one.store('a').kill()
    one.store('a').wipe()
    one.store('a').start()
    await one.run(400)
    one.store('b').answerMs = 0.1
    expect(one.kinds('a')).toContain('lost-content')
    await one.run(3000)
    expect(one.completed).toEqual([])
  })

  test('one that was not told of its promotion is told, and what it holds above is dropped', async () => {
    const one = new Owner(['a'])
    const [name] = one.log.lineage
    const old = { logUuid: '00'.repeat(16), firstBatchSeq: 1 }
    one.beforeStart = () => {
      const { held } = one.store('a')
      const tooMuch = { batchSeq: 4, headerHash: 99n, body: Buffer.alloc(0), hash: 0n }
      one.store('a').held = [...held, tooMuch]
      const pending = { logUuid: name?.logUuid ?? '', firstBatchSeq: 4 }
      one.store('a').change({ lineage: [old], pending, lastBatchSeq: 4, lastHash: 99n })
      one.log.lineage = [old, pending]
    }
    await one.begin(['a'], 3)
    expect(
      one
        .store('a')
        .heard.map(({ type }) => type)
        .filter((type) => type !== 'HEARTBEAT'),
    ).toEqual(['HELLO', 'PROMOTE', 'STATE'])
    one.append()
    await one.run(10)
    expect(one.completed).toEqual([4])
    expect(one.store('a').log.lineage.at(-1)?.logUuid).toBe(name?.logUuid)
  })
})

test('a store that says it has promoted, and has not, is left alone in growing intervals', async () => {
  const one = new Owner(['a'])
  const [name] = one.log.lineage
  const old = { logUuid: '00'.repeat(16), firstBatchSeq: 1 }
  one.beforeStart = () => {
    const pending = { logUuid: name?.logUuid ?? '', firstBatchSeq: 4 }
    one.log.lineage = [old, pending]
    one.store('a').change({ lineage: [old], pending })
    one.store('a').forgetsPromotions = true
  }
  await one.begin(['a'], 3)
  await one.run(30_000)
  expect(one.kinds()).toContain('late')
  const hellos = one.store('a').heard.filter(({ type }) => type === 'HELLO').length
  expect(hellos).toBeGreaterThan(5)
  expect(hellos).toBeLessThan(30)
})

test('after stop nothing is left, and nothing happens', async () => {
  const one = await owner(['a'], ['b'])
  one.store('b').kill()
  one.append()
  await one.replicator.stop()
  await one.replicator.stop()
  await one.run(1)
  expect(one.network.openStreams('owner')).toBe(0)
  expect(one.process.timersSet).toBe(0)
  one.replicator.waitFor([])
  one.append()
  one.replicator.trim(1, () => one.trimmed.push(1))
  await one.run(10_000)
  expect([one.completed, one.trimmed, one.kinds()]).toEqual([[], [], ['connected', 'connected']])
})

describe('whom to wait for changes while a batch is in flight', () => {
  test('one that is new is waited for', async () => {
    const one = await owner(['a'])
    one.store('a').answerMs = 30
    one.append()
    await one.run(1)
    one.replicator.waitFor([...one.members(['a']), { node: 'x', storeUuid: '1'.repeat(32), incarnation: 1 }])
    await one.run(1000)
    expect(one.completed).toEqual([])
    one.replicator.waitFor(one.members(['a']))
    expect(one.completed).toEqual([1])
  })

  test('a peer that is connected already is compared before it counts', async () => {
    const one = await owner(['a'], ['b'], 2)
    one.store('b').adopt(one.ownLog(), one.ownBatches(), 7, 2)
    one.replicator.waitFor(one.members(['a', 'b']))
    one.append()
    expect(one.store('b').heard.at(-1)?.type).toBe('HEARTBEAT')
    await one.run(200)
    expect(one.completed).toEqual([3])
    expect(one.kinds('b')).toEqual(['connected', 'connected'])
    expect(one.store('b').log.lastBatchSeq).toBe(3)
    expect(one.replicator.leaseValid()).toBe(true)
  })

  test('what waited in the stream of one that was removed is never sent', async () => {
    const one = new Owner(['a', 'b'], { windowBytes: 4096 })
    await one.begin(['a', 'b'])
    one.network.cut('owner', 'b')
    one.append(500)
    await one.run(100)
    one.replicator.waitFor(one.members(['a']))
    for (let i = 0; i < 5; i++) {
      expect(await one.until(() => !one.isFlying, 1000)).toBe(true)
      one.append(600)
    }
    // The store checks what it reads.
    one.network.uncut('owner', 'b')
    await one.run(8000)
    expect(one.kinds('b').at(-1)).toBe('connected')
  })

  test('another life of a member is another member', async () => {
    const one = await owner(['a'])
    one.append()
    await one.run(20)
    const [own, member] = one.members(['a'])
    if (own === undefined || member === undefined) throw new Error('two members')
    one.replicator.waitFor([own, { ...member, incarnation: 2 }])
    one.append()
    await one.run(500)
    expect(one.completed).toEqual([1])
    expect(one.kinds().at(-1)).toBe('lost-content')
  })

  test('a peer that is named no more and a member that is: the link stays until it is neither', async () => {
    const one = await owner(['a', 'b'])
    one.replicator.setPeers([])
    expect(one.replicator.peers().map(({ node }) => node)).toEqual(['a', 'b'])
    one.append()
    await one.run(20)
    expect(one.completed).toEqual([1])
    one.replicator.waitFor(one.members(['a']))
    expect(one.replicator.peers().map(({ node }) => node)).toEqual(['a'])
    await one.run(20)
    expect(one.network.openStreams('owner')).toBe(1)
  })
})

test('a candidate that is silent is connected anew', async () => {
  const one = await owner(['a'], ['b'])
  one.network.cut('b', 'owner')
  await one.run(5500)
  expect(one.kinds('b')).toEqual(['connected'])
  await one.run(1000)
  expect(one.kinds('b')).toEqual(['connected', 'lost'])
  one.network.uncut('b', 'owner')
  await one.run(5000)
  expect(one.replicator.peers().map(({ state }) => state)).toEqual(['member', 'candidate'])
})

describe('refusals', () => {
  test('a store that has promised itself to a newer epoch fences for good', async () => {
    const one = await owner(['a', 'b'])
    const { state } = one.store('b')
    one.append()
    await one.run(20)
    if (state !== null) one.store('b').state = { ...state, promise: 9 }
    one.store('b').restart()
    await one.run(500)
    expect(one.events.find(({ kind }) => kind === 'fenced')).toMatchObject({ node: 'b', code: 'epoch-old' })
    expect(one.replicator.fenced).toBe(true)
    expect(one.replicator.leaseValid()).toBe(false)
    one.append()
    one.replicator.waitFor(one.members([]))
    await one.run(10_000)
    expect(one.completed).toEqual([1])
    expect(one.network.openStreams('owner')).toBe(0)
    await one.replicator.stop()
  })

  test('of a candidate, who holds no copy that counts, are no reason to stop', async () => {
    const one = await owner(['a'], ['b'])
    const { state } = one.store('a')
    if (state !== null) one.store('b').state = { ...state, promise: 9 }
    one.store('b').restart()
    await one.run(5000)
    expect(one.events.find(({ kind }) => kind === 'refused')).toMatchObject({ node: 'b', code: 'epoch-old' })
    expect(one.replicator.fenced).toBe(false)
    one.append()
    await one.run(100)
    expect(one.completed).toEqual([1])
    await one.replicator.stop()
  })

  test('a newer run fences', async () => {
    const one = await owner(['a'])
    const { state } = one.store('a')
    if (state !== null) one.store('a').state = { ...state, run: 3 }
    one.append()
    await one.run(100)
    expect(one.kinds().at(-1)).toBe('fenced')
    one.replicator.waitFor(one.members([]))
    expect(one.completed).toEqual([])
  })

  test('others are told once, and tried again in long intervals', async () => {
    const one = await owner([], ['a'])
    one.store('a').volumeKey = Buffer.alloc(32, 1)
    one.store('a').restart()
    one.store('a').heard.length = 0
    await one.run(60_000)
    expect(one.events.filter(({ kind }) => kind === 'refused')).toMatchObject([{ node: 'a', code: 'proof' }])
    const hellos = one.store('a').heard.length
    expect(hellos).toBeGreaterThan(4)
    expect(hellos).toBeLessThan(20)
    expect(one.replicator.peers()[0]?.lastError).toContain('refused (proof)')
  })

  test('of a batch end the connection; the member has its time to get it after all', async () => {
    const one = await owner(['a'])
    one.store('a').refuseNext = { type: 'APPEND', code: 'io' }
    one.append()
    expect(await one.until(() => one.completed.length === 1, 1500)).toBe(true)
    await one.run(1)
    expect(one.kinds()).toEqual(['connected', 'lost', 'refused', 'connected'])
  })
})

describe('leases', () => {
  test('last six seconds from the sending of what was answered', async () => {
    const one = new Owner(['a'])
    one.store('a').answerMs = 40
    await one.begin(['a'])
    expect(one.replicator.leaseValid()).toBe(false)
    await one.run(100)
    expect(one.replicator.leaseValid()).toBe(true)
    await one.run(20_000)
    expect(one.replicator.leaseValid()).toBe(true)
    const untilMs = one.replicator.peers()[0]?.leaseUntilMs ?? 0
    one.store('a').mute = true
    const restMs = untilMs - one.process.clock.monotonicMs()
    expect(restMs).toBeLessThan(6000)
    expect(restMs).toBeGreaterThan(4800)
    await one.run(restMs - 1)
    expect(one.replicator.leaseValid()).toBe(true)
    await one.run(2)
    expect(one.replicator.leaseValid()).toBe(false)
    one.replicator.waitFor(one.members([]))
    expect(one.replicator.leaseValid()).toBe(true)
  })

  test('are given back, and asked for again', async () => {
    const one = await owner(['a', 'b'], ['c'])
    one.store('b').mute = true
    const released = one.replicator.release()
    expect(one.replicator.leaseValid()).toBe(false)
    await one.world.waitFor(released, 2000)
    one.store('b').mute = false
    one.store('a').heard.length = 0
    // Silence would look like a failure: the release is said again and again, and nobody is late.
    await one.run(30_000)
    expect(new Set(one.store('a').heard.map(({ type }) => type))).toEqual(new Set(['RELEASE']))
    expect(one.kinds()).toEqual(['connected', 'connected', 'connected'])
    expect(one.replicator.leaseValid()).toBe(false)
    one.replicator.resumeLeases()
    await one.run(1000)
    expect(one.replicator.leaseValid()).toBe(true)
  })

  test('are needed from nobody without members; after a release nothing is served all the same', async () => {
    const one = await owner([], ['a'])
    expect(one.replicator.leaseValid()).toBe(true)
    await one.world.waitFor(one.replicator.release(), 10)
    expect(one.replicator.leaseValid()).toBe(false)
    one.replicator.resumeLeases()
    expect(one.replicator.leaseValid()).toBe(true)
  })

  test('end with a sleep of the host', async () => {
    const one = await owner(['a'])
    const { clock } = one.process
    const bootMs = clock.bootMs.bind(clock)
    Object.assign(clock, { bootMs: () => bootMs() + 7000 })
    one.append()
    expect(one.replicator.leaseValid()).toBe(false)
    await one.run(1200)
    expect(one.replicator.leaseValid()).toBe(true)
  })
})

describe('trim', () => {
  test('is done when every member has done it, also one that was away', async () => {
    const one = await owner(['a', 'b'], [], 4)
    one.trim(2)
    await one.run(10)
    expect(one.trimmed).toEqual([2])
    expect(one.stores.map(({ log }) => log.tail.batchSeq)).toEqual([3, 3])
    one.store('b').kill()
    one.trim(3)
    await one.run(200)
    expect(one.trimmed).toEqual([2])
    one.store('b').start()
    expect(await one.until(() => one.trimmed.length === 2, 1000)).toBe(true)
    expect(one.store('b').log.tail.batchSeq).toBe(4)
    one.store('b').mute = true
    one.trim(4)
    await one.run(2500)
    expect(one.kinds('b')).toContain('late')
    one.replicator.waitFor(one.members(['a']))
    expect(one.trimmed).toEqual([2, 3, 4])
  })
})
