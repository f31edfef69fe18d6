// Proves the translation between kernel and engine on a channel in memory: every kind of request, bounds, replies in
// full or as errors, re-sent requests, pauses, stopping, and that no bytes from the kernel's side make it throw.
import fc from 'fast-check'
import type { Timers } from '../../../../../base/clock.ts'
import type { Request } from '../../../../../csi-driver/engine/request.ts'
import type { FuseFrontendOptions } from '../../../../../csi-driver/frontend/fuse/fuse-frontend.ts'
import { FuseFrontend } from '../../../../../csi-driver/frontend/fuse/fuse-frontend.ts'
import type { FuseSession } from '../../../../../csi-driver/frontend/fuse/negotiate.ts'
import { FakeChannel, fallocateBody, initBody, readBody, requestBytes, writeBody } from './fake-channel.ts'

const READ = 15
const WRITE = 16
const FSYNC = 20
const INIT = 26
const FALLOCATE = 43
const RESENT = 1n << 63n
const session: FuseSession = { minor: 40, flags: 1, flags2: 0x80, maxWrite: 1 << 20, resend: true, sessionHex: 'ab' }

class World {
  readonly channel: FakeChannel
  readonly frontend: FuseFrontend
  readonly submitted: Request[] = []
  readonly events: string[] = []
  readonly timeouts: (() => void)[] = []
  readonly sink = {
    submit: (request: Request) => {
      this.submitted.push(request)
      this.onSubmit(request)
    },
    kick: () => {
      this.kicks++
    },
    sizeBytes: 1 << 20,
    canZero: true,
  }
  kicks = 0
  session: FuseSession | null = null
  onSubmit: (request: Request) => void = () => {}

  constructor(options: Partial<FuseFrontendOptions> = {}, kind: 'epoll' | 'readers' = 'epoll') {
    this.channel = new FakeChannel(kind)
    const timers: Timers = {
      after: (_delayMs, callback) => {
        this.timeouts.push(callback)
        return { cancel() {} }
      },
      soon: (callback) => callback(),
    }
    this.frontend = new FuseFrontend({
      channel: this.channel,
      sink: this.sink,
      memory: { allocate: (length) => Buffer.alloc(length) },
      timers,
      fileName: 'volume',
      sessionHex: '0123456789abcdef',
      events: {
        onSession: (value) => {
          this.session = value
          this.events.push(`session, replies ${this.channel.replies.length}`)
        },
        onResendDrained: () => this.events.push('resend drained'),
        onRefused: (error) => this.events.push(`refused ${error.code}`),
        onClosed: (end) => this.events.push(`closed ${end.reason}`),
      },
      ...options,
    })
    this.frontend.start()
  }

  last(): Request {
    return this.submitted.at(-1)!
  }
}

describe('INIT', () => {
  test('the session is announced before the kernel hears of it', () => {
    const world = new World()
    const [reply] = world.channel.send({ opcode: INIT, body: initBody() })
    expect(world.events).toEqual(['session, replies 0'])
    expect(world.session).toMatchObject({ minor: 40, resend: true, sessionHex: '0123456789abcdef' })
    expect(reply?.error).toBe(0)
    expect(reply?.body.readUInt32LE(12)).toBe(world.session?.flags)
    expect(world.frontend.negotiated).toEqual(world.session)
  })

  test('a kernel without ASYNC_DIO is refused', () => {
    const world = new World()
    expect(world.channel.send({ opcode: INIT, body: initBody(0x73ff_fffb & ~0x8000) })[0]?.error).toBe(-71)
    expect(world.events).toEqual(['refused CACHE_FUSE_NO_ASYNC_DIO'])
  })

  test('RESEND can be masked', () => {
    const world = new World({ maskResend: true })
    world.channel.send({ opcode: INIT, body: initBody() })
    expect(world.session?.resend).toBe(false)
  })

  test('the second word of flags counts only if the first says so', () => {
    const world = new World()
    world.channel.send({ opcode: INIT, body: initBody(0x33ff_fffb) })
    expect(world.session?.resend).toBe(false)
  })
})

