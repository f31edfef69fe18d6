// Proves the translation between NBD and the engine on sockets in memory: every command, replies simple and structured,
// long requests in pieces, clients that do not read, limits, ends of connections, and the rule for stalled requests.
import { CONNECTIONS_MAX, SOCKETS_MAX } from '../../../../../csi-driver/frontend/nbd/nbd-frontend.ts'
import { REQUESTS_MAX } from '../../../../../csi-driver/frontend/nbd/request-pool.ts'
import type { FakeSocket } from './fake-sockets.ts'
import {
  BLOCK_STATUS,
  CACHE,
  CLIENT_FLAGS,
  DISC,
  FLUSH,
  go,
  optionReplies,
  READ,
  replies,
  request,
  TRIM,
  WRITE,
  WRITE_ZEROES,
} from './nbd-frames.ts'
import { World } from './nbd-world.ts'

const EINVAL = 22
const ENOSPC = 28
const EOVERFLOW = 75
const ENOTSUP = 95
const MIB = 1 << 20

const bytesOf = (length: number, seed = 1): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 7 + seed) & 255))

describe('simple replies', () => {
  test('what was written is read back', () => {
    const world = new World()
    const socket = world.client()
    const payload = bytesOf(4096)
    socket.feed(request({ command: WRITE, cookie: 0xfedc_ba98_7654_3210n, offset: 512n, payload }))
    expect(replies(socket.taken())).toMatchObject([{ cookie: 0xfedc_ba98_7654_3210n, kind: 'simple', error: 0 }])
    expect(world.seen.at(-1)).toMatchObject({ kind: 2, offset: 512, length: 4096, forceUnitAccess: false })
    socket.feed(request({ command: READ, cookie: 7n, offset: 512n, length: 4096 }))
    expect(replies(socket.taken(), () => 4096)).toMatchObject([{ cookie: 7n, error: 0, data: payload }])
    expect(world.frontend.counters).toMatchObject({
      reads: 1,
      writes: 1,
      readBytes: 4096,
      writtenBytes: 4096,
      inFlight: 0,
    })
  })

  test('golden: a read, a write and an error', () => {
    const world = new World()
    const socket = world.client()
    world.disk.write('0123', 0)
    socket.feed(request({ command: READ, cookie: 0x1122n, length: 512 }))
    expect(socket.taken().subarray(0, 20).toString('hex')).toBe('674466980000000000000000000011223031' + '3233')
    socket.feed(request({ command: READ, cookie: 0x1122n, offset: 1n, length: 512 }))
    expect(socket.taken().toString('hex')).toBe('67446698000000160000000000001122')
  })

  test('all that comes in one turn is answered in one write, after one kick', () => {
    const world = new World()
    const socket = world.client()
    const kicks = world.kicks
    const frames = Array.from({ length: 32 }, (_, i) => request({ command: READ, cookie: BigInt(i), length: 4096 }))
    let writes = 0
    const { write } = socket
    socket.write = (...words) => {
      writes++
      return write.apply(socket, words)
    }
    socket.feed(Buffer.concat(frames))
    expect(replies(socket.taken(), () => 4096).length).toBe(32)
    expect(writes).toBe(1)
    expect(world.kicks).toBe(kicks + 1)
  })

  test('a long read is one header and its pieces, with nothing in between', () => {
    const world = new World()
    const socket = world.client()
    bytesOf(3 * MIB + 512).copy(world.disk, 0)
    world.answersAtOnce = false
    socket.feed(request({ command: READ, cookie: 1n, length: 3 * MIB + 512 }))
    socket.feed(request({ command: READ, cookie: 2n, length: 512 }))
    socket.feed(request({ command: READ, cookie: 3n, length: 2 * MIB }))
    world.complete()
    world.settle()
    // Others are ready, and wait.
    world.complete(
      0,
      world.submitted.find(({ length }) => length === 512 && world.submitted.length > 0),
    )
    world.complete(
      0,
      world.submitted.find(({ offset }) => offset === 0),
    )
    for (let i = 0; i < 8; i++) {
      world.completeAll()
      world.settle()
    }
    const lengths = new Map([
      [1n, 3 * MIB + 512],
      [2n, 512],
      [3n, 2 * MIB],
    ])
    const answers = replies(socket.taken(), (cookie) => lengths.get(cookie) ?? 0)
    expect(answers.map(({ cookie }) => cookie).toSorted()).toEqual([1n, 2n, 3n])
    for (const { cookie, data } of answers) expect(data.equals(world.disk.subarray(0, lengths.get(cookie)))).toBe(true)
    expect(world.seen.map(({ length }) => length).toSorted((a, b) => a - b)).toEqual([
      512,
      512,
      MIB,
      MIB,
      MIB,
      MIB,
      MIB,
    ])
  })

  test('a long read that fails later ends the connection: nothing else could tell', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    socket.feed(request({ command: READ, cookie: 1n, length: 2 * MIB }))
    world.complete()
    world.settle()
    world.complete(5)
    world.settle()
    expect(socket.destroyed).toBe(true)
  })

  test('one that fails at once is an error like any other', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    socket.feed(request({ command: READ, cookie: 1n, length: 2 * MIB }))
    world.complete(5)
    world.settle()
    expect(replies(socket.taken())).toMatchObject([{ cookie: 1n, error: 5 }])
    expect(socket.destroyed).toBe(false)
  })
})

