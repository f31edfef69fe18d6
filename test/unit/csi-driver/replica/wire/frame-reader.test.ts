// Proves: whatever arrives, in whatever pieces, the reader throws nothing, tells at most one problem, holds no more than
// its limits, asks for at most one buffer at a time and never one that is longer than a batch may be, tells only messages
// that were sent, and is silent after a problem. A header is refused for each wrong field before its body is looked at.
import fc from 'fast-check'
import { ENVELOPE_BYTES_MAX, envelopeOf } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { FRAME_HEADER, FRAME_HEADER_BYTES } from '../../../../../csi-driver/replica/wire/frame.ts'
import { FrameReader, KEPT_BYTES_MAX } from '../../../../../csi-driver/replica/wire/frame-reader.ts'
import { encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import type { WireMessage } from '../../../../../csi-driver/replica/wire/messages.ts'
import { ReceivedBatch } from '../../../../../csi-driver/replica/wire/received-batch.ts'
import { bodyLimits, HANDSHAKE, WIRE_VERSIONS } from '../../../../../csi-driver/replica/wire/versions.ts'
import {
  chunksOf,
  engineMessage,
  forge,
  HELLO,
  hello,
  listen,
  storeMessage,
  streamOf,
  WELCOME,
  writeFrame,
} from './wire-kit.ts'

const H = FRAME_HEADER.offsets
const SMALL_BYTES = bodyLimits(WIRE_VERSIONS, 'engine').smallBytesMax
const pieces = fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 6 })

function appendOf(bytes: number, batchSeq = 17): WireMessage {
  return { type: 'APPEND', ...envelopeOf(writeFrame(bytes, batchSeq)) }
}

/** Pushes the chunks and checks after each what must hold whatever they are. */
function survive(from: 'engine' | 'store', chunks: readonly Buffer[], startAgreed = false) {
  const asked: number[] = []
  const heard = listen(from, {
    bodyBuffer: (_type, bodyBytes) => {
      asked.push(bodyBytes)
      expect(bodyBytes).toBeLessThanOrEqual(ENVELOPE_BYTES_MAX)
      return { buffer: Buffer.alloc(bodyBytes), start: 0 }
    },
  })
  if (startAgreed) heard.reader.agree(1)
  for (const chunk of chunks) {
    const before = heard.problems.length + heard.messages.length
    const wasOver = heard.problems.length > 0
    heard.reader.push(chunk)
    expect(heard.problems.length).toBeLessThanOrEqual(1)
    expect(heard.reader.heldBytes).toBeLessThanOrEqual(FRAME_HEADER_BYTES + SMALL_BYTES + KEPT_BYTES_MAX)
    if (wasOver) expect(heard.problems.length + heard.messages.length).toBe(before)
  }
  expect(asked.length).toBeLessThanOrEqual(heard.messages.length + 1)
  return heard
}

type Heard = ReturnType<typeof listen<'engine'>>

test('random bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), pieces, fc.boolean(), (bytes, lengths, startAgreed) => {
      const { messages } = survive('engine', chunksOf(Buffer.from(bytes), lengths), startAgreed)
      expect(messages).toEqual([])
    }),
    { numRuns: 300 },
  )
})

type Damage = {
  readonly at: number
  readonly kind: 'flip' | 'cut' | 'repeat' | 'zero' | 'insert'
  readonly span: number
}
const damages: fc.Arbitrary<Damage> = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom('flip', 'cut', 'repeat', 'zero', 'insert'),
  span: fc.integer({ min: 1, max: 64 }),
})

function damage(stream: Buffer, { at: anywhere, kind, span }: Damage): Buffer {
  const at = anywhere % stream.length
  const end = Math.min(stream.length, at + span)
  const between = (middle: Buffer): Buffer => Buffer.concat([stream.subarray(0, at), middle, stream.subarray(end)])
  if (kind === 'cut') return between(Buffer.alloc(0))
  if (kind === 'repeat') return between(Buffer.concat([stream.subarray(at, end), stream.subarray(at, end)]))
  if (kind === 'insert') return between(Buffer.concat([Buffer.alloc(span, 0xa5), stream.subarray(at, end)]))
  const damaged = Buffer.from(stream)
  if (kind === 'zero') damaged.fill(0, at, end)
  else damaged[at] = (damaged[at] ?? 0) ^ (1 << (span & 7))
  return damaged
}

