// Proves that requests and replies survive the way over a line, that nothing a peer sends makes a parser throw or pass
// for a request that it is not, and that the splitter never holds more than one line of the allowed length.
import fc from 'fast-check'
import { CacheError } from '../../../../base/errors.ts'
import {
  encodeLine,
  errorOf,
  LINE_BYTES_MAX,
  LineSplitter,
  parseReply,
  parseRequest,
  problemOf,
} from '../../../../csi-driver/observe/control-protocol.ts'

const path = fc.string({ maxLength: 100 }).map((text) => `/${text.replaceAll(/[\n\0]/g, '')}`)
const calls = fc.oneof(
  fc.constantFrom('status', 'drain', 'stop', 'resize').map((method) => ({ method })),
  fc.constantFrom('write-back', 'write-through').map((policy) => ({ method: 'policy', policy })),
  fc.record({
    method: fc.constant('end-older'),
    volumeUuid: fc.stringMatching(/^[0-9a-f]{32}$/),
    epoch: fc.integer({ min: 1 }),
    proof: fc.stringMatching(/^[0-9a-f]{64}$/),
  }),
  fc.record({
    method: fc.constant('upgrade'),
    build: fc.option(path, { nil: null }),
    quiesceMs: fc.integer({ min: 0, max: 600_000 }),
  }),
)
const requests = fc.tuple(fc.integer(), calls).map(([id, call]) => ({ id, ...call }) as never)

test('every request is read back', () => {
  fc.assert(fc.property(requests, (request) => expect(parseRequest(encodeLine(request).trimEnd())).toEqual(request)))
})

test('every reply is read back', () => {
  const value = fc.jsonValue().filter((one) => !Object.is(one, -0))
  const replies = fc.oneof(
    fc.record({ id: fc.integer(), progress: value }),
    fc.record({ id: fc.integer(), result: value }),
    fc.record({
      id: fc.option(fc.integer(), { nil: null }),
      error: fc.record({
        kind: fc.constantFrom('retry', 'invalid', 'corrupt'),
        code: fc.string(),
        message: fc.string(),
        remedy: fc.option(fc.string(), { nil: null }),
      }),
    }),
  )
  const plain = (one: unknown): unknown => JSON.parse(JSON.stringify(one))
  fc.assert(
    fc.property(replies, (reply) => expect(parseReply(encodeLine(reply as never).trimEnd())).toEqual(plain(reply))),
  )
})

test.each([
  ['', null, 'not a JSON object'],
  ['[]', null, 'not a JSON object'],
  ['{"id":"1","method":"status"}', null, 'integer id'],
  ['{"id":1.5,"method":"status"}', null, 'integer id'],
  ['{"id":1,"method":"statuss"}', 1, 'unknown method="statuss"'],
  ['{"id":1}', 1, 'unknown method=undefined'],
  ['{"id":1,"method":"status","params":[]}', 1, 'params is not an object'],
  ['{"id":1,"method":"policy"}', 1, 'policy is neither'],
  ['{"id":1,"method":"policy","params":{"policy":"wb"}}', 1, 'policy is neither'],
  ['{"id":1,"method":"end-older","params":{"volumeUuid":"x","epoch":1}}', 1, 'volumeUuid is no identifier'],
  [`{"id":1,"method":"end-older","params":{"volumeUuid":"${'a'.repeat(32)}","epoch":0}}`, 1, 'epoch is no positive'],
  [`{"id":1,"method":"end-older","params":{"volumeUuid":"${'a'.repeat(32)}"}}`, 1, 'epoch is no positive'],
  [`{"id":1,"method":"end-older","params":{"volumeUuid":"${'a'.repeat(32)}","epoch":1}}`, 1, 'proof is not 64'],
  ['{"id":1,"method":"upgrade","params":{"build":"relative","quiesceMs":1}}', 1, 'build is no absolute path'],
  ['{"id":1,"method":"upgrade","params":{"build":"/a\\nb","quiesceMs":1}}', 1, 'build is no absolute path'],
  ['{"id":1,"method":"upgrade","params":{"build":5,"quiesceMs":1}}', 1, 'build is no absolute path'],
  ['{"id":1,"method":"upgrade","params":{"build":"/a"}}', 1, 'quiesceMs is not a number'],
  ['{"id":1,"method":"upgrade","params":{"quiesceMs":1e9}}', 1, 'quiesceMs is not a number'],
])('request %j is refused', (line, id, expected) => {
  const request = parseRequest(line)
  expect(request).toEqual({ id, error: expect.objectContaining({ message: expect.stringContaining(expected) }) })
})

test('random text never throws and is never a call', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.json()), (line) => {
      parseReply(line)
      return 'error' in parseRequest(line)
    }),
  )
})

test('an error keeps kind, code, message and remedy on its way', () => {
  const error = new CacheError('fenced', 'CACHE_FENCED', 'message', { remedy: 'remedy' })
  expect(errorOf(problemOf(error))).toMatchObject({
    kind: 'fenced',
    code: 'CACHE_FENCED',
    message: 'message',
    remedy: 'remedy',
  })
  expect(errorOf(problemOf(new Error('boom')))).toMatchObject({
    code: 'CACHE_INTERNAL',
    message: 'boom',
    remedy: undefined,
  })
})

describe('lines', () => {
  test('any cutting of the stream gives the same lines', () => {
    const lines = fc.array(fc.string({ maxLength: 20 }).map((text) => text.replaceAll('\n', ' ')))
    fc.assert(
      fc.property(lines, fc.array(fc.nat({ max: 30 })), (texts, cuts) => {
        let rest = Buffer.from(texts.map((text) => `${text}\n`).join(''))
        const splitter = new LineSplitter()
        const found: string[] = []
        for (const cut of cuts) {
          found.push(...(splitter.push(rest.subarray(0, cut)) ?? []))
          rest = rest.subarray(cut)
        }
        found.push(...(splitter.push(rest) ?? []))
        expect(found).toEqual(texts)
      }),
    )
  })

  test('a line of the longest length passes, one byte more ends the stream for good', () => {
    const longest = 'x'.repeat(LINE_BYTES_MAX)
    expect(new LineSplitter().push(Buffer.from(`${longest}\n`))).toEqual([longest])
    for (const chunks of [[`${longest}x\n`], [longest, 'x'], [longest, 'x\n']]) {
      const splitter = new LineSplitter()
      expect(chunks.map((chunk) => splitter.push(Buffer.from(chunk))).at(-1)).toBeNull()
      expect(splitter.push(Buffer.from('{}\n'))).toBeNull()
    }
  })
})
