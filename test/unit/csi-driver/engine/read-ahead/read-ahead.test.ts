// Reading ahead: when it begins, what is served from it and what not any more, who waits for whom, and what it may cost.
import { IoError } from '../../../../../base/errors.ts'
import { KIB } from '../../../../../base/units.ts'
import { ReadAhead } from '../../../../../csi-driver/engine/read-ahead/read-ahead.ts'
import { AGE_MAX_MS, IDLE_MS } from '../../../../../csi-driver/engine/read-ahead/read-ahead-limits.ts'
import { SequentialDetector } from '../../../../../csi-driver/engine/read-cache/sequential.ts'
import { aRead, ask, aWrite, contentOf, during, heapMemory, makeCore, submit, TestMachine } from '../harness.ts'

const LIMITS = { pieceBytes: 16 * KIB, pieces: 8, startBytes: 8 * KIB }
const READ_BYTES = 8 * KIB

async function make(backingBytes = 1024 * KIB) {
  const machine = new TestMachine({ backingBytes })
  for (let i = 0; i < machine.backing.sizeBytes; i += 512) machine.backing.bytes.fill((i / 512) & 0xff, i, i + 512)
  const core = await makeCore(machine, { readAheadLimits: LIMITS })
  const ahead = new ReadAhead(core)
  const poison = (position: number, length: number): void => ahead.poison(position, length)
  core.backing.listener = { onWriteStart: poison, onWriteEnd: poison }
  const sequential = new SequentialDetector()
  /** A read of the front end that misses; `ended` is null until it has. */
  const read = (position: number, length = READ_BYTES, othersBytes = 0) => {
    const got = { bytes: Buffer.alloc(length, 0xee), ended: null as IoError | 'ok' | null }
    sequential.observe(position, length)
    ahead.read(got.bytes, 0, length, position, (error) => {
      if (got.ended !== null) throw new Error('ends twice')
      got.ended = error ?? 'ok'
    })
    ahead.follow(sequential, length, othersBytes)
    return got
  }
  const expected = (position: number, length = READ_BYTES): Buffer =>
    Buffer.from(machine.backing.bytes.subarray(position, position + length))
  /** Two reads: [16 KiB, 32 KiB) is there afterwards, nothing else. */
  const begin = (): void => {
    read(0)
    read(READ_BYTES)
    machine.backing.begun.length = 0
  }
  return { machine, core, ahead, sequential, read, expected, begin, begun: machine.backing.begun }
}

