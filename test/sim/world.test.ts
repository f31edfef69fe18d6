// Proves the world: virtual time, a seeded order of what happens at once, promises settled between events, and a dead
// process that has no effect and is not called any more.
import { Process, World } from './world.ts'

const ORIGINS = { monotonicMs: 100, bootMs: 200, wallMs: 300 }

function processOf(world: World): Process {
  return new Process(world, 'engine', ORIGINS, () => undefined)
}

describe('events', () => {
  test('come in the order of their time', async () => {
    const world = new World('time')
    const seen: string[] = []
    world.schedule(20, 'late', () => seen.push(`late ${world.nowMs}`))
    world.schedule(10, 'early', () => seen.push(`early ${world.nowMs}`))
    expect(await world.run(() => false, 100)).toBe('no-more-events')
    expect(seen).toEqual(['early 10', 'late 20'])
  })

  test('at one time come in an order that the seed draws', async () => {
    const orderOf = async (seed: string): Promise<string> => {
      const world = new World(seed)
      let seen = ''
      for (const name of 'abcdefgh') world.schedule(5, name, () => (seen += name))
      await world.run(() => false, 100)
      return seen
    }
    expect(await orderOf('one')).toBe(await orderOf('one'))
    expect(await orderOf('one')).not.toBe(await orderOf('two'))
  })

  test('end at the time limit and go on from there', async () => {
    const world = new World('limit')
    let ran = false
    world.schedule(50, 'later', () => (ran = true))
    expect(await world.run(() => false, 30)).toBe('time-limit')
    expect([world.nowMs, ran]).toEqual([30, false])
    await world.run(() => ran, 30)
    expect(ran).toBe(true)
  })

  test('let async code run in between', async () => {
    const world = new World('async')
    const seen: string[] = []
    const wait = (ms: number): Promise<void> => new Promise((resolve) => void world.schedule(ms, 'wait', resolve))
    const actor = async (): Promise<void> => {
      await wait(1)
      await Promise.resolve().then(() => undefined)
      seen.push('actor')
    }
    void actor()
    world.schedule(2, 'after', () => seen.push('after'))
    await world.run(() => false, 10)
    expect(seen).toEqual(['actor', 'after'])
  })
})

describe('a process', () => {
  test('has clocks with origins of their own and timers that can be cancelled', async () => {
    const world = new World('clocks')
    const process = processOf(world)
    const seen: number[] = []
    process.timers.after(5, () =>
      seen.push(process.clock.monotonicMs(), process.clock.bootMs(), process.clock.wallMs()),
    )
    process.timers.after(6, () => seen.push(-1)).cancel()
    await world.run(() => false, 10)
    expect(seen).toEqual([105, 205, 305])
    expect(process.timersSet).toBe(0)
  })

  test('runs what is due soon before the next event', async () => {
    const world = new World('soon')
    const process = processOf(world)
    const seen: string[] = []
    world.schedule(1, 'first', () => process.timers.soon(() => seen.push('soon')))
    world.schedule(1.0001, 'second', () => seen.push('second'))
    await world.run(() => false, 10)
    expect(seen).toEqual(['soon', 'second'])
  })

  test.each([
    ['before', false, 2],
    ['after', true, 3],
  ])('dies at a planned step %s its effect', (_when, afterEffect, effects) => {
    const process = processOf(new World('death'))
    process.dieAtStep = 3
    process.dieAfterEffect = afterEffect
    let done = 0
    for (let i = 0; i < 5; i++) process.effect(() => done++)
    expect(done).toBe(effects)
    expect(process.alive).toBe(false)
  })

  test('is not called by its timers once it is dead', async () => {
    const world = new World('dead timers')
    const process = processOf(world)
    let called = false
    process.timers.after(5, () => (called = true))
    process.timers.soon(() => (called = true))
    process.die()
    await world.run(() => false, 10)
    expect(called).toBe(false)
  })
})
