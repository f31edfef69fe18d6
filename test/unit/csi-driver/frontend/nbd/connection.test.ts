// Proves how connections live and end: clients that do not read their answers, limits of requests, clients and time, stop
// and abort, and the rule for stalled requests.
import { CONNECTIONS_MAX, SOCKETS_MAX } from '../../../../../csi-driver/frontend/nbd/nbd-frontend.ts'
import { PAYLOAD_BYTES_WAITING_MAX, REQUESTS_MAX } from '../../../../../csi-driver/frontend/nbd/request-pool.ts'
import type { FakeSocket } from './fake-sockets.ts'
import { CLIENT_FLAGS, DISC, go, optionReplies, READ, replies, request, WRITE } from './nbd-frames.ts'
import { World } from './nbd-world.ts'

const MIB = 1 << 20

const bytesOf = (length: number, seed = 1): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 7 + seed) & 255))

describe('a client that does not read', () => {
  test('stops itself, keeps nobody else waiting, and gets everything later', () => {
    const world = new World()
    const deaf = world.client()
    deaf.room = 100_000
    const frames = Array.from({ length: 400 }, (_, i) => request({ command: READ, cookie: BigInt(i), length: 16384 }))
    deaf.feed(Buffer.concat(frames))
    expect(deaf.paused).toBe(true)
    const seen = world.seen.length
    expect(seen).toBeLessThan(100)
    const other = world.client()
    other.feed(request({ command: READ, length: 4096 }))
    expect(replies(other.taken(), () => 4096).length).toBe(1)
    for (let i = 0; i < 2000 && world.seen.length < 401; i++) {
      deaf.read(1_000_000)
      world.settle()
    }
    for (let i = 0; i < 20; i++) {
      deaf.read()
      world.settle()
    }
    expect(replies(deaf.taken(), () => 16384).map(({ cookie }) => cookie)).toEqual(frames.map((_, i) => BigInt(i)))
    expect(deaf.paused).toBe(false)
    expect(world.frontend.counters.pauses).toBeGreaterThan(0)
  })

  test('long data in its own buffer is left alone until it is written', () => {
    const world = new World()
    const socket = world.client()
    bytesOf(MIB, 9).copy(world.disk, 0)
    socket.room = 5000
    socket.feed(request({ command: READ, cookie: 1n, length: MIB }))
    socket.feed(request({ command: READ, cookie: 2n, offset: BigInt(MIB), length: MIB }))
    for (let i = 0; i < 4; i++) {
      socket.read(600_000)
      world.settle()
    }
    const [first, second] = replies(socket.taken(), () => MIB)
    expect(first?.data.equals(world.disk.subarray(0, MIB))).toBe(true)
    expect(second?.data.equals(world.disk.subarray(MIB, 2 * MIB))).toBe(true)
  })

  test('requests are bounded when the engine does not answer', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    const frame = request({ command: WRITE, payload: Buffer.alloc(512) })
    socket.feed(Buffer.concat(Array.from({ length: 300 }, () => frame)))
    expect(world.submitted.length).toBe(REQUESTS_MAX)
    expect(socket.paused).toBe(true)
    world.completeAll()
    world.settle()
    expect(world.submitted.length).toBe(300 - REQUESTS_MAX)
    expect(socket.paused).toBe(false)
  })

  test('a long write whose pieces find no room goes on later', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    const frame = request({ command: WRITE, payload: Buffer.alloc(512) })
    socket.feed(Buffer.concat(Array.from({ length: REQUESTS_MAX - 1 }, () => frame)))
    socket.feed(request({ command: WRITE, cookie: 9n, payload: bytesOf(2 * MIB) }))
    expect(world.submitted.length).toBe(REQUESTS_MAX)
    expect(socket.paused).toBe(true)
    for (let i = 0; i < 3; i++) {
      world.completeAll()
      world.settle()
    }
    expect(replies(socket.taken()).at(-1)).toMatchObject({ cookie: 9n, error: 0 })
    expect(world.disk.subarray(0, 2 * MIB).equals(bytesOf(2 * MIB))).toBe(true)
  })

  test('so is the payload that the engine may have to keep, and all of it arrives', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    const frame = (i: number): Buffer =>
      request({ command: WRITE, cookie: BigInt(i), payload: Buffer.alloc(2 * MIB, i + 1) })
    socket.feed(Buffer.concat(Array.from({ length: 20 }, (_, i) => frame(i))))
    const waiting = world.submitted.reduce((sum, { length }) => sum + length, 0)
    expect(waiting).toBe(PAYLOAD_BYTES_WAITING_MAX)
    expect(socket.paused).toBe(true)
    for (let i = 0; i < 20 && world.submitted.length > 0; i++) {
      world.completeAll()
      world.settle()
    }
    expect(replies(socket.taken()).map(({ error }) => error)).toEqual(Array.from({ length: 20 }, () => 0))
    expect(world.disk[2 * MIB - 1]).toBe(20)
    expect(socket.paused).toBe(false)
  })

  test('nor reads the handshake: it is cut off', () => {
    const world = new World()
    const socket = world.sockets.connect()
    socket.room = 0
    socket.feed(CLIENT_FLAGS)
    const list = Buffer.concat(
      Array.from({ length: 1000 }, () => Buffer.from('49484156454f50540000000300000000', 'hex')),
    )
    for (let i = 0; i < 20 && !socket.destroyed; i++) socket.feed(list)
    world.settle()
    expect(socket.destroyed).toBe(true)
  })
})