test('a damaged stream gives the messages before the damage and nothing else', () => {
  fc.assert(
    fc.property(
      hello,
      fc.array(engineMessage, { minLength: 1, maxLength: 4 }),
      damages,
      pieces,
      (first, rest, harm, lengths) => {
        const sent = [first, ...rest]
        const stream = streamOf(sent)
        const damaged = damage(stream, harm)
        const { messages, problems, reader } = survive('engine', chunksOf(damaged, lengths))
        expect(messages).toEqual(sent.slice(0, messages.length))
        const isNoticed = messages.length < sent.length || problems.length === 1 || reader.isInsideFrame
        expect(isNoticed).toBe(!damaged.equals(stream))
      },
    ),
    { numRuns: 300 },
  )
})

test('a body has one encoding: what a forged one decodes to is encoded as it came', () => {
  const anyFrom = fc.oneof(engineMessage, storeMessage)
  let legal = 0
  fc.assert(
    fc.property(anyFrom, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, anywhere, mask) => {
      const from =
        (HANDSHAKE.byType.get(message.type) ?? WIRE_VERSIONS.get(1)?.byType.get(message.type))?.from ?? 'engine'
      const opening = streamOf([from === 'engine' ? HELLO : WELCOME])
      const honest = streamOf([message], { sequence: 2 })
      if (honest.length === FRAME_HEADER_BYTES) return
      const at = FRAME_HEADER_BYTES + (anywhere % Math.min(400, honest.length - FRAME_HEADER_BYTES))
      const forged = forge(honest, (frame) => frame.writeUInt8((frame[at] ?? 0) ^ mask, at))
      const { messages, problems } = survive(from, [opening, forged])
      if (problems.length > 0) return expect(problems[0]?.label).toBe('body')
      legal++
      expect(streamOf(messages.slice(1), { sequence: 2 }).equals(forged)).toBe(true)
    }),
    { numRuns: 1000 },
  )
  expect(legal).toBeGreaterThan(100)
})

const TRIM = encodeMessage({ type: 'TRIM', batchSeq: 5 }, { version: 1, sequence: 2 })[0] as Buffer

test.each<[string, string, string, (frame: Buffer) => unknown]>([
  ['magic', 'magic', 'bad-message', (frame) => frame.writeUInt32LE(1, H.magic)],
  ['a flag', 'padding', 'bad-message', (frame) => frame.writeUInt8(1, H.flags)],
  ['reserved bytes', 'padding', 'bad-message', (frame) => frame.writeUInt32LE(1, H.reserved)],
  ['another version', 'version', 'version', (frame) => frame.writeUInt16LE(2, H.version)],
  ['an unknown type', 'type', 'bad-message', (frame) => frame.writeUInt8(99, H.type)],
  ['a type of the other side', 'type', 'bad-message', (frame) => frame.writeUInt8(131, H.type)],
  [
    'HELLO in a later frame',
    'order',
    'bad-message',
    (frame) => (frame.writeUInt8(1, H.type), frame.writeUInt16LE(0, H.version)),
  ],
  ['a frame left out', 'sequence', 'bad-message', (frame) => frame.writeUInt32LE(3, H.sequence)],
  ['a frame repeated', 'sequence', 'bad-message', (frame) => frame.writeUInt32LE(1, H.sequence)],
  ['a huge body', 'length', 'bad-message', (frame) => frame.writeUInt32LE(0xffff_ffff, H.bodyBytes)],
  ['a body one byte too long', 'length', 'bad-message', (frame) => frame.writeUInt32LE(9, H.bodyBytes)],
  ['a body too short', 'length', 'bad-message', (frame) => frame.writeUInt32LE(7, H.bodyBytes)],
])('refuses at the header: %s', (_name, label, refusal, change) => {
  const { reader, messages, problems } = listen('engine')
  reader.push(streamOf([HELLO]))
  // Not a byte of the body is needed to see it.
  reader.push(forge(TRIM, change).subarray(0, FRAME_HEADER_BYTES))
  expect(problems).toEqual([expect.objectContaining({ label, refusal })])
  reader.push(streamOf([HELLO]))
  reader.push(TRIM)
  reader.resume()
  expect([messages.length, problems.length, reader.isInsideFrame]).toEqual([1, 1, false])
})

