// Proves the translation between NBD and the engine on sockets in memory: every command, replies simple and structured,
// long requests in pieces, and what is refused.
import { BLOCK_STATUS, CACHE, FLUSH, READ, replies, request, TRIM, WRITE, WRITE_ZEROES } from './nbd-frames.ts'
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
    expect(socket.taken().subarray(0, 20).toString('hex')).toBe('6744669800000000000000000000112230313233')
    socket.feed(request({ command: READ, cookie: 0x1122n, offset: 1n, length: 512 }))
    expect(socket.taken().toString('hex')).toBe('67446698000000160000000000001122')
  })

  test('all that comes in one turn is answered in one write, after one kick', () => {
    const world = new World()
    const socket = world.client()
    const kicks = world.kicks
    const frames = Array.from({ length: 32 }, (_, i) => request({ command: READ, cookie: BigInt(i), length: 4096 }))
    socket.feed(Buffer.concat(frames))
    expect(socket.writes).toBe(1)
    expect(replies(socket.taken(), () => 4096).length).toBe(32)
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
    expect(answers.map(({ cookie }) => Number(cookie)).toSorted((a, b) => a - b)).toEqual([1, 2, 3])
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

  test('nothing is written behind what a long read got before it failed', () => {
    const world = new World()
    const socket = world.client()
    world.answersAtOnce = false
    socket.feed(request({ command: READ, cookie: 1n, length: 2 * MIB }))
    world.complete()
    world.settle()
    const [rest] = world.submitted
    world.complete(5, rest)
    // Takes the same request out of the pool, and its answer would stand where the client expects the rest.
    world.answersAtOnce = true
    socket.feed(request({ command: READ, cookie: 2n, length: MIB }))
    world.settle()
    expect(socket.taken().length).toBe(16 + MIB)
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
      '668e33ef000100010000000000000009000002080000000000000200',
    )
    socket.feed(request({ command: READ, cookie: 9n, length: 0 }))
    expect(socket.taken().toString('hex')).toBe('668e33ef00010000000000000000000900000000')
    socket.feed(request({ command: READ, cookie: 9n, offset: 1n, length: 512 }))
    expect(socket.taken().toString('hex')).toMatch(/^668e33ef0001800100000000000000090000....0000001600/)
    socket.feed(request({ command: BLOCK_STATUS, cookie: 9n, offset: 0n, length: 4096 }))
    expect(socket.taken().toString('hex')).toBe('668e33ef0001000500000000000000090000000c000000010000100000000000')
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
