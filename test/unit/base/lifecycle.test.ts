// Proves: parts start in order and stop in reverse, exactly once, also after failures and when stopped while starting.
import { Lifecycle } from '../../../base/lifecycle.ts'
import { MemoryEventLog } from '../../../base/log.ts'

function setUp() {
  const log = new MemoryEventLog()
  const calls: string[] = []
  const part = (name: string, failing: 'start' | 'stop' | '' = '') => ({
    name,
    start() {
      calls.push(`+${name}`)
      if (failing === 'start') throw new Error(`no ${name}`)
    },
    async stop() {
      await Promise.resolve()
      calls.push(`-${name}`)
      if (failing === 'stop') throw new Error(`stuck ${name}`)
    },
  })
  return { log, calls, part, lifecycle: new Lifecycle(log) }
}

test('stops in reverse, once', async () => {
  const { calls, part, lifecycle } = setUp()
  for (const name of ['a', 'b', 'c']) await lifecycle.start(part(name))
  expect(lifecycle.signal.aborted).toBe(false)
  await Promise.all([lifecycle.stop(), lifecycle.stop()])
  expect(lifecycle.signal.aborted).toBe(true)
  expect(calls).toEqual(['+a', '+b', '+c', '-c', '-b', '-a'])
})

test('a part that does not start stops the others and its error arrives', async () => {
  const { calls, part, lifecycle } = setUp()
  await lifecycle.start(part('a', 'stop'))
  await expect(lifecycle.start(part('b', 'start'))).rejects.toThrow('no b')
  expect(calls).toEqual(['+a', '+b', '-a'])
})

test('a part that does not stop keeps nobody from being stopped', async () => {
  const { calls, part, lifecycle, log } = setUp()
  await lifecycle.start(part('a'))
  await lifecycle.start(part('b', 'stop'))
  await expect(lifecycle.stop()).rejects.toThrow('stuck b')
  expect(calls).toEqual(['+a', '+b', '-b', '-a'])
  expect(log.named('lifecycle.stop_failed')).toHaveLength(1)
})

test('a part that finishes its start after the stop began is stopped too', async () => {
  const { calls, lifecycle } = setUp()
  let ready = (): void => {}
  const starting = lifecycle.start({
    name: 'slow',
    start: () => new Promise<void>((resolve) => (ready = resolve)),
    stop: () => void calls.push('-slow'),
  })
  await lifecycle.stop()
  ready()
  await starting
  expect(calls).toEqual(['-slow'])
})
