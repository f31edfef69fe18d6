// Proves: each effect breaks a stream as a real network would: order is kept, nothing is missing while it lives, and
// `closed` comes exactly once. Over two ends joined in memory.
import type { Timer, Timers } from '../../../../../base/clock.ts'
import type { IoError } from '../../../../../base/errors.ts'
import { createPrng } from '../../../../../base/prng.ts'
import { FaultPlan } from '../../../../../csi-driver/io/faulty/fault-plan.ts'
import { parseFaultRule } from '../../../../../csi-driver/io/faulty/fault-rule.ts'
import { FaultyNetwork, FaultyPeerNetwork } from '../../../../../csi-driver/io/faulty/faulty-network.ts'
import type { ByteStream, Network, StreamHandlers } from '../../../../../csi-driver/io/network.ts'
import type { PeerNetwork } from '../../../../../csi-driver/io/peer-network.ts'

class End implements ByteStream {
  readonly remote = 'memory'
  readonly pendingBytes = 0
  other: End | null = null
  handlers: StreamHandlers | null = null
  closed = false

  start(handlers: StreamHandlers): void {
    this.handlers = handlers
  }
  write(bytes: Buffer): boolean {
    if (!this.closed) this.other?.handlers?.data(bytes)
    return true
  }
  push(): void {}

  pause(): void {}
  resume(): void {}
  end(): void {
    this.other?.handlers?.end?.()
  }
  destroy(): void {
    for (const end of [this, this.other]) {
      if (end === null || end.closed) continue
      end.closed = true
      end.handlers?.closed(null)
    }
  }
}

function setUp(...rules: string[]) {
  const near = new End()
  const far = new End()
  near.other = far
  far.other = near
  const network: Network = {
    listen: () => {},
    connect: (_address, done) => done(null, near),
  }
  const later: { delayMs: number; run: () => void }[] = []
  const timers: Timers = {
    after(delayMs: number, run: () => void): Timer {
      later.push({ delayMs, run })
      return { cancel() {} }
    },
    soon: (run) => run(),
  }
  const plan = new FaultPlan('peer', createPrng('network'))
  for (const text of rules) {
    const parsed = parseFaultRule(text)
    if (!parsed.ok) throw new Error(parsed.problem)
    plan.add(parsed.rule)
  }
  const faulty = new FaultyNetwork({ network, plan, timers })
  const seen = { near: [] as string[], far: [] as string[], connectError: null as IoError | null }
  const handlers = (list: string[]): StreamHandlers => ({
    data: (bytes) => list.push(bytes.toString()),
    end: () => list.push('(end)'),
    closed: (error) => list.push(`(closed ${error?.code ?? 'well'})`),
  })
  far.start(handlers(seen.far))
  let stream: ByteStream | null = null
  faulty.connect({ kind: 'unix', path: '/x' }, (error, connected) => {
    seen.connectError = error
    stream = connected
    connected?.start(handlers(seen.near))
  })
  const near2 = (): ByteStream => {
    if (stream === null) throw new Error('not connected')
    return stream
  }
  return { near: near2, far, seen, later }
}

test('without a rule everything passes', () => {
  const { near, far, seen } = setUp()
  near().write(Buffer.from('a'))
  far.write(Buffer.from('b'))
  far.end()
  near().end()
  near().destroy()
  expect(seen).toMatchObject({ far: ['a', '(end)', '(closed well)'], near: ['b', '(end)', '(closed well)'] })
})

test('connect fails, comes late, or never', () => {
  expect(setUp('fault://peer?op=connect&error=ECONNREFUSED').seen.connectError?.code).toBe('ECONNREFUSED')
  const late = setUp('fault://peer?op=connect&delay=50ms')
  expect(late.near).toThrow('not connected')
  late.later[0]?.run()
  expect(late.near()).toBeDefined()
  expect(setUp('fault://peer?op=connect&hang=yes').near).toThrow('not connected')
})

test.each(['data', 'write'])('op=%s error and lost break the stream', (op) => {
  for (const [effect, told] of [
    ['error=EPIPE', 'EPIPE'],
    ['lost=yes', 'well'],
  ] as const) {
    const { near, far, seen } = setUp(`fault://peer?op=${op}&begin=1&${effect}`)
    for (const text of ['1', '2', '3']) (op === 'data' ? far : near()).write(Buffer.from(text))
    const [receiver, sender] = op === 'data' ? [seen.near, seen.far] : [seen.far, seen.near]
    expect(receiver[0]).toBe('1')
    expect(seen.near.at(-1)).toBe(`(closed ${told})`)
    expect(receiver.join('') + sender.join('')).not.toMatch(/[23]/)
  }
})