describe('structured replies', () => {
  test('golden: data, nothing, an error with words, block status', () => {
    const world = new World()
    const socket = world.client({ structured: true, allocation: true })
    socket.feed(request({ command: READ, cookie: 9n, offset: 512n, length: 512 }))
    expect(socket.taken().subarray(0, 28).toString('hex')).toBe(
      '668e33ef0001000100000000000000090000020800000000' + '00000200',
    )
    socket.feed(request({ command: READ, cookie: 9n, length: 0 }))
    expect(socket.taken().toString('hex')).toBe('668e33ef00010000000000000000000900000000')
    socket.feed(request({ command: READ, cookie: 9n, offset: 1n, length: 512 }))
    expect(socket.taken().toString('hex')).toMatch(/^668e33ef0001800100000000000000090000....0000001600/)
    socket.feed(request({ command: BLOCK_STATUS, cookie: 9n, offset: 0n, length: 4096 }))
    expect(socket.taken().toString('hex')).toBe(
      '668e33ef000100050000000000000009' + '0000000c' + '00000001' + '00001000' + '00000000',
    )
  })

  test('a long read is one chunk for each piece, and other replies may stand between', () => {
    const world = new World()
    const socket = world.client({ structured: true })
    bytesOf(2 * MIB + 4096, 3).copy(world.disk, 0)
    world.answersAtOnce = false
    socket.feed(request({ command: READ, cookie: 1n, length: 2 * MIB + 4096 }))
    socket.feed(request({ command: WRITE, cookie: 2n, offset: BigInt(4 * MIB), payload: Buffer.alloc(512) }))
    world.complete()
    world.completeAll()
    world.settle()
    world.completeAll()
    world.settle()
    world.completeAll()
    world.settle()
    const answers = replies(socket.taken())
    const data = answers.filter(({ kind }) => kind === 'data')
    expect(data.map(({ offset, done }) => [offset, done])).toEqual([
      [0n, false],
      [BigInt(MIB), false],
      [BigInt(2 * MIB), true],
    ])
    expect(Buffer.concat(data.map((chunk) => chunk.data)).equals(world.disk.subarray(0, 2 * MIB + 4096))).toBe(true)
    expect(answers.filter(({ cookie }) => cookie === 2n)).toMatchObject([{ kind: 'simple', error: 0 }])
  })

  test('a piece that fails ends the reply with an error', () => {
    const world = new World()
    const socket = world.client({ structured: true })
    world.answersAtOnce = false
    socket.feed(request({ command: READ, cookie: 1n, length: 3 * MIB }))
    world.complete()
    world.settle()
    world.complete(5)
    world.settle()
    expect(replies(socket.taken())).toMatchObject([
      { kind: 'data', done: false },
      { kind: 'error', error: 5, done: true },
    ])
    expect(world.submitted).toEqual([])
  })
})