describe('READ', () => {
  test('data is answered in one message, filled in by the engine', () => {
    const world = new World()
    expect(world.channel.send({ opcode: READ, unique: 6n, body: readBody(4096n, 1024) })).toEqual([])
    const request = world.last()
    expect(request).toMatchObject({ kind: 1, offset: 4096, length: 1024, resent: false, uniqueLow: 6, uniqueHigh: 0 })
    request.data.fill('d', request.dataStart, request.dataStart + 1024)
    request.complete(0)
    expect(world.channel.replies).toEqual([{ error: 0, unique: 6n, body: Buffer.alloc(1024, 'd') }])
    expect(world.frontend.counters).toMatchObject({ reads: 1, readBytes: 1024, inFlight: 0 })
  })

  test('an error carries no data', () => {
    const world = new World()
    world.channel.send({ opcode: READ, body: readBody(0n, 4096) })
    world.last().complete(5)
    expect(world.channel.replies).toEqual([{ error: -5, unique: 2n, body: Buffer.alloc(0) }])
    expect(world.frontend.counters.failed).toBe(1)
  })

  test('at the end of the volume it is short, behind it empty', () => {
    const world = new World()
    world.channel.send({ opcode: READ, body: readBody(BigInt(world.sink.sizeBytes - 512), 4096) })
    expect(world.last().length).toBe(512)
    expect(world.channel.send({ opcode: READ, body: readBody(BigInt(world.sink.sizeBytes), 4096) })).toEqual([
      { error: 0, unique: 2n, body: Buffer.alloc(0) },
    ])
    expect(world.submitted.length).toBe(1)
  })

  test.each([
    [1n, 512],
    [512n, 100],
    [0n, 2 << 20],
    [1n << 62n, 512],
  ])('offset %s size %i is refused', (offset, size) => {
    const world = new World()
    expect(world.channel.send({ opcode: READ, body: readBody(offset, size) })[0]?.error).toBe(-22)
    expect(world.submitted).toEqual([])
  })
})

describe('WRITE', () => {
  test('the payload is passed on in place and acknowledged in full', () => {
    const world = new World()
    const data = Buffer.alloc(1536, 'w')
    let seen = ''
    world.onSubmit = ({ data: buffer, dataStart, length }) =>
      (seen = buffer.toString('latin1', dataStart, dataStart + length))
    expect(world.channel.send({ opcode: WRITE, unique: 8n, body: writeBody(512n, data) })).toEqual([])
    expect(seen).toBe(data.toString())
    expect(world.last()).toMatchObject({ kind: 2, offset: 512, length: 1536, forceUnitAccess: false })
    world.last().complete(0)
    const body = Buffer.alloc(8)
    body.writeUInt32LE(1536, 0)
    expect(world.channel.replies).toEqual([{ error: 0, unique: 8n, body }])
  })

  test('a file opened with O_DSYNC or O_SYNC wants each write durable', () => {
    const world = new World()
    world.channel.send({ opcode: WRITE, body: writeBody(0n, Buffer.alloc(512), 0o10000) })
    expect(world.last().forceUnitAccess).toBe(true)
    world.last().complete(0)
    world.channel.send({ opcode: WRITE, body: writeBody(0n, Buffer.alloc(512), 0o4010000) })
    expect(world.last().forceUnitAccess).toBe(true)
    world.last().complete(28)
    expect(world.channel.replies.at(-1)?.error).toBe(-28)
    // The mark does not stick to the pooled request.
    world.channel.send({ opcode: FSYNC })
    expect(world.last().forceUnitAccess).toBe(false)
  })

  test('beyond the end, unaligned, empty or of another length than it says: refused', () => {
    const world = new World()
    const data = Buffer.alloc(1024)
    const bodies = [
      writeBody(BigInt(world.sink.sizeBytes - 512), data),
      writeBody(100n, data),
      writeBody(0n, Buffer.alloc(0)),
      writeBody(0n, Buffer.alloc(100)),
      writeBody(0n, data, 0, 512),
      writeBody(0n, data, 0, 2048),
      Buffer.alloc(16),
    ]
    for (const body of bodies) expect(world.channel.send({ opcode: WRITE, body })[0]?.error).toBe(-22)
    expect(world.submitted).toEqual([])
    expect(world.frontend.counters.failed).toBe(bodies.length)
  })
})

