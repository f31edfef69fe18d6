// Proves, against simulated stores: how a learner is filled, when it joins and may be listed, that a trim may pass it, that
// it never gets more than its window nor holds anything up for long, and why it is dropped.
import { owner } from './owner-kit.ts'

describe('a learner', () => {
  test('of an empty log joins at once; listed, it is waited for like any other', async () => {
    const one = await owner(['a'], ['b'])
    one.replicator.learn('b')
    expect(one.replicator.peers()[1]?.state).toBe('learning')
    await one.run(100)
    expect(one.kinds('b')).toEqual(['connected', 'connected', 'joined'])
    expect(one.replicator.joinedMember('b')).toEqual(one.store('b').member)
    one.replicator.waitFor(one.members(['a', 'b']))
    expect(one.kinds('b')).toHaveLength(3)
    expect(one.replicator.leaseValid()).toBe(true)
    one.store('b').answerMs = 50
    one.append()
    await one.run(20)
    expect(one.completed).toEqual([])
    await one.run(50)
    expect(one.completed).toEqual([1])
    // Without the key, with the key, as a learner; none when it became a member.
    expect(one.store('b').heard.filter(({ type }) => type === 'HELLO')).toHaveLength(3)
  })

  test('gets the whole un-trimmed log, batch by batch, and joins when it has it', async () => {
    const one = await owner(['a'], ['b'], 300)
    one.trim(100)
    await one.run(10)
    one.store('b').adopt(one.ownLog(), one.ownBatches().slice(0, 5), 3, 1)
    one.replicator.learn('b')
    expect(await one.until(() => one.kinds().includes('joined'), 2000)).toBe(true)
    expect(one.store('b').held.map(({ batchSeq, headerHash }) => [batchSeq, headerHash])).toEqual([...one.hashes()])
    expect(one.store('b').log.tail).toEqual(one.log.begin)
    expect(one.replicator.peers()[1]).toMatchObject({ state: 'joined', lagBatches: 0, lagBytes: 0 })
  })

  test('joins under load, and nobody waits for it before it is close', async () => {
    const one = await owner(['a'], ['b'], 200)
    one.replicator.learn('b')
    let most = 0
    for (let i = 0; i < 3000 && !one.kinds().includes('joined'); i++) {
      one.append()
      const before = one.world.nowMs
      expect(await one.until(() => !one.isFlying, 2500)).toBe(true)
      most = Math.max(most, one.world.nowMs - before)
    }
    expect(one.kinds()).toContain('joined')
    expect(most).toBeLessThan(500)
    const joinedAt = one.store('b').log.lastBatchSeq
    expect(joinedAt).toBeGreaterThanOrEqual(one.completed.at(-1) ?? 0)
    expect(one.replicator.joinedMember('b')).toEqual(one.store('b').member)
  })

  test('that is passed by a trim begins anew behind it', async () => {
    const one = await owner(['a'], ['b'], 400)
    one.log.readMs = 2
    one.replicator.learn('b')
    expect(await one.until(() => one.store('b').held.length > 20, 2000)).toBe(true)
    one.store('b').answerMs = 20
    one.trim(390)
    expect(await one.until(() => one.trimmed.length === 1, 2000)).toBe(true)
    // Nothing of what was trimmed is there when the trim is done (2.4).
    expect(one.store('b').log.tail.batchSeq).toBe(391)
    expect(await one.until(() => one.kinds().includes('joined'), 2000)).toBe(true)
    expect(one.store('b').held.map(({ batchSeq }) => batchSeq)).toEqual([
      391, 392, 393, 394, 395, 396, 397, 398, 399, 400,
    ])
    expect(one.store('b').heard.filter(({ type }) => type === 'LEARN')).toHaveLength(2)
  })

  test('a trim within what it was sent is a trim like any other', async () => {
    const one = await owner(['a'], ['b'], 100)
    one.replicator.learn('b')
    expect(await one.until(() => one.kinds().includes('joined'), 2000)).toBe(true)
    one.trim(60)
    await one.run(20)
    expect(one.trimmed).toEqual([60])
    expect(one.store('b').log.tail.batchSeq).toBe(61)
    expect(one.store('b').heard.filter(({ type }) => type === 'LEARN')).toHaveLength(1)
  })

  test('is dropped when its connection ends, and nothing waits for it', async () => {
    const one = await owner(['a'], ['b'], 100)
    one.log.readMs = 2
    one.replicator.learn('b')
    expect(await one.until(() => one.store('b').held.length > 20, 2000)).toBe(true)
    one.network.reset('owner', 'b')
    one.append()
    await one.run(500)
    expect(one.kinds('b').slice(-3)).toEqual(['learner-failed', 'lost', 'connected'])
    expect(one.completed).toEqual([101])
    expect(one.replicator.peers()[1]?.state).toBe('candidate')
    one.replicator.learn('b')
    expect(await one.until(() => one.kinds().at(-1) === 'joined', 2000)).toBe(true)
  })

  test('that has joined and answers no more holds a batch up for no longer than a member may', async () => {
    const one = await owner(['a'], ['b'])
    one.replicator.learn('b')
    await one.run(100)
    one.store('b').mute = true
    one.append()
    await one.run(1500)
    expect(one.completed).toEqual([])
    await one.run(1000)
    expect(one.completed).toEqual([1])
    expect(one.kinds('b')).toContain('learner-failed')
    expect(one.replicator.joinedMember('b')).toBeNull()
  })

  test('that has joined and is gone before the engine asked is not to be listed', async () => {
    const one = await owner(['a'], ['b'])
    const found: unknown[] = []
    one.onEvent = ({ kind }) => {
      if (kind !== 'joined') return
      one.network.reset('owner', 'b')
      one.process.timers.after(1, () => found.push(one.replicator.joinedMember('b')))
    }
    one.replicator.learn('b')
    await one.run(100)
    expect(found).toEqual([null])
  })

  test('is not listed before its trim is ours, and announced again when it is', async () => {
    const one = await owner(['a'], ['b'], 10)
    one.replicator.learn('b')
    expect(await one.until(() => one.kinds().includes('joined'), 2000)).toBe(true)
    one.log.trimTo(5)
    expect(one.replicator.joinedMember('b')).toBeNull()
    one.replicator.trim(5, () => {})
    await one.run(20)
    expect(one.kinds().filter((kind) => kind === 'joined')).toHaveLength(2)
    expect(one.replicator.joinedMember('b')).toEqual(one.store('b').member)
  })

  test('without a lease is not announced', async () => {
    const one = await owner(['a'], ['b'], 3)
    await one.world.waitFor(one.replicator.release(), 2000)
    one.replicator.learn('b')
    await one.run(200)
    expect(one.replicator.peers()[1]?.state).toBe('joined')
    expect(one.kinds()).not.toContain('joined')
    one.replicator.resumeLeases()
    await one.run(200)
    expect(one.kinds().at(-1)).toBe('joined')
  })

  test('for which there is no room, no source, no answer, is dropped with a reason', async () => {
    const one = await owner(['a'], ['b', 'c', 'd'], 10)
    one.store('b').freeBytes = 10
    one.replicator.learn('b')
    await one.run(200)
    expect(one.kinds('b')).toContain('learner-failed')
    expect(one.events.find(({ kind }) => kind === 'refused')).toMatchObject({ node: 'b', code: 'full' })
    one.log.failing.add(4)
    one.replicator.learn('c')
    await one.run(200)
    expect(one.events.at(-2)).toMatchObject({ kind: 'learner-failed', reason: 'own log is not readable: EIO' })
    one.store('d').kill()
    one.replicator.learn('d')
    await one.run(9_000)
    expect(one.kinds('d')).not.toContain('learner-failed')
    await one.run(2_000)
    expect(one.events.at(-1)).toMatchObject({ kind: 'learner-failed', reason: 'no answer while waiting' })
  })

  test('that reads nothing is sent no more than the window', async () => {
    const one = await owner(['a'], ['b'], 60)
    for (let i = 0; i < 20; i++) {
      one.append(2000)
      await one.until(() => !one.isFlying, 1000)
    }
    one.trim(60)
    await one.run(10)
    one.replicator.learn('b')
    await one.until(() => one.store('b').heard.some(({ type }) => type === 'APPEND'), 1000)
    one.store('b').mute = true
    await one.run(2000)
    const { lagBytes } = one.replicator.peers()[1] ?? { lagBytes: 0 }
    expect(lagBytes).toBeGreaterThan(3 * 1024 * 1024)
    expect(lagBytes).toBeLessThan(6 * 1024 * 1024)
    await one.run(9000)
    expect(one.kinds('b')).toContain('learner-failed')
  })

  test('is forgotten on demand', async () => {
    const one = await owner(['a'], ['b'], 50)
    one.replicator.learn('b')
    one.replicator.learn('b')
    await one.run(1)
    one.replicator.forget('b')
    one.replicator.forget('a')
    one.replicator.forget('nobody')
    await one.run(200)
    expect(one.kinds()).not.toContain('joined')
    expect(one.kinds()).not.toContain('learner-failed')
    expect(one.replicator.peers().map(({ state }) => state)).toEqual(['member', 'candidate'])
  })

  test('is forgotten while a batch is read for it', async () => {
    const one = await owner(['a'], ['b'], 50)
    one.log.readMs = 20
    one.replicator.learn('b')
    expect(await one.until(() => one.log.reads > 0, 2000)).toBe(true)
    one.replicator.forget('b')
    await one.run(200)
    expect(one.log.reads).toBe(1)
    expect(one.store('b').held).toEqual([])
    expect(one.replicator.peers().map(({ state }) => state)).toEqual(['member', 'candidate'])
  })
})