describe('the end of a connection', () => {
  test('DISC: what is under way is answered first', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    socket.feed(request({ command: WRITE, payload: Buffer.alloc(512) }))
    socket.feed(request({ command: DISC }))
    socket.feed(request({ command: WRITE, payload: Buffer.alloc(512) }))
    expect(socket.destroyed).toBe(false)
    world.complete()
    world.settle()
    expect(replies(socket.taken()).length).toBe(1)
    expect(socket.destroyed).toBe(true)
    expect(world.submitted).toEqual([])
    expect(world.frontend.connectionCount).toBe(0)
  })

  test('noise instead of a request ends it, and the engine never hears of it', () => {
    const world = new World()
    const socket = world.client()
    socket.feed(Buffer.alloc(28, 0x55))
    expect(socket.destroyed).toBe(true)
    expect(world.seen).toEqual([])
  })

  test('a socket that closes in the middle of a payload', () => {
    const world = new World()
    const socket = world.client()
    socket.feed(request({ command: WRITE, payload: Buffer.alloc(4096) }).subarray(0, 2000))
    socket.close()
    expect(world.seen).toEqual([])
    expect(world.frontend.connectionCount).toBe(0)
  })

  test('an answer to a connection that is gone goes nowhere', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    socket.feed(request({ command: READ, length: 4096 }))
    socket.close()
    world.complete()
    world.settle()
    expect(socket.taken().length).toBe(0)
    expect(world.frontend.counters.inFlight).toBe(0)
  })

  test('stop: no request more, all answers, then all connections end', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    socket.feed(request({ command: WRITE, cookie: 1n, payload: Buffer.alloc(512) }))
    let stopped = false
    world.frontend.stop(() => {
      stopped = true
    })
    expect(world.sockets.listening).toBe(false)
    socket.feed(request({ command: WRITE, cookie: 2n, payload: Buffer.alloc(512) }))
    world.settle()
    expect(stopped).toBe(false)
    world.complete()
    world.settle()
    expect(stopped).toBe(true)
    expect(replies(socket.taken())).toMatchObject([{ cookie: 1n, error: 0 }])
    expect(socket.destroyed).toBe(true)
    expect(world.submitted).toEqual([])
  })

  test('abort: at once', () => {
    const world = new World()
    const [one, two] = [world.client(), world.sockets.connect()]
    world.frontend.abort()
    expect([one.destroyed, two.destroyed]).toEqual([true, true])
  })
})