describe('FALLOCATE and FSYNC', () => {
  test.each([
    [3, true],
    [17, false],
  ])('mode %i zeroes, may unmap: %s', (mode, mayUnmap) => {
    const world = new World()
    world.sink.sizeBytes = 8 * 2 ** 30
    world.channel.send({ opcode: FALLOCATE, body: fallocateBody(512n, 4n * 2n ** 30n - 512n, mode) })
    expect(world.last()).toMatchObject({ kind: 3, offset: 512, length: 4 * 2 ** 30 - 512, mayUnmap })
    world.last().complete(0)
    expect(world.channel.replies).toEqual([{ error: 0, unique: 2n, body: Buffer.alloc(0) }])
  })

  test('other modes, and all where the engine cannot zero, are unsupported', () => {
    const world = new World()
    for (const mode of [0, 1, 2, 16, 32]) {
      expect(world.channel.send({ opcode: FALLOCATE, body: fallocateBody(0n, 512n, mode) })[0]?.error).toBe(-95)
    }
    world.sink.canZero = false
    expect(world.channel.send({ opcode: FALLOCATE, body: fallocateBody(0n, 512n, 3) })[0]?.error).toBe(-95)
  })

  test('ranges are checked', () => {
    const world = new World()
    for (const [offset, length] of [
      [0n, 0n],
      [1n, 512n],
      [0n, 2n ** 63n],
      [2n ** 63n, 512n],
      [0n, 2n << 20n],
    ] as const) {
      expect(world.channel.send({ opcode: FALLOCATE, body: fallocateBody(offset, length, 3) })[0]?.error).toBe(-22)
    }
  })

  test('a flush reaches the engine, however often', () => {
    const world = new World()
    for (let round = 0; round < 3; round++) {
      world.channel.send({ opcode: FSYNC })
      expect(world.last()).toMatchObject({ kind: 4, offset: 0, length: 0 })
      world.last().complete(round === 1 ? 5 : 0)
    }
    expect(world.channel.replies.map(({ error }) => error)).toEqual([0, -5, 0])
  })
})

describe('what needs no engine', () => {
  test('look-up, an interrupt, a forget, an unknown opcode', () => {
    const world = new World()
    const body = Buffer.from('volume\0')
    expect(world.channel.send({ opcode: 1, node: 1n, body })[0]).toMatchObject({ error: 0 })
    expect(world.channel.send({ opcode: 36 })[0]?.error).toBe(-38)
    expect(world.channel.send({ opcode: 2 })).toEqual([])
    expect(world.channel.send({ opcode: 42 })).toEqual([])
    expect(world.channel.send({ opcode: 999 })[0]?.error).toBe(-38)
  })

  test('a new size is announced', () => {
    const world = new World()
    world.frontend.sizeChanged()
    const body = Buffer.alloc(24)
    body.writeBigUInt64LE(2n, 0)
    body.writeBigInt64LE(-1n, 8)
    expect(world.channel.replies).toEqual([{ error: 2, unique: 0n, body }])
  })

  test('end of a drain: the engine is kicked, and polling makes sense only while nothing is outstanding', () => {
    const world = new World()
    world.channel.send({ opcode: FSYNC })
    expect(world.channel.on().onDrained()).toBe(false)
    world.last().complete(0)
    expect(world.channel.on().onDrained()).toBe(true)
    expect(world.kicks).toBe(2)
  })
})

describe('taking a connection over', () => {
  test('asks first; a re-sent request is marked, named without the mark, and answered with it', () => {
    const world = new World({ resume: session })
    expect(world.channel.replies).toEqual([{ error: 7, unique: 0n, body: Buffer.alloc(0) }])
    world.channel.send({ opcode: READ, unique: RESENT | (5n << 32n) | 9n, body: readBody(0n, 512) })
    expect(world.last()).toMatchObject({ resent: true, uniqueLow: 9, uniqueHigh: 5 })
    world.last().complete(0)
    expect(world.channel.replies[1]?.unique).toBe(RESENT | (5n << 32n) | 9n)
    expect(world.events).toEqual([])
    world.channel.send({ opcode: 2, unique: 4n })
    world.channel.send({ opcode: 36, unique: 5n })
    expect(world.events).toEqual([])
    world.channel.send({ opcode: READ, unique: 10n, body: readBody(0n, 512) })
    expect(world.events).toEqual(['resend drained'])
    world.channel.on().onQueueEmpty()
    expect(world.events).toEqual(['resend drained'])
  })

  test('an empty queue ends it as well', () => {
    const world = new World({ resume: session })
    world.channel.on().onQueueEmpty()
    expect(world.events).toEqual(['resend drained'])
  })

  test('blocking readers: a second without a re-sent request', () => {
    const world = new World({ resume: session }, 'readers')
    world.channel.send({ opcode: READ, unique: RESENT | 9n, body: readBody(0n, 512) })
    world.channel.send({ opcode: READ, unique: 10n, body: readBody(0n, 512) })
    world.timeouts.shift()?.()
    expect(world.events).toEqual([])
    world.timeouts.shift()?.()
    expect(world.events).toEqual(['resend drained'])
  })

  test('without RESEND nothing is asked for', () => {
    const world = new World({ resume: { ...session, resend: false } })
    expect(world.channel.replies).toEqual([])
  })
})