test('late bytes keep their order', () => {
  const { near, far, seen, later } = setUp('fault://peer?op=data&delay=10ms', 'fault://peer?op=write&delay=10ms')
  for (const text of ['1', '2', '3']) {
    far.write(Buffer.from(text))
    near().write(Buffer.from(text))
  }
  far.end()
  near().end()
  expect([seen.near, seen.far]).toEqual([[], []])
  for (const one of later) one.run()
  expect([seen.near, seen.far]).toEqual([
    ['1', '2', '3', '(end)'],
    ['1', '2', '3', '(end)'],
  ])
})

test('a step that is late again keeps the rest behind it', () => {
  const { far, seen, later } = setUp('fault://peer?op=data&count=2&delay=10ms')
  for (const text of ['1', '2', '3']) far.write(Buffer.from(text))
  later[0]?.run()
  expect(seen.near).toEqual(['1'])
  later[1]?.run()
  expect(seen.near).toEqual(['1', '2', '3'])
})

test('hang: nothing any more', () => {
  const { near, far, seen } = setUp('fault://peer?op=data&begin=1&hang=yes')
  for (const text of ['1', '2', '3']) far.write(Buffer.from(text))
  near().write(Buffer.from('still'))
  expect([seen.near, seen.far]).toEqual([['1'], ['still']])
})

test('torn: a part, then broken', () => {
  const { far, seen } = setUp('fault://peer?op=data&torn=prefix')
  far.write(Buffer.from('0123456789'))
  far.write(Buffer.from('never'))
  expect('0123456789'.startsWith(seen.near[0] as string)).toBe(true)
  expect(seen.near).toHaveLength(2)
  expect(seen.near[1]).toBe('(closed ECONNRESET)')
})

test('split: the same bytes in pieces', () => {
  const { far, seen } = setUp('fault://peer?op=data&count=all&split=yes')
  const text = 'x'.repeat(500)
  far.write(Buffer.from(text))
  expect(seen.near.join('')).toBe(text)
  expect(seen.near.length).toBeGreaterThan(5)
})

test('flip: other bytes, the sender’s are untouched', () => {
  const { far, seen } = setUp('fault://peer?op=data&flip=1')
  const sent = Buffer.from('aaaa')
  far.write(sent)
  expect(sent.toString()).toBe('aaaa')
  expect(seen.near[0]).not.toBe('aaaa')
})

test('streams between nodes: the same faults, and who the other side is', () => {
  const near = new End()
  const far = new End()
  near.other = far
  far.other = near
  const peerStream = Object.assign(near, { peerNode: 'b', exporter: () => Buffer.alloc(32, 7) })
  const plan = new FaultPlan('peer', createPrng('peer-network'))
  const rule = parseFaultRule('fault://peer?op=write&begin=1&error=EPIPE')
  if (!rule.ok) throw new Error(rule.problem)
  plan.add(rule.rule)
  const network: PeerNetwork = {
    listen: (_address, onStream, done) => {
      onStream(peerStream)
      done(null, null)
    },
    connect: (_address, node, done) => done(null, node === 'b' ? peerStream : null),
  }
  const timers: Timers = { after: () => ({ cancel() {} }), soon: (run) => run() }
  const faulty = new FaultyPeerNetwork({ network, plan, timers })
  const seen: string[] = []
  far.start({ data: (bytes) => seen.push(bytes.toString()), closed: () => seen.push('(closed)') })
  faulty.connect({ kind: 'tcp', host: 'h', port: 1 }, 'b', (error, stream) => {
    expect(error).toBeNull()
    expect([stream?.peerNode, stream?.exporter().length]).toEqual(['b', 32])
    stream?.start({ data() {}, closed: (reason) => seen.push(`(near ${reason?.code})`) })
    stream?.write(Buffer.from('one'))
    stream?.write(Buffer.from('two'))
  })
  expect(seen).toEqual(['one', '(near EPIPE)', '(closed)'])
  let accepted = ''
  faulty.listen(
    { kind: 'tcp', host: 'h', port: 1 },
    (stream) => (accepted = stream.peerNode),
    () => {},
  )
  expect(accepted).toBe('b')
})