test('damage is told from forgery: the checksum covers the header, the hash the body', () => {
  const inHeader = Buffer.from(TRIM)
  inHeader.writeUInt8(9, H.type)
  const inBody = Buffer.from(TRIM)
  inBody.writeUInt8(9, FRAME_HEADER_BYTES)
  for (const [frame, label] of [
    [inHeader, 'checksum'],
    [inBody, 'hash'],
  ] as const) {
    const { reader, problems } = listen('engine')
    reader.push(streamOf([HELLO]))
    reader.push(frame)
    expect(problems).toEqual([expect.objectContaining({ label, refusal: 'corrupt' })])
  }
})

test('the first frame is a handshake, and nothing follows before a version is agreed', () => {
  const early = listen('engine')
  early.reader.push(streamOf([{ type: 'STATE' }]))
  expect(early.problems).toEqual([expect.objectContaining({ label: 'order' })])
  const agreedTooSoon = listen('engine')
  agreedTooSoon.reader.agree(1)
  agreedTooSoon.reader.push(streamOf([{ type: 'STATE' }]))
  expect(agreedTooSoon.problems).toEqual([expect.objectContaining({ label: 'order' })])
  const impatient = listen('engine', { onMessage: () => undefined })
  impatient.reader.push(streamOf([HELLO, { type: 'STATE' }]))
  expect(impatient.problems).toEqual([expect.objectContaining({ label: 'order' })])
  const twice = listen('store')
  twice.reader.push(streamOf([WELCOME, WELCOME]))
  expect(twice.problems).toEqual([expect.objectContaining({ label: 'order' })])
  expect(() => listen('engine').reader.agree(2)).toThrow('version=2')
})

test('every type has its own limits, checked before a buffer is asked for', () => {
  for (const kind of WIRE_VERSIONS.get(1)?.byCode.values() ?? []) {
    for (const bodyBytes of [kind.bytesMin - 1, kind.bytesMax + 1]) {
      if (bodyBytes < 0) continue
      const heard = listen(kind.from, { bodyBuffer: () => expect('asked').toBe('not asked') as never })
      heard.reader.push(streamOf([kind.from === 'engine' ? HELLO : WELCOME]))
      const header = forge(
        TRIM,
        (frame) => (frame.writeUInt8(kind.code, H.type), frame.writeUInt32LE(bodyBytes, H.bodyBytes)),
      )
      heard.reader.push(header.subarray(0, FRAME_HEADER_BYTES))
      expect(heard.problems).toEqual([expect.objectContaining({ label: 'length' })])
    }
  }
})