describe('limits and ends', () => {
  test('reading pauses when the pool is exhausted and goes on when a request is done', () => {
    const world = new World()
    while (!world.channel.paused) world.channel.send({ opcode: READ, body: readBody(0n, 1 << 20) })
    expect(world.frontend.counters.pauses).toBe(1)
    expect(world.frontend.readMemoryBytes).toBeLessThanOrEqual(48 << 20)
    world.submitted[0]?.complete(0)
    expect(world.channel.paused).toBe(false)
    for (const request of world.submitted.slice(1)) request.complete(0)
    expect(world.frontend.counters.inFlight).toBe(0)
  })

  test('stop waits for what is in flight', () => {
    const world = new World()
    world.channel.send({ opcode: FSYNC })
    world.frontend.stop(() => world.events.push('stopped'))
    expect(world.channel.stopped).toBe(true)
    expect(world.events).toEqual([])
    world.last().complete(0)
    expect(world.events).toEqual(['stopped'])
    expect(world.channel.replies.length).toBe(1)
  })

  test('stop wakes readers that block, and waits for what they bring', () => {
    const world = new World({}, 'readers')
    world.channel.blockedReads = 2
    world.frontend.stop(() => world.events.push('stopped'))
    expect(world.channel.replies.map(({ error, unique, body }) => [error, unique, body.length])).toEqual([
      [5, 0n, 32],
      [5, 0n, 32],
    ])
    expect(world.channel.send({ opcode: 41, unique: 0n })).toEqual([])
    world.channel.send({ opcode: FSYNC })
    world.channel.onStopped()
    expect(world.events).toEqual([])
    world.last().complete(0)
    expect(world.events).toEqual(['stopped'])
  })

  test('stop of an idle front end is at once', () => {
    const world = new World()
    world.frontend.stop(() => world.events.push('stopped'))
    expect(world.events).toEqual(['stopped'])
  })

  test('after the connection has ended requests still complete, without replies', () => {
    const world = new World()
    world.channel.send({ opcode: FSYNC })
    world.channel.on().onClosed({ reason: 'aborted' })
    world.last().complete(0)
    expect(world.events).toEqual(['closed aborted'])
    expect(world.channel.replies).toEqual([])
  })

  test('nothing that the kernel could send makes it throw or reach outside the volume', () => {
    const opcode = fc.oneof(fc.constantFrom(READ, WRITE, FSYNC, FALLOCATE, INIT, 1, 3, 4, 14, 17, 36), fc.nat(60))
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(fc.nat(4096), fc.nat(4096)).map(([offset, size]) => readBody(BigInt(offset) * 512n, size * 512)),
      fc
        .tuple(fc.nat(4096), fc.nat(8))
        .map(([offset, size]) => writeBody(BigInt(offset) * 512n, Buffer.alloc(size * 512))),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(opcode, body), { maxLength: 30 }), (requests) => {
        const world = new World()
        world.onSubmit = (request) => {
          const { kind, offset, length } = request
          expect(offset % 512).toBe(0)
          expect(length % 512).toBe(0)
          expect(offset + length).toBeLessThanOrEqual(world.sink.sizeBytes)
          expect(length > 0).toBe(kind !== 4)
          request.complete(0)
        }
        for (const [code, bytes] of requests) {
          const request = { opcode: code, body: Buffer.from(bytes) }
          const replies = world.channel.deliver(requestBytes(request))
          expect(replies.length).toBe([2, 41, 42].includes(code) ? 0 : 1)
        }
      }),
    )
  })
})
