// Proves what a replica store takes on its control socket, and that nothing else makes the parser throw.
import fc from 'fast-check'
import { encodeLine } from '../../../../csi-driver/observe/control-protocol.ts'
import { GONE_MAX, parsePeerRequest } from '../../../../csi-driver/peer-process/control-protocol.ts'

const LEFT = { volume: 'vol', volumeUuid: 'a'.repeat(32), volumeKey: 'b'.repeat(64), cache: '/c' }

const uuid = fc.stringMatching(/^[0-9a-f]{32}$/)
const requests = fc.oneof(
  fc.record({ id: fc.integer(), method: fc.constant('status' as const) }),
  fc.record({
    id: fc.integer(),
    method: fc.constant('discard' as const),
    dryRun: fc.boolean(),
    gone: fc.array(uuid, { maxLength: 5 }),
  }),
  fc.record({
    id: fc.integer(),
    method: fc.constant('serve-cache' as const),
    volume: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/),
    volumeUuid: uuid,
    volumeKey: fc.stringMatching(/^[0-9a-f]{64}$/),
    cache: fc.stringMatching(/^\/[a-z/]{0,20}$/),
  }),
)

test('every request is read back', () => {
  fc.assert(
    fc.property(requests, (request) => expect(parsePeerRequest(encodeLine(request).trimEnd())).toEqual(request)),
  )
})

test('any text, and any JSON', () => {
  fc.assert(fc.property(fc.string(), (line) => expect(parsePeerRequest(line)).toHaveProperty('error')))
  fc.assert(fc.property(fc.json(), (line) => expect(parsePeerRequest(line)).toHaveProperty('error')))
})

test.each<[string, object, string]>([
  ['drop', {}, 'unknown method'],
  ['discard', {}, 'dryRun is neither'],
  ['discard', { dryRun: true }, 'gone is no list'],
  ['discard', { dryRun: true, gone: ['x'] }, 'no volume UUID'],
  ['discard', { dryRun: true, gone: [5] }, 'no volume UUID'],
  ['discard', { dryRun: true, gone: Array.from({ length: GONE_MAX + 1 }, () => 'a'.repeat(32)) }, 'gone is no list'],
  ['serve-cache', {}, 'volume is no name'],
  ['serve-cache', { ...LEFT, volume: '../x' }, 'volume is no name'],
  ['serve-cache', { ...LEFT, volumeUuid: 5 }, 'volumeUuid is none'],
  ['serve-cache', { ...LEFT, volumeKey: 'ab' }, 'volumeKey is none'],
  ['serve-cache', { ...LEFT, cache: 'relative' }, 'cache is no absolute path'],
])('%s %j is refused', (method, params, problem) => {
  const line = encodeLine({ id: 1, method, ...params })
  expect(parsePeerRequest(line)).toMatchObject({
    id: 1,
    error: { kind: 'invalid', message: expect.stringContaining(problem) as string },
  })
})
