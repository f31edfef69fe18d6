// Proves: every message of either side comes out of the reader as it went into the encoder, in whatever pieces its bytes
// arrive; what no peer would accept is an assertion of the encoder.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { LOG_NUMBER_LIMIT } from '../../../../../csi-driver/batch/batch-format.ts'
import { LOG_NAMES_MAX } from '../../../../../csi-driver/protocol/stored-log.ts'
import {
  BATCH_NUMBER_BODY,
  BEAT_BODY,
  FETCH_BODY,
  FETCH_END_BODY,
  LEARN_BODY,
  PREPARE_BODY,
  PROMOTE_BODY,
  SEAL_BODY,
  SEAL_WAIT_BODY,
} from '../../../../../csi-driver/replica/wire/bodies-v1.ts'
import {
  BLOCKS_BODY,
  CACHE_BODY,
  CACHE_IS_BODY,
  READ_BODY,
} from '../../../../../csi-driver/replica/wire/cache-bodies.ts'
import { ENVELOPE, ENVELOPE_BYTES_MAX } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { FRAME_HEADER } from '../../../../../csi-driver/replica/wire/frame.ts'
import { KEPT_BYTES_MAX } from '../../../../../csi-driver/replica/wire/frame-reader.ts'
import {
  HELLO_BODY,
  REFUSAL_NUMBERS,
  REFUSED_BODY,
  WELCOME_BODY,
} from '../../../../../csi-driver/replica/wire/handshake-bodies.ts'
import { bodyLimits, HANDSHAKE, WIRE_VERSIONS } from '../../../../../csi-driver/replica/wire/versions.ts'
import { LOG_NAME, VOLUME_STATE } from '../../../../../csi-driver/replica/wire/volume-state-body.ts'
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
  ['more blocks than a READ may ask for', { type: 'READ', number: 1, firstBlock: 0, count: 17 }],
  ['a block without its hash', { type: 'BLOCKS', number: 1, held: 1, hashes: [], data: Buffer.alloc(4096) }],
  ['uuid', { type: 'PROMOTE', logUuid: 'x' }],
  ['volume', { ...HELLO, type: 'HELLO', volume: '../x' } as WireMessage],
])('asserts: %s', (_name, message) => {
  expect(() => encodeMessage(message, mark)).toThrow(expect.objectContaining({ name: 'AssertionError' }))
})

const BEGIN = { batchSeq: 1, seq: 1, previousHash: 0n }
const NAME = { logUuid: 'a'.repeat(32), firstBatchSeq: 1 }
const LEARN = { type: 'LEARN', lineage: [NAME], begin: BEGIN, logBytes: 1 } as const

test.each<[string, WireMessage]>([
  ['TRIM', { type: 'TRIM', batchSeq: LOG_NUMBER_LIMIT }],
  ['HEARTBEAT', { type: 'HEARTBEAT', number: Number.MAX_SAFE_INTEGER }],
  ['LEARN batch', { ...LEARN, begin: { ...BEGIN, batchSeq: LOG_NUMBER_LIMIT } }],
  ['LEARN seq', { ...LEARN, begin: { ...BEGIN, seq: Number.MAX_SAFE_INTEGER } }],
  ['LEARN name', { ...LEARN, lineage: [{ ...NAME, firstBatchSeq: LOG_NUMBER_LIMIT }] }],
  ['FETCH', { type: 'FETCH', fromBatchSeq: LOG_NUMBER_LIMIT, bytesMax: 1 }],
])('refuses numbers that leave no room for the next one: %s', (_name, message) => {
  const { reader, problems } = listen('engine')
  reader.push(streamOf([HELLO, message]))
  expect(problems).toEqual([
    expect.objectContaining({ refusal: 'bad-message', message: expect.stringContaining('number is 2^52 or more') }),
  ])
})

test('refuses an epoch that leaves no room for the next one', () => {
  const { reader, problems } = listen('engine')
  reader.push(streamOf([{ ...HELLO, epoch: LOG_NUMBER_LIMIT } as WireMessage]))
  expect(problems).toEqual([
    expect.objectContaining({ message: expect.stringContaining('number is 2^52 or more field=epoch') }),
  ])
})

test('asserts that the version has the message', () => {
  expect(() => encodeMessage({ type: 'STATE' }, { version: 2, sequence: 1 })).toThrow('version=2')
  expect(() => encodeMessage({ type: 'NONSENSE' }, mark)).toThrow('type=NONSENSE')
})

test('the document shows the declared tables', () => {
  const page = readFileSync('docs/formats/wire.md', 'utf8')
  const bodies = [BATCH_NUMBER_BODY, BEAT_BODY, LEARN_BODY, SEAL_BODY, SEAL_WAIT_BODY, FETCH_BODY, FETCH_END_BODY]
  const cache = [CACHE_BODY, CACHE_IS_BODY, READ_BODY, BLOCKS_BODY]
  const structs = [FRAME_HEADER, HELLO_BODY, WELCOME_BODY, REFUSED_BODY, VOLUME_STATE, LOG_NAME, ENVELOPE, PREPARE_BODY]
  for (const layout of [...bodies, ...cache, ...structs, PROMOTE_BODY]) expect(page).toContain(layout.dump())
  for (const [code, number] of Object.entries(REFUSAL_NUMBERS)) expect(page).toContain(`\n| ${number} | ${code} | `)
  for (const table of [HANDSHAKE, ...WIRE_VERSIONS.values()]) {
    for (const { code, type, from, bytesMin, bytesMax } of table.byCode.values()) {
      const length = bytesMin === bytesMax ? `${bytesMin}` : `${bytesMin} to ${bytesMax}`
      expect(page).toContain(`\n| ${code} | ${type} | ${from} | ${table.number} | ${length} | `)
    }
  }
  const small = (['engine', 'store'] as const).map((from) => bodyLimits(WIRE_VERSIONS, from).smallBytesMax)
  for (const limit of [ENVELOPE_BYTES_MAX, ...small, KEPT_BYTES_MAX, LOG_NAMES_MAX]) {
    expect(page).toContain(` | ${limit} |\n`)
  }
})