describe('limits', () => {
  test('one client too many is told so, and may come when another has gone', () => {
    const world = new World()
    const clients = Array.from({ length: CONNECTIONS_MAX }, () => world.client())
    expect(world.frontend.connectionCount).toBe(CONNECTIONS_MAX)
    const late = world.sockets.connect()
    late.feed(CLIENT_FLAGS)
    late.taken()
    late.feed(go('db1'))
    expect(optionReplies(late.taken())).toMatchObject([{ type: 0x80000002 }])
    clients[0]?.close()
    late.feed(go('db1'))
    expect(optionReplies(late.taken()).at(-1)?.type).toBe(1)
  })

  test('sockets beyond are closed without a word', () => {
    const world = new World()
    const sockets = Array.from({ length: SOCKETS_MAX + 1 }, () => world.sockets.connect())
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([
      ...Array.from({ length: SOCKETS_MAX }, () => false),
      true,
    ])
    expect(sockets.at(-1)?.taken().length).toBe(0)
  })

  test('a handshake has a time limit, a client has none', () => {
    const world = new World()
    const idle = world.sockets.connect()
    const client = world.client()
    expect(world.timeouts.length).toBe(1)
    for (const expire of world.timeouts) expire()
    expect([idle.destroyed, client.destroyed]).toEqual([true, false])
  })
})

describe('stalled requests', () => {
  const write = (cookie: bigint, fill: number): Buffer =>
    request({ command: WRITE, cookie, payload: Buffer.alloc(512, fill) })
  const begin = (world: World, how: (socket: FakeSocket) => void): FakeSocket => {
    const old = world.client()
    world.answersAtOnce = false
    old.feed(write(1n, 1))
    how(old)
    return old
  }

  test.each<[string, (socket: FakeSocket) => void]>([
    ['closed', (socket) => socket.close()],
    ['closing', (socket) => socket.end()],
    ['gone unnoticed', (socket) => (socket.gone = true)],
  ])('a client that comes back waits for what the engine has of its connection that is %s', (_how, end) => {
    const world = new World()
    begin(world, end)
    const back = world.client()
    back.feed(write(1n, 2))
    world.settle()
    expect(world.submitted.length).toBe(1)
    world.complete()
    world.settle()
    expect(world.submitted.length).toBe(1)
    world.complete()
    world.settle()
    expect(replies(back.taken())).toMatchObject([{ cookie: 1n, error: 0 }])
  })

  test('what was not taken in of a connection that is gone never is', () => {
    const world = new World()
    const old = begin(world, () => {})
    const frames = Array.from({ length: REQUESTS_MAX + 10 }, (_, i) => write(BigInt(i), 1))
    old.feed(Buffer.concat(frames))
    expect(old.paused).toBe(true)
    old.gone = true
    const back = world.client()
    back.feed(write(1n, 2))
    const before = world.seen.length
    world.completeAll()
    world.settle()
    expect(world.seen.length).toBe(before + 1)
    world.completeAll()
    expect(world.disk[0]).toBe(2)
  })

  test('nor when the client goes on with another connection that it has', () => {
    const world = new World()
    const other = world.client()
    other.feed(request({ command: READ, length: 512 }))
    const old = begin(world, () => {})
    old.feed(Buffer.concat(Array.from({ length: REQUESTS_MAX }, (_, i) => write(BigInt(i), 1))))
    expect(old.paused).toBe(true)
    old.gone = true
    const before = world.seen.length
    other.feed(write(1n, 2))
    world.completeAll()
    world.settle()
    expect(world.seen.length).toBe(before + 1)
    expect(old.destroyed).toBe(true)
    expect(world.disk[0]).toBe(2)
  })

  test('connections that live side by side do not wait for one another', () => {
    const world = new World()
    begin(world, () => {})
    const second = world.client()
    second.feed(write(1n, 2))
    expect(world.submitted.length).toBe(2)
  })

  test('a connection that ends later does not hold up one that has begun', () => {
    const world = new World()
    const second = world.client()
    const old = begin(world, () => {})
    second.feed(write(1n, 2))
    old.close()
    second.feed(write(2n, 3))
    expect(world.submitted.length).toBe(3)
  })
})