describe('writes', () => {
  test('a payload in many parts, and one of several pieces, answered once', () => {
    const world = new World()
    const socket = world.client()
    const payload = bytesOf(2 * MIB + 1536)
    const frame = request({ command: WRITE, cookie: 5n, offset: 512n, flags: 1, payload })
    for (let at = 0; at < frame.length; at += 100_003) socket.feed(frame.subarray(at, at + 100_003))
    expect(replies(socket.taken())).toMatchObject([{ cookie: 5n, error: 0 }])
    expect(world.disk.subarray(512, 512 + payload.length).equals(payload)).toBe(true)
    expect(world.seen.map(({ length, forceUnitAccess }) => [length, forceUnitAccess])).toEqual([
      [MIB, true],
      [MIB, true],
      [1536, true],
    ])
  })

  test('the answer waits for the last piece and tells the worst', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    socket.feed(request({ command: WRITE, cookie: 5n, payload: Buffer.alloc(2 * MIB) }))
    world.complete(28)
    world.settle()
    expect(socket.taken().length).toBe(0)
    world.complete()
    world.settle()
    expect(replies(socket.taken())).toMatchObject([{ cookie: 5n, error: ENOSPC }])
  })

  test('a refused payload is thrown away, and the next request is understood', () => {
    const world = new World()
    const socket = world.client()
    const refused = request({
      command: WRITE,
      cookie: 1n,
      offset: BigInt(world.disk.length),
      payload: Buffer.alloc(3 * MIB, 1),
    })
    socket.feed(Buffer.concat([refused, request({ command: READ, cookie: 2n, length: 512 })]))
    expect(replies(socket.taken(), () => 512)).toMatchObject([
      { cookie: 1n, error: ENOSPC },
      { cookie: 2n, error: 0 },
    ])
    expect(world.seen.map(({ kind }) => kind)).toEqual([1])
  })

  test('more than was offered is refused, and nobody waits for the payload', () => {
    const world = new World({ sizeBytes: 64 * MIB })
    const socket = world.client()
    socket.feed(request({ command: WRITE, cookie: 1n, length: 33 * MIB }))
    expect(replies(socket.taken())).toMatchObject([{ cookie: 1n, error: EINVAL }])
    expect(socket.destroyed).toBe(true)
    expect(world.seen).toEqual([])
  })
})