describe('begins', () => {
  test('with the second read in a row, at the front of the stream, with one piece', async () => {
    const { read, begun, core } = await make()
    read(0)
    expect(begun).toEqual(['read 0+8192'])
    read(READ_BYTES)
    expect(begun.slice(1)).toEqual(['read 8192+8192', 'read 16384+16384'])
    expect(core.counters).toMatchObject({ readAheadBytes: 16 * KIB, readAheadUsedBytes: 0 })
  })

  test('in the middle of a piece, where the front is', async () => {
    const { read, begun } = await make()
    read(4 * KIB)
    read(12 * KIB)
    expect(begun.slice(2)).toEqual(['read 20480+12288', 'read 32768+16384'])
  })

  test('not for random, strided or backward reads', async () => {
    const { read, core } = await make()
    for (const at of [5, 90, 17, 33, 2, 71, 60, 44, 8]) read(at * READ_BYTES)
    for (let at = 0; at < 120; at += 2) read(at * READ_BYTES)
    for (let at = 120; at >= 0; at -= 1) read(at * READ_BYTES)
    expect(core.counters.readAheadBytes).toBe(0)
  })

  test('not for who keeps as much under way himself', async () => {
    const { read, core } = await make()
    for (let at = 0; at < 10; at += 1) read(at * READ_BYTES, READ_BYTES, 64 * KIB)
    expect(core.counters.readAheadBytes).toBe(0)
  })

  test.each([
    ['caches may not be read', { mayReadCache: false }],
    ['nothing may be answered', { frozen: 1 }],
    ['the engine stops', { stopping: true }],
  ])('not while %s', async (_when, state) => {
    const { read, core } = await make()
    Object.assign(core, state)
    for (let at = 0; at < 4; at += 1) read(at * READ_BYTES)
    expect(core.counters.readAheadBytes).toBe(0)
  })

  test('not while the backing fails', async () => {
    const { read, core, machine } = await make()
    machine.backing.fail('flush', 1)
    core.backing.flush(() => undefined)
    for (let at = 0; at < 4; at += 1) read(at * READ_BYTES)
    expect(core.counters.readAheadBytes).toBe(0)
  })

  test('not for what the log, a zero or mostly the read cache has, but behind it', async () => {
    const { read, core, begun } = await make()
    core.index.putDirty(4, 1, 64, 0)
    core.zeros.add(8 * 8, 8 * 8 + 1, 1)
    for (let block = 12; block < 15; block += 1) core.index.putClean(block, core.readCache.insert(block), 1)
    begun.length = 0
    read(0, 4 * KIB)
    read(4 * KIB, 12 * KIB)
    read(16 * KIB, 48 * KIB)
    expect(begun.filter((line) => line.endsWith('+16384'))).toEqual(['read 65536+16384'])
  })

  test('not past the end', async () => {
    const { read, core, begun } = await make(1000 * KIB)
    for (let at = 960 * KIB; at < core.sizeBytes; at += READ_BYTES) read(at)
    expect(begun.filter((line) => line.endsWith(`+${16 * KIB}`))).toEqual([`read ${976 * KIB}+${16 * KIB}`])
    expect(begun.at(-1)).toBe(`read ${992 * KIB}+${8 * KIB}`)
  })

  test('beside a write of the backing only when that has ended', async () => {
    const { machine, core, read, begun } = await make()
    machine.backing.hold('write')
    core.backing.write(Buffer.alloc(4096), 0, 4096, 28 * KIB, () => undefined)
    read(0)
    read(READ_BYTES)
    expect(core.counters.readAheadBytes).toBe(0)
    machine.backing.letGo()
    read(2 * READ_BYTES)
    expect(begun).toContain('read 24576+8192')
  })
})

describe('is served', () => {
  test('without the backing, once, and counted', async () => {
    const { read, begin, begun, core, expected } = await make()
    begin()
    for (const at of [2, 3]) {
      const got = read(at * READ_BYTES)
      expect(got).toEqual({ bytes: expected(at * READ_BYTES), ended: 'ok' })
    }
    expect(begun).toEqual(['read 32768+16384'])
    expect(core.counters.readAheadUsedBytes).toBe(16 * KIB)
    read(2 * READ_BYTES)
    expect(begun.at(-1)).toBe('read 16384+8192')
  })

  test('together with what has to be read around it', async () => {
    const { read, begin, begun, expected } = await make()
    begin()
    const got = read(4 * KIB, 64 * KIB)
    expect(got).toEqual({ bytes: expected(4 * KIB, 64 * KIB), ended: 'ok' })
    expect(begun.slice(0, 2)).toEqual(['read 4096+12288', 'read 32768+36864'])
  })

  test('to who waits for it, when all parts have come', async () => {
    const { machine, read, begin, expected } = await make()
    machine.backing.hold('read')
    begin()
    machine.backing.held.splice(0, 2).forEach((operation) => operation.complete())
    const first = read(2 * READ_BYTES)
    const second = read(3 * READ_BYTES, 2 * READ_BYTES)
    const [piece, rest] = machine.backing.held.filter(({ position }) => position === 16 * KIB || position === 32 * KIB)
    rest?.complete()
    expect([first.ended, second.ended]).toEqual([null, null])
    piece?.complete()
    expect(first).toEqual({ bytes: expected(2 * READ_BYTES), ended: 'ok' })
    expect(second).toEqual({ bytes: expected(3 * READ_BYTES, 2 * READ_BYTES), ended: 'ok' })
  })

  test('with errors of the backing only where the reader reads himself', async () => {
    const { machine, read, begin, expected, begun } = await make()
    machine.backing.hold('read')
    begin()
    const good = read(2 * READ_BYTES)
    const bad = read(3 * READ_BYTES)
    machine.backing.held[2]?.complete(new IoError('EIO', 'gone'))
    expect([good.ended, bad.ended]).toEqual([null, null])
    expect(begun.slice(-2)).toEqual(['read 16384+8192', 'read 24576+8192'])
    machine.backing.held.at(-1)?.complete(new IoError('EIO', 'gone'))
    machine.backing.letGo()
    expect(bad.ended).toBeInstanceOf(IoError)
    expect(good).toEqual({ bytes: expected(2 * READ_BYTES), ended: 'ok' })
  })
})