test('a batch goes straight to where its body was asked to stand, and nowhere else', () => {
  const room = Buffer.alloc(20_000, 0xee)
  const got: ReceivedBatch[] = []
  const reader = new FrameReader({
    from: 'engine',
    onMessage: (message) => {
      if (message.type === 'HELLO') reader.agree(1)
      if (message.type === 'APPEND') got.push(message)
    },
    onProblem: ({ message }) => expect(message).toBe('no problem'),
    bodyBuffer: () => ({ buffer: room, start: 4096 }),
  })
  const sent = appendOf(5120)
  const stream = streamOf([HELLO, sent])
  for (const chunk of chunksOf(stream, [1, 700])) reader.push(chunk)
  const bodyBytes = stream.length - streamOf([HELLO]).length - FRAME_HEADER_BYTES
  const [batch] = got
  expect(batch).toBeInstanceOf(ReceivedBatch)
  expect(batch?.body).toMatchObject({ start: 4096, length: bodyBytes })
  expect(batch?.body.buffer).toBe(room)
  expect(room.subarray(4096, 4096 + bodyBytes).equals(stream.subarray(stream.length - bodyBytes))).toBe(true)
  const outside = Buffer.concat([room.subarray(0, 4096), room.subarray(4096 + bodyBytes)])
  expect(outside.equals(Buffer.alloc(outside.length, 0xee))).toBe(true)
  expect(batch?.payload.buffer).toBe(room.buffer)
  expect(reader.framesRead).toBe(2)
})

test('a batch waits for a buffer, what follows waits with it, and the order stays', () => {
  fc.assert(
    fc.property(pieces, fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }), (lengths, answers) => {
      let turn = 0
      const heard = listen('engine', {
        bodyBuffer: (_type, bodyBytes) =>
          answers[turn++ % answers.length] === true ? 'later' : { buffer: Buffer.alloc(bodyBytes), start: 0 },
      })
      const sent = [
        HELLO,
        appendOf(512, 1),
        { type: 'TRIM', batchSeq: 1 } as const,
        appendOf(1024, 2),
        { type: 'STATE' } as const,
      ]
      for (const chunk of chunksOf(streamOf(sent), lengths)) {
        heard.reader.push(chunk)
        if (heard.reader.isWaiting && turn % 2 === 0) heard.reader.resume()
      }
      for (let tries = 0; heard.reader.isWaiting && tries < 10; tries++) heard.reader.resume()
      if (!heard.reader.isWaiting) expect(heard.messages).toEqual(sent)
      expect(heard.problems).toEqual([])
    }),
  )
})

test('who sends on against a closed door is cut off', () => {
  const heard = listen('engine', { bodyBuffer: () => 'later' })
  heard.reader.push(streamOf([HELLO, appendOf(512)]))
  expect(heard.reader.isWaiting).toBe(true)
  for (let sent = 0; sent <= KEPT_BYTES_MAX; sent += 65_536) heard.reader.push(Buffer.alloc(65_536))
  expect(heard.problems).toEqual([expect.objectContaining({ label: 'flood' })])
  expect(heard.reader.heldBytes).toBe(FRAME_HEADER_BYTES + SMALL_BYTES)
})

test('no buffer at all is a problem', () => {
  const heard = listen('engine', { bodyBuffer: () => null })
  heard.reader.push(streamOf([HELLO, appendOf(512)]))
  expect(heard.problems).toEqual([expect.objectContaining({ label: 'no-buffer', refusal: 'too-many' })])
})

test('nothing is told after end, not even of the bytes under way', () => {
  const heard = listen('engine', {
    onMessage: () => {
      heard.messages.push(HELLO)
      heard.reader.end()
    },
  })
  heard.reader.push(streamOf([HELLO, { type: 'STATE' }, { type: 'STATE' }]))
  heard.reader.push(Buffer.alloc(100))
  expect([heard.messages.length, heard.problems.length]).toEqual([1, 0])
  const inside: Heard = listen('engine', {
    bodyBuffer: (): null => {
      inside.reader.end()
      return null
    },
  })
  inside.reader.push(streamOf([HELLO, appendOf(512), { type: 'STATE' }]))
  expect([inside.messages.length, inside.problems.length]).toEqual([1, 0])
})

test('a volume key stays nowhere in the reader', () => {
  const { reader, messages } = listen('engine')
  reader.push(streamOf([{ ...HELLO, volumeKey: Buffer.alloc(32, 0x5a) } as WireMessage]))
  expect(messages[0]).toMatchObject({ volumeKey: Buffer.alloc(32, 0x5a) })
  const { small } = reader as unknown as { small: Buffer }
  expect(small.equals(Buffer.alloc(small.length))).toBe(true)
})
