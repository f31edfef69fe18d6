// Group commit: what is durable in the log, visible to reads and acknowledged, in this order and at the right time.
import { IoError } from '../../../../base/errors.ts'
import { REQUEST_OK } from '../../../../csi-driver/engine/request.ts'
import { blocksTouched, IDLE_FRAME_DELAY_MS, WritePath } from '../../../../csi-driver/engine/write-path.ts'
import { ask, aWrite, aZero, contentOf, makeCore, settle, submit, TestMachine, type TestRequest } from './harness.ts'

interface Failed {
  readonly fill: number
  readonly kind: number
}

async function makePath(machine = new TestMachine()) {
  const core = await makeCore(machine)
  const failures: Failed[][] = []
  let commits = 0
  const path = new WritePath(core, {
    onLoggedBefore: () => undefined,
    onCommitted: () => void (commits += 1),
    onLogFailed: (_error, writes) =>
      failures.push(writes.map(({ request, data }) => ({ kind: request.kind, fill: data[0] ?? -1 }))),
  })
  const write = (request: TestRequest): boolean => path.addWrite(request, request.data, 0)
  return { machine, core, path, write, failures, commits: () => commits }
}

describe('group commit', () => {
  test('one batch is written at a time; the next one collects meanwhile', async () => {
    const { machine, core, path, write } = await makePath()
    machine.cache.hold('write')
    const requests = [aWrite(0, 1), aWrite(4096, 2), aWrite(8192, 3)]
    write(requests[0] as TestRequest)
    path.kick()
    write(requests[1] as TestRequest)
    write(requests[2] as TestRequest)
    path.kick()
    expect(machine.cache.held).toHaveLength(1)
    machine.cache.held[0]?.complete()
    expect(requests.map((request) => request.result)).toEqual([REQUEST_OK, null, null])
    expect(machine.cache.held).toHaveLength(1)
    machine.cache.letGo()
    expect(requests.map((request) => request.result)).toEqual([REQUEST_OK, REQUEST_OK, REQUEST_OK])
    expect(core).toMatchObject({ committedSeq: 3, committedBatchSeq: 2, recordBlocks: 3, dirtyBytes: 3 * 4096 })
    expect(path).toMatchObject({ idle: true, pendingBytes: 0, repliedSeq: 3 })
  })

  test('a record is not in the index before it is durable, and is there when its request is answered', async () => {
    const { machine, core, path, write } = await makePath()
    machine.cache.hold('write')
    const request = aWrite(0, 1)
    let known = -1
    request.onComplete = () => void (known = core.index.find(0))
    write(request)
    path.kick()
    expect(core.index.find(0)).toBe(0)
    expect(path.touchesPending(7, 8)).toBe(true)
    expect(path.touchesPending(8, 16)).toBe(false)
    machine.cache.letGo()
    expect(known).toBe(1)
    expect(path.touchesPending(0, 8)).toBe(false)
  })

  test('records of one batch take effect in their order', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    submit(volume, aWrite(0, 1, 8192), aZero(512, 4096), aWrite(1024, 3, 512))
    const found = await contentOf(volume, 0, 8192)
    expect(found[0]).toBe(1)
    expect(found.subarray(512, 1024)).toEqual(Buffer.alloc(512))
    expect(found.subarray(1024, 1536)).toEqual(Buffer.alloc(512, 3))
    expect(found.subarray(1536, 4608)).toEqual(Buffer.alloc(3072))
    expect(found.subarray(4608)).toEqual(Buffer.alloc(3584, 1))
  })

  test('nothing is written while acknowledgements are frozen', async () => {
    const { machine, core, path, write } = await makePath()
    const before = machine.cache.count('write')
    core.frozen = 1
    write(aWrite(0, 1))
    path.kick()
    expect(machine.cache.count('write')).toBe(before)
    core.frozen = 0
    path.kick()
    expect(path.idle).toBe(true)
  })

  test('an answer may bring the next request and its kick at once', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    machine.cache.hold('write')
    const [first, second, third] = [aWrite(0, 1), aWrite(4096, 2), aWrite(8192, 3)] as const
    first.onComplete = () => submit(volume, third)
    submit(volume, first, second)
    machine.cache.letGo()
    await settle()
    expect([first.result, second.result, third.result]).toEqual([0, 0, 0])
    for (const [i, offset] of [0, 4096, 8192].entries()) {
      expect(await contentOf(volume, offset)).toEqual(Buffer.alloc(4096, i + 1))
    }
  })
})