describe('other commands', () => {
  test('flush, trim, zeroes and cache', () => {
    const world = new World()
    const socket = world.client()
    socket.feed(request({ command: FLUSH }))
    socket.feed(request({ command: TRIM, offset: 512n, length: 512 }))
    socket.feed(request({ command: WRITE_ZEROES, offset: 512n, length: 1024, flags: 1 }))
    socket.feed(request({ command: WRITE_ZEROES, length: 512, flags: 2 }))
    socket.feed(request({ command: WRITE_ZEROES, length: 512, flags: 16 }))
    socket.feed(request({ command: CACHE, length: 4096 }))
    expect(replies(socket.taken()).map(({ error }) => error)).toEqual([0, 0, 0, 0, 0, 0])
    expect(world.seen).toMatchObject([
      { kind: 4, offset: 0, length: 0 },
      { kind: 3, offset: 512, length: 512, mayUnmap: true, forceUnitAccess: false },
      { kind: 3, offset: 512, length: 1024, mayUnmap: true, forceUnitAccess: true },
      { kind: 3, offset: 0, length: 512, mayUnmap: false },
      { kind: 3, offset: 0, length: 512, mayUnmap: true },
    ])
  })

  test('where zeroing is writing, a trim does nothing and fast zeroes are refused', () => {
    const world = new World()
    const socket = world.client()
    world.sink.canZero = false
    socket.feed(request({ command: TRIM, length: 512 }))
    socket.feed(request({ command: WRITE_ZEROES, length: 512, flags: 16 }))
    expect(replies(socket.taken()).map(({ error }) => error)).toEqual([0, ENOTSUP])
    expect(world.seen).toEqual([])
    socket.feed(request({ command: WRITE_ZEROES, length: 512 }))
    expect(world.seen.length).toBe(1)
  })

  const size = BigInt(8 * MIB)
  test.each([
    ['read of odd length', { command: READ, length: 100 }, EINVAL],
    ['read of odd offset', { command: READ, offset: 100n, length: 512 }, EINVAL],
    ['read past the end', { command: READ, offset: size - 512n, length: 1024 }, EINVAL],
    ['read far past the end', { command: READ, offset: 2n ** 63n, length: 512 }, EINVAL],
    ['read of more than was offered', { command: READ, length: 33 * MIB }, EINVAL],
    ['zeroes past the end', { command: WRITE_ZEROES, offset: size, length: 512 }, ENOSPC],
    ['trim past the end', { command: TRIM, offset: size, length: 512 }, EINVAL],
    ['flush of a range', { command: FLUSH, length: 512 }, EINVAL],
    ['block status without a context', { command: BLOCK_STATUS, length: 512 }, EINVAL],
    ['an unknown command', { command: 99 }, EINVAL],
    ['an unknown command with every flag', { command: 8, flags: 0xffff }, EINVAL],
    ['a flag of another command', { command: READ, flags: 2, length: 512 }, EINVAL],
    ['DF without structured replies', { command: READ, flags: 4, length: 512 }, EINVAL],
    ['a flag of CACHE', { command: CACHE, flags: 8, length: 512 }, EINVAL],
  ])('%s is refused', (_what, asked, error) => {
    const world = new World()
    const socket = world.client()
    socket.feed(request({ cookie: 3n, ...asked }))
    expect(replies(socket.taken())).toMatchObject([{ cookie: 3n, error }])
    expect(world.seen).toEqual([])
    expect(world.frontend.counters.failed).toBe(1)
  })

  test('a volume with sectors of 4096 takes nothing smaller; DF is for one piece', () => {
    const world = new World({ sectorBytes: 4096 })
    const socket = world.client({ structured: true })
    socket.feed(request({ command: READ, length: 512 }))
    socket.feed(request({ command: READ, flags: 4, length: 2 * MIB }))
    socket.feed(request({ command: READ, flags: 4, length: MIB }))
    expect(replies(socket.taken()).map(({ kind, error }) => [kind, error])).toEqual([
      ['error', EINVAL],
      ['error', EOVERFLOW],
      ['data', 0],
    ])
  })

  test('requests of no length are answered and do nothing', () => {
    const world = new World()
    const socket = world.client()
    for (const command of [READ, WRITE, TRIM, WRITE_ZEROES, CACHE]) socket.feed(request({ command, length: 0 }))
    expect(replies(socket.taken()).map(({ error }) => error)).toEqual([0, 0, 0, 0, 0])
    expect(world.seen).toEqual([])
  })

  test('a volume that has grown takes requests behind its former end', () => {
    const world = new World()
    const socket = world.client()
    world.sink.sizeBytes = 4 * MIB
    socket.feed(request({ command: READ, offset: BigInt(4 * MIB), length: 512 }))
    world.sink.sizeBytes = 8 * MIB
    socket.feed(request({ command: READ, offset: BigInt(4 * MIB), length: 512 }))
    expect(replies(socket.taken(), () => 512).map(({ error }) => error)).toEqual([EINVAL, 0])
  })
})

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
