// Proves: a connection greets as it should and ends exactly once, whatever the other side does: another node, another
// version, messages out of place, frames that are none, batches that nobody asked for, silence, noise.
import fc from 'fast-check'
import type { PeerStream } from '../../../../../csi-driver/io/peer-network.ts'
import {
  type ConnectionEnd,
  GREETING_LIMIT_MS,
  PeerConnection,
} from '../../../../../csi-driver/replica/replicator/peer-connection.ts'
import { envelopeOf } from '../../../../../csi-driver/replica/wire/envelope.ts'
import { encodeMessage } from '../../../../../csi-driver/replica/wire/message-codec.ts'
import type { MessageOf, StoreMessage } from '../../../../../csi-driver/replica/wire/messages.ts'
import { SimNetwork } from '../../../../sim/network.ts'
import { Process, World } from '../../../../sim/world.ts'
import { build } from '../../batch/batch-kit.ts'
import { frameAt, VOLUME_KEY, VOLUME_UUID } from './owner-kit.ts'

const ORIGINS = { monotonicMs: 1, bootMs: 1, wallMs: 1 }
const ADDRESS = { kind: 'tcp', host: 'a', port: 7000 } as const
const IDENTITY = { volume: 'vol', volumeUuid: VOLUME_UUID, volumeKey: VOLUME_KEY, node: 'owner', epoch: 1, run: 1 }
const WELCOME: MessageOf<'WELCOME'> = {
  type: 'WELCOME',
  version: 1,
  node: 'a',
  storeUuid: 'ab'.repeat(16),
  incarnation: 1,
  resource: 'memory',
  freeBytes: 5,
  state: { promise: 1, epoch: 1, run: 1, log: null },
}

interface Stage {
  readonly world: World
  readonly network: SimNetwork
  readonly connection: PeerConnection
  readonly heard: string[]
  readonly ends: ConnectionEnd[]
  /** The store's end. */
  readonly streams: PeerStream[]
  readonly say: (message: StoreMessage) => void
}

/** `greets`: what the store sends when the stream is there. */
async function stage(greets: (say: (message: StoreMessage) => void, stream: PeerStream) => void): Promise<Stage> {
  const world = new World('connection')
  const network = new SimNetwork(world)
  const client: Process = new Process(world, 'owner', ORIGINS, () => network.processDied(client))
  const server: Process = new Process(world, 'store', ORIGINS, () => network.processDied(server))
  const heard: string[] = []
  const ends: ConnectionEnd[] = []
  const streams: PeerStream[] = []
  let sequence = 1
  const say = (message: StoreMessage): void => {
    for (const bytes of encodeMessage(message, { version: 1, sequence: sequence++ })) streams[0]?.write(bytes)
  }
  network.attach(server, 'a').listen(
    ADDRESS,
    (stream) => {
      streams.push(stream)
      stream.start({ data() {}, closed() {} })
      greets(say, stream)
    },
    () => {},
  )
  await world.run(() => false, 1)
  const connection = new PeerConnection(
    { network: network.attach(client, 'owner'), timers: client.timers },
    { identity: IDENTITY, node: 'a', address: ADDRESS, purpose: 'owner', withKey: false },
    {
      welcome: () => void heard.push('WELCOME'),
      message: ({ type }) => void heard.push(type),
      over: (end) => void ends.push(end),
    },
  )
  connection.open()
  await world.run(() => false, 50)
  return { world, network, connection, heard, ends, streams, say }
}

const greet = (say: (message: StoreMessage) => void): void => say(WELCOME)

test('greets, talks, ends with the stream', async () => {
  const { world, connection, heard, ends, streams, say } = await stage(greet)
  connection.send({ type: 'HEARTBEAT', number: 1 })
  say({ type: 'ALIVE', number: 1 })
  say({ type: 'STATE_IS', state: WELCOME.state })
  await world.run(() => false, 50)
  expect(heard).toEqual(['WELCOME', 'ALIVE', 'STATE_IS'])
  streams[0]?.end()
  await world.run(() => false, 50)
  expect(ends).toEqual([{ kind: 'lost', message: 'the peer closed the connection' }])
})

test('nothing is told after destroy', async () => {
  const { world, network, connection, heard, ends, say } = await stage(greet)
  say({ type: 'RELEASED' })
  connection.destroy()
  connection.destroy()
  await world.run(() => false, 50)
  expect([heard, ends]).toEqual([['WELCOME'], []])
  expect(network.openStreams('owner')).toBe(0)
  expect(() => connection.send({ type: 'STATE' })).toThrow('there is a stream')
})

test.each<[string, (say: (message: StoreMessage) => void, stream: PeerStream) => void, string]>([
  ['another node', (say) => say({ ...WELCOME, node: 'b' }), 'another node found=b'],
  ['a version that was not offered', (say) => say({ ...WELCOME, version: 9 }), 'not offered version=9'],
  ['a refusal', (say) => say({ type: 'REFUSED', code: 'too-many', message: 'no room' }), 'no room'],
  ['bytes that are no frame', (_say, stream) => void stream.write(Buffer.alloc(32, 1)), 'bad frame'],
  ['a second greeting', (say) => (say(WELCOME), say(WELCOME)), 'bad frame'],
  ['an answer before the greeting', (say) => say({ type: 'RELEASED' }), 'bad frame'],
  ['a batch that nobody asked for', (say) => (say(WELCOME), say(batch())), 'no buffer for a batch'],
  ['nothing at all', () => {}, `no answer within ${GREETING_LIMIT_MS} ms while greeting`],
])('%s ends it, once', async (_name, greets, message) => {
  const { world, network, ends } = await stage(greets)
  await world.run(() => false, GREETING_LIMIT_MS + 50)
  expect(ends).toHaveLength(1)
  expect(ends[0]?.message).toContain(message)
  expect(network.openStreams('owner')).toBe(0)
})

test('a stream that comes too late is closed at once', async () => {
  const world = new World('late')
  const process = new Process(world, 'owner', ORIGINS, () => {})
  const ends: ConnectionEnd[] = []
  const calls: string[] = []
  let arrive: (stream: PeerStream) => void = () => {}
  const stream = {
    start: () => void calls.push('start'),
    destroy: () => void calls.push('destroy'),
  } as unknown as PeerStream
  const connection = new PeerConnection(
    {
      network: { listen() {}, connect: (_address, _node, done) => void (arrive = (one) => done(null, one)) },
      timers: process.timers,
    },
    { identity: IDENTITY, node: 'a', address: ADDRESS, purpose: 'opener', withKey: true },
    { welcome() {}, message() {}, over: (end) => void ends.push(end) },
  )
  connection.open()
  await world.run(() => false, GREETING_LIMIT_MS + 1)
  expect(ends).toMatchObject([{ kind: 'lost', message: expect.stringContaining('while connecting') }])
  arrive(stream)
  expect(calls).toEqual(['start', 'destroy'])
})

test('noise never does more than end it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 })),
      async (greeted, noise) => {
        const { world, ends, heard } = await stage((say, stream) => {
          if (greeted) say(WELCOME)
          for (const bytes of noise) stream.write(Buffer.from(bytes))
        })
        await world.run(() => false, 50)
        expect(heard.length).toBeLessThanOrEqual(1)
        expect(ends.length).toBeLessThanOrEqual(1)
      },
    ),
    { numRuns: 50 },
  )
})

function batch(): StoreMessage {
  const { buffer, frameStart, frameBytes } = build([{ sector: 1, data: Buffer.alloc(512) }])
  return { type: 'BATCH', ...envelopeOf(frameAt(buffer, frameStart, frameBytes)) }
}