describe('limits', () => {
  test('a full batch takes nothing more until it is on its way', async () => {
    const { machine, path, write } = await makePath()
    machine.cache.hold('write')
    write(aWrite(0, 1))
    path.kick()
    for (let i = 0; i < 16; i += 1) expect(write(aWrite(i * 4096, i))).toBe(true)
    expect(write(aWrite(0, 9))).toBe(false)
    machine.cache.held[0]?.complete()
    expect(write(aWrite(0, 9))).toBe(true)
  })

  test('a full log takes nothing', async () => {
    const { path, write } = await makePath()
    let taken = 0
    while (write(aWrite((taken % 100) * 4096, taken))) {
      taken += 1
      path.kick()
    }
    expect(path.hasSpace(4096)).toBe(false)
    expect(path.addZero(aZero(0))).toBe(false)
    expect(taken).toBeGreaterThan(10)
  })

  test.each([
    [0, 512, 1],
    [7, 1024, 2],
    [0, 4096, 1],
    [4, 4096, 2],
    [3, 0, 0],
  ])('a record at sector %i of %i bytes touches %i blocks', (sector, length, blocks) => {
    expect(blocksTouched(sector, length)).toBe(blocks)
  })
})

describe('a log that cannot be written', () => {
  test('gives back what was not acknowledged, in order and with its data', async () => {
    const { machine, core, path, write, failures } = await makePath()
    machine.cache.hold('write')
    const flying = aWrite(0, 1)
    write(flying)
    path.kick()
    write(aWrite(4096, 2))
    path.addZero(aZero(8192))
    machine.cache.held[0]?.complete(new IoError('EIO', 'gone'))
    expect(failures).toEqual([
      [
        { kind: 2, fill: 1 },
        { kind: 2, fill: 2 },
        { kind: 3, fill: -1 },
      ],
    ])
    expect(flying.result).toBeNull()
    expect(core).toMatchObject({ committedSeq: 0, cacheFailure: 'gone' })
    expect(path).toMatchObject({ idle: true, pendingBytes: 0 })
  })

  test('a superblock that cannot be written leaves nobody without an answer', async () => {
    const machine = new TestMachine()
    const volume = await machine.open()
    await ask(volume, aWrite(0, 1))
    machine.cache.hold('write')
    // A batch in flight, one that waits behind it, and a checkpoint that fails meanwhile.
    const flying = aWrite(4096, 2)
    const waiting = aWrite(8192, 3)
    await machine.time.advance(1_000)
    machine.cache.letGo()
    machine.cache.hold('write')
    submit(volume, flying)
    submit(volume, waiting)
    machine.cache.fail('write', 1, { to: 32 * 1024 })
    for (let i = 0; i < 20; i += 1) {
      await machine.time.advance(500)
      machine.cache.held.find(({ position }) => position < 32 * 1024)?.complete()
    }
    machine.cache.letGo()
    await machine.time.advance(30_000)
    expect([flying.result, waiting.result]).toEqual([0, 0])
    expect(volume.status()).toMatchObject({ phase: 'WriteThrough', dirtyBytes: 0 })
    expect(machine.backing.bytes[8192]).toBe(3)
  })
})

describe('an idle log', () => {
  test('tells in an empty frame that its newest records were answered', async () => {
    const { machine, core, path, write } = await makePath()
    write(aWrite(0, 1))
    path.kick()
    expect(core.journal.ackedSeq).toBe(0)
    await machine.time.advance(IDLE_FRAME_DELAY_MS)
    expect(core.journal.ackedSeq).toBe(1)
    const frames = core.journal.lastBatchSeq
    await machine.time.advance(10 * IDLE_FRAME_DELAY_MS)
    expect(core.journal.lastBatchSeq).toBe(frames)
  })

  test('tells it also when the answer came later than the frame would have', async () => {
    const { machine, core, path, write } = await makePath()
    let unreplied = 1
    path.unrepliedSeq = () => unreplied
    write(aWrite(0, 1))
    path.kick()
    await machine.time.advance(3 * IDLE_FRAME_DELAY_MS)
    expect(core.journal.ackedSeq).toBe(0)
    unreplied = Infinity
    await machine.time.advance(IDLE_FRAME_DELAY_MS)
    expect(core.journal.ackedSeq).toBe(1)
  })
})