describe('is not served', () => {
  test.each(['there', 'under way', 'waited for'])(
    'after a write of the backing over it, when it was %s',
    async (when) => {
      const { machine, core, read, begin, expected } = await make()
      if (when !== 'there') machine.backing.hold('read')
      begin()
      const waiting = when === 'waited for' ? read(2 * READ_BYTES) : null
      const stale = expected(2 * READ_BYTES)
      core.backing.write(Buffer.alloc(512, 0xdd), 0, 512, 2 * READ_BYTES + 1024, () => undefined)
      // The device had read before.
      for (const operation of machine.backing.held.splice(0)) {
        const now = Buffer.from(machine.backing.bytes)
        stale.copy(machine.backing.bytes, 2 * READ_BYTES)
        operation.complete()
        now.copy(machine.backing.bytes)
      }
      machine.backing.letGo()
      const got = waiting ?? read(2 * READ_BYTES)
      expect(got).toEqual({ bytes: expected(2 * READ_BYTES), ended: 'ok' })
      expect(got.bytes).not.toEqual(stale)
    },
  )

  test.each(['begins', 'ends'])('when the write only %s meanwhile', async (when) => {
    const { machine, core, read, begin, begun } = await make()
    machine.backing.hold('write')
    // One that waits for an earlier one of its block is told to nobody until it starts.
    core.backing.write(Buffer.alloc(512), 0, 512, 0, () => undefined)
    begin()
    if (when === 'begins') core.backing.write(Buffer.alloc(512), 0, 512, 16 * KIB, () => undefined)
    else core.backing.zero([{ position: 16 * KIB, length: 4096 }], () => undefined)
    read(2 * READ_BYTES)
    expect(begun.filter((line) => line === 'read 16384+8192')).toHaveLength(1)
  })

  test('where caches may not be read, after a freeze, and after a resize', async () => {
    for (const change of [{ mayReadCache: false }, { frozen: 1 }, { sizeBytes: 512 * KIB }]) {
      const { core, read, begin, begun } = await make()
      begin()
      const before = { mayReadCache: core.mayReadCache, frozen: core.frozen, sizeBytes: core.sizeBytes }
      Object.assign(core, change)
      read(900 * KIB)
      Object.assign(core, before)
      read(2 * READ_BYTES)
      expect(begun).toContain('read 16384+8192')
    }
  })

  test('nor what came while caches might not be read', async () => {
    const { machine, core, read, begin, begun } = await make()
    machine.backing.hold('read')
    begin()
    const waiting = read(2 * READ_BYTES)
    core.mayReadCache = false
    machine.backing.letGo()
    expect(waiting.ended).toBe('ok')
    expect(begun).toContain('read 16384+8192')
  })

  test('when it is old', async () => {
    const { machine, read, begin, begun } = await make()
    begin()
    await machine.time.advance(AGE_MAX_MS - 1)
    read(2 * READ_BYTES)
    expect(begun).toEqual(['read 32768+16384'])
    await machine.time.advance(1)
    read(3 * READ_BYTES)
    expect(begun).toContain('read 24576+8192')
  })
})

