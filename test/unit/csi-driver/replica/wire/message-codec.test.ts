// Proves: every message of either side comes out of the reader as it went into the encoder, in whatever pieces its bytes
// arrive; what no peer would accept is an assertion of the encoder.
import fc from 'fast-check'
import type { WireMessage } from '../../../../../csi-driver/replica/wire/messages.ts'
import { encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import { chunksOf, engineMessage, HELLO, hello, listen, storeMessage, streamOf, WELCOME, welcome } from './wire-kit.ts'

const lengths = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 8 })

function received(
  from: 'engine' | 'store',
  messages: readonly WireMessage[],
  pieces: readonly number[],
): WireMessage[] {
  const { reader, messages: got, problems } = listen(from)
  for (const chunk of chunksOf(streamOf(messages), pieces)) reader.push(chunk)
  expect(problems).toEqual([])
  expect(reader.isInsideFrame).toBe(false)
  return got
}

test('round trip of what engines send', () => {
  fc.assert(
    fc.property(hello, fc.array(engineMessage, { maxLength: 6 }), lengths, (first, rest, pieces) => {
      expect(received('engine', [first, ...rest], pieces)).toEqual([first, ...rest])
    }),
    { numRuns: 200 },
  )
})

test('round trip of what stores send', () => {
  fc.assert(
    fc.property(welcome, fc.array(storeMessage, { maxLength: 6 }), lengths, (first, rest, pieces) => {
      expect(received('store', [first, ...rest], pieces)).toEqual([first, ...rest])
    }),
    { numRuns: 200 },
  )
})

test('a refusal may be the first answer, and becomes one short line', () => {
  const long = `no such volume\nvolume=${'ä'.repeat(400)}`
  const [got] = received('store', [{ type: 'REFUSED', code: 'not-held', message: long }], [7])
  expect(got).toMatchObject({ type: 'REFUSED', code: 'not-held' })
  const message = got?.type === 'REFUSED' ? got.message : ''
  expect(message.startsWith('no such volume volume=ää')).toBe(true)
  expect(Buffer.byteLength(message)).toBe(512)
})

test('the rest of a seal is rounded up', () => {
  expect(received('store', [WELCOME, { type: 'SEAL_WAIT', remainingMs: 1.2 }], [1000])[1]).toMatchObject({
    remainingMs: 2,
  })
})

const mark = { version: 1, sequence: 1 }

test.each<[string, WireMessage]>([
  ['number', { type: 'TRIM', batchSeq: -1 }],
  ['fraction', { type: 'APPENDED', batchSeq: 1.5 }],
  ['names', { type: 'LEARN', lineage: [], begin: { batchSeq: 1, seq: 1, previousHash: 0n }, logBytes: 1 }],
  ['uuid', { type: 'PROMOTE', logUuid: 'x' }],
  ['volume', { ...HELLO, type: 'HELLO', volume: '../x' } as WireMessage],
])('asserts: %s', (_name, message) => {
  expect(() => encodeMessage(message, mark)).toThrow(expect.objectContaining({ name: 'AssertionError' }))
})

test('asserts that the version has the message', () => {
  expect(() => encodeMessage({ type: 'STATE' }, { version: 2, sequence: 1 })).toThrow('version=2')
  expect(() => encodeMessage({ type: 'NONSENSE' }, mark)).toThrow('type=NONSENSE')
})
