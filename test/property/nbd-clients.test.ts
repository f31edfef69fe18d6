// Proves with random clients: whatever the cuts between the bytes, the order of answers and the reading of the client,
// what is read is what was written (a model disk); and no bytes at any stage throw, leave requests behind, or reach the
// engine outside of the volume.
import fc from 'fast-check'
import {
  CLIENT_FLAGS,
  go,
  option,
  READ,
  replies,
  request,
  setMeta,
  structured,
  TRIM,
  WRITE,
  WRITE_ZEROES,
} from '../unit/csi-driver/frontend/nbd/nbd-frames.ts'
import { World } from '../unit/csi-driver/frontend/nbd/nbd-world.ts'

const SIZE = 4 << 20

interface Operation {
  readonly command: number
  readonly sector: number
  readonly sectors: number
  readonly fill: number
}

const operation: fc.Arbitrary<Operation> = fc.record({
  command: fc.constantFrom(READ, READ, WRITE, WRITE, WRITE_ZEROES, TRIM),
  sector: fc.integer({ min: 0, max: SIZE / 512 - 1 }),
  sectors: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 2040, max: 4200 })),
  fill: fc.integer({ min: 1, max: 255 }),
})

test('what is read is what was written, however the bytes are cut', () => {
  const cuts = fc.array(fc.integer({ min: 10, max: 300_000 }), { minLength: 1, maxLength: 20 })
  const property = fc.property(
    fc.array(operation, { maxLength: 12 }),
    cuts,
    fc.boolean(),
    fc.integer({ min: 20_000, max: 3_000_000 }),
    (operations, lengths, isStructured, room) => {
      const world = new World({ sizeBytes: SIZE })
      const socket = world.client({ structured: isStructured })
      const model = Buffer.alloc(SIZE)
      const expected = new Map<bigint, Buffer>()
      const frames = operations.map(({ command, sector, sectors, fill }, i) => {
        const offset = sector * 512
        const length = Math.min(sectors * 512, SIZE - offset)
        const cookie = BigInt(i)
        if (command === READ) expected.set(cookie, Buffer.from(model.subarray(offset, offset + length)))
        else model.fill(command === WRITE ? fill : 0, offset, offset + length)
        const payload = command === WRITE ? { payload: Buffer.alloc(length, fill) } : { length }
        return request({ command, cookie, offset: BigInt(offset), ...payload })
      })
      socket.read(room)
      // One after the other: a model of what overlapping requests may do in any order would prove less.
      for (const [i, frame] of frames.entries()) {
        for (let at = 0, cut = i; at < frame.length; cut++) {
          const end = at + (lengths[cut % lengths.length] ?? 1)
          socket.feed(frame.subarray(at, end))
          at = end
        }
        for (world.settle(); socket.isFull; world.settle()) socket.read(room)
        socket.read(room)
      }
      const answers = replies(socket.taken(), (cookie) => expected.get(cookie)?.length ?? 0)
      expect(answers.every(({ error }) => error === 0)).toBe(true)
      for (const [cookie, data] of expected) {
        const chunks = answers.filter((answer) => answer.cookie === cookie).map((answer) => answer.data)
        expect(Buffer.concat(chunks).equals(data)).toBe(true)
      }
      expect(world.disk.equals(model)).toBe(true)
      expect(world.frontend.counters.inFlight).toBe(0)
    },
  )
  fc.assert(property, { numRuns: 40 })
})

const noise = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes))
const almostRequest = fc
  .tuple(
    fc.integer({ min: 0, max: 10 }),
    fc.nat(0xffff),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.nat(0xffff_ffff),
    noise,
  )
  .map(([command, flags, offset, length, payload]) =>
    request({ command, flags: flags & 0x3f, offset, length, payload }),
  )
const smallRequest = fc
  .tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 31 }), fc.nat(8), fc.nat(4))
  .map(([command, flags, sector, sectors]) =>
    request({
      command,
      flags,
      offset: BigInt(sector * 512),
      length: sectors * 512,
      payload: Buffer.alloc(command === WRITE ? sectors * 512 : 0),
    }),
  )

test('no bytes at any stage throw, leave something behind, or pass the bounds', () => {
  const beginnings = fc.constantFrom(
    Buffer.alloc(0),
    CLIENT_FLAGS,
    Buffer.concat([CLIENT_FLAGS, structured(), setMeta('db1', 'base:allocation')]),
    Buffer.concat([CLIENT_FLAGS, go('db1')]),
    Buffer.concat([CLIENT_FLAGS, structured(), setMeta('db1', 'base:allocation'), go('')]),
  )
  const part = fc.oneof(
    noise,
    almostRequest,
    smallRequest,
    noise.map((bytes) => option(bytes[0] ?? 0, bytes)),
  )
  const property = fc.property(
    beginnings,
    fc.array(part, { maxLength: 15 }),
    fc.integer({ min: 1, max: 200 }),
    fc.boolean(),
    fc.integer({ min: 0, max: 5000 }),
    (beginning, parts, cut, answersAtOnce, room) => {
      const world = new World({ sizeBytes: SIZE })
      world.answersAtOnce = answersAtOnce
      const socket = world.sockets.connect()
      socket.read(room)
      const bytes = Buffer.concat([beginning, ...parts])
      for (let at = 0; at < bytes.length; at += cut) {
        socket.feed(bytes.subarray(at, at + cut))
        if (at % 3 === 0) world.settle()
      }
      for (const { offset, length } of world.seen) {
        expect(offset % 512 === 0 && length % 512 === 0 && offset + length <= SIZE).toBe(true)
      }
      socket.close()
      world.completeAll()
      world.settle()
      expect(world.frontend.counters.inFlight).toBe(0)
      expect(world.frontend.connectionCount).toBe(0)
      // The next one is served as if nothing had been.
      world.answersAtOnce = true
      const next = world.client()
      next.feed(request({ command: READ, cookie: 4n, length: 512 }))
      world.settle()
      expect(replies(next.taken(), () => 512)).toMatchObject([{ cookie: 4n, error: 0 }])
    },
  )
  fc.assert(property, { numRuns: 400 })
})