describe('costs', () => {
  test('at most half of the pieces for one stream and all of them together, however many streams', async () => {
    const { machine, core, ahead, read } = await make()
    machine.backing.hold('read')
    const fronts = [0, 300 * KIB, 600 * KIB]
    for (let i = 0; i < 12; i += 1) {
      for (const front of fronts) read(front + i * READ_BYTES)
      expect(ahead.active).toBeLessThanOrEqual(LIMITS.pieces / 2)
    }
    machine.backing.letGo()
    expect(core.counters.readAheadBytes).toBeLessThanOrEqual(3 * 12 * READ_BYTES + LIMITS.pieces * LIMITS.pieceBytes)
  })

  test('less and less for streams that end where they were read ahead', async () => {
    const { machine, core, read } = await make()
    let wasted = 0
    const runs: number[] = []
    for (let run = 0; run < 20; run += 1) {
      const start = ((run * 7) % 20) * 48 * KIB
      for (let i = 0; i < 3; i += 1) read(start + i * READ_BYTES)
      await machine.time.advance(AGE_MAX_MS + IDLE_MS)
      const { readAheadBytes, readAheadUsedBytes } = core.counters
      runs.push(readAheadBytes - readAheadUsedBytes - wasted)
      wasted = readAheadBytes - readAheadUsedBytes
    }
    expect(runs[0]).toBeGreaterThan(0)
    expect(runs.slice(4).every((bytes) => bytes === 0)).toBe(true)
  })

  test('no memory before the first stream and some seconds after the last', async () => {
    const machine = new TestMachine()
    const core = await makeCore(machine, { readAheadLimits: LIMITS })
    const allocated: number[] = []
    Object.assign(core.ports, {
      memory: {
        allocate: (length: number) => {
          allocated.push(length)
          return heapMemory.allocate(length)
        },
      },
    })
    const ahead = new ReadAhead(core)
    const sequential = new SequentialDetector()
    const go = (from: number): void => {
      for (let at = from; at < from + 4 * READ_BYTES; at += READ_BYTES) {
        sequential.observe(at, READ_BYTES)
        ahead.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, at, () => undefined)
        ahead.follow(sequential, READ_BYTES, 0)
      }
    }
    expect(allocated).toEqual([])
    go(0)
    await machine.time.advance(IDLE_MS / 2)
    go(4 * READ_BYTES)
    expect(allocated).toEqual([LIMITS.pieces * LIMITS.pieceBytes])
    await machine.time.advance(2 * IDLE_MS)
    go(8 * READ_BYTES)
    expect(allocated).toHaveLength(2)
  })
})

describe('in a volume', () => {
  test('a record that was destaged since is seen, and one that was logged since', async () => {
    const machine = new TestMachine()
    const volume = await machine.open({ readAheadLimits: LIMITS })
    for (let at = 0; at < 2; at += 1) await contentOf(volume, at * READ_BYTES, READ_BYTES)
    expect(volume.status().counters.readAheadBytes).toBe(16 * KIB)
    await ask(volume, aWrite(16 * KIB, 0xaa))
    await during(machine.time, volume.drain())
    await ask(volume, aWrite(20 * KIB, 0xbb))
    expect(await contentOf(volume, 16 * KIB, READ_BYTES)).toEqual(
      Buffer.concat([Buffer.alloc(4096, 0xaa), Buffer.alloc(4096, 0xbb)]),
    )
  })

  test('reads from it are misses, and a stop waits for what is under way', async () => {
    const machine = new TestMachine()
    const volume = await machine.open({ readAheadLimits: LIMITS })
    for (let at = 0; at < 4; at += 1) await contentOf(volume, at * READ_BYTES, READ_BYTES)
    expect(volume.status().counters).toMatchObject({ readHits: 0, readMisses: 4, readAheadUsedBytes: 2 * READ_BYTES })
    machine.backing.hold('read')
    submit(volume, aRead(4 * READ_BYTES, READ_BYTES))
    const stopped = volume.suspend()
    await machine.time.advance(100)
    expect([machine.backing.closed, machine.backing.held.length]).toEqual([false, 1])
    machine.backing.letGo()
    await during(machine.time, stopped)
    expect(machine.backing.closed).toBe(true)
  })

  test.each([
    ['fails', new IoError('EIO', 'read failed')],
    ['is overtaken by a write', undefined],
  ])('a close waits for reads that ask once more, since what was read ahead %s', async (_how, error) => {
    const machine = new TestMachine()
    const volume = await machine.open({ readAheadLimits: LIMITS })
    await contentOf(volume, 0, READ_BYTES)
    machine.backing.hold('read')
    submit(volume, aRead(READ_BYTES, READ_BYTES))
    const waits = aRead(2 * READ_BYTES, READ_BYTES)
    submit(volume, waits)
    if (error === undefined) await ask(volume, aWrite(28 * KIB, 0xaa))
    const closed = volume.close()
    await machine.time.advance(1_000)
    machine.backing.held.find(({ position }) => position === 2 * READ_BYTES)?.complete(error)
    expect([machine.backing.closed, waits.result]).toEqual([false, null])
    machine.backing.letGo()
    await during(machine.time, closed)
    expect([machine.backing.closed, waits.result]).toEqual([true, 0])
  })
})
