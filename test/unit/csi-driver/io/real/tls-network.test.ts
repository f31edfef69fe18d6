// Proves, over real connections on the loopback: both sides know the other's node and share a value that no other
// connection has; whoever is not of the CA, late, silent, noisy or of another protocol version gets nowhere, is logged
// once, and disturbs nobody; sessions are never resumed.
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  connect as connectTls,
  type ConnectionOptions,
  createServer as createTlsServer,
  type TLSSocket,
} from 'node:tls'

import type { IoError } from '../../../../../base/errors.ts'
import { MemoryEventLog } from '../../../../../base/log.ts'
import { makeNodeSet } from '../../../../../csi-driver/cli/pki/authority.ts'
import type { Listener, NetworkAddress } from '../../../../../csi-driver/io/network.ts'
import type { PeerStream } from '../../../../../csi-driver/io/peer-network.ts'
import { RealProcesses } from '../../../../../csi-driver/io/real/exec.ts'
import { systemClock } from '../../../../../csi-driver/io/real/system-clock.ts'
import { HALF_OPEN_OF_ADDRESS_MAX } from '../../../../../csi-driver/io/real/tls-listener.ts'
import { TlsNetwork } from '../../../../../csi-driver/io/real/tls-network.ts'
import { days, TestAuthority } from '../../../../tls/test-authority.ts'

const directory = mkdtempSync(join(tmpdir(), 'forebay-tls-'))
const LOOPBACK: NetworkAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 }
const HANDSHAKE_LIMIT_MS = 1500

let authority: TestAuthority
let other: TestAuthority
let log: MemoryEventLog
let a: TlsNetwork
let b: TlsNetwork
const undo: (() => void)[] = []

beforeAll(async () => {
  authority = await TestAuthority.make()
  other = await TestAuthority.make()
  await authority.issue(join(directory, 'a'), 'a')
  await authority.issue(join(directory, 'b'), 'b')
  await other.issue(join(directory, 'other'), 'b')
})
afterAll(() => rmSync(directory, { recursive: true }))

beforeEach(() => {
  log = new MemoryEventLog()
  a = network('a')
  b = network('b')
})
afterEach(() => {
  for (const step of undo.splice(0).toReversed()) step()
})

function network(name: string, handshakeLimitMs = HANDSHAKE_LIMIT_MS): TlsNetwork {
  const made = new TlsNetwork({
    tlsDir: join(directory, name),
    clock: systemClock,
    log,
    handshakeLimitMs,
  })
  undo.push(() => made.close())
  return made
}

interface Served {
  readonly address: NetworkAddress & { kind: 'tcp' }
  readonly streams: PeerStream[]
}

/** A listener of b that echoes. */
function serve(by = b): Promise<Served> {
  const streams: PeerStream[] = []
  return new Promise((resolve, reject) => {
    by.listen(
      LOOPBACK,
      (stream) => {
        streams.push(stream)
        stream.start({ data: (bytes) => void stream.write(Buffer.from(bytes)), end: () => stream.end(), closed() {} })
      },
      (error, listener) => {
        if (listener === null) reject(error)
        else resolve({ address: opened(listener), streams })
      },
    )
  })
}

function opened(listener: Listener): NetworkAddress & { kind: 'tcp' } {
  undo.push(() => listener.close(() => {}))
  if (listener.address.kind !== 'tcp') throw new Error('not TCP')
  return listener.address
}

function connect(by: TlsNetwork, address: NetworkAddress, node: string): Promise<PeerStream> {
  return new Promise((resolve, reject) => {
    by.connect(address, node, (error, stream) => {
      if (stream === null) reject(error)
      else {
        undo.push(() => stream.destroy())
        resolve(stream)
      }
    })
  })
}

/** Sends text, resolves with what comes back until the other side has ended. */
function exchange(stream: PeerStream, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    stream.start({
      data: (bytes) => void chunks.push(Buffer.from(bytes)),
      closed: (error) => (error === null ? resolve(Buffer.concat(chunks).toString()) : reject(error)),
    })
    stream.write(Buffer.from(text))
    stream.end()
  })
}

async function expectServing(address: NetworkAddress): Promise<void> {
  expect(await exchange(await connect(a, address, 'b'), 'still here')).toBe('still here')
}

const closed = (socket: Socket | TLSSocket): Promise<string> =>
  new Promise((resolve) => {
    let code = 'closed'
    socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code ?? ''))
    socket.on('close', () => resolve(code))
    socket.resume()
  })

test('two nodes: names, one exported value for both ends and for no other connection, bytes both ways', async () => {
  const { address, streams } = await serve()
  const first = await connect(a, address, 'b')
  expect(await exchange(first, 'x'.repeat(1_000_000))).toBe('x'.repeat(1_000_000))
  const second = await connect(a, address, 'b')
  await exchange(second, 'y')
  expect(first.peerNode).toBe('b')
  expect(streams.map(({ peerNode }) => peerNode)).toEqual(['a', 'a'])
  expect(streams.map((stream) => stream.exporter().toString('hex'))).toEqual(
    [first, second].map((stream) => stream.exporter().toString('hex')),
  )
  expect(first.exporter().length).toBe(32)
  expect(first.exporter().equals(second.exporter())).toBe(false)
  expect(log.events).toEqual([])
})

test('the node at an address must be the one that is wanted', async () => {
  const { address } = await serve()
  await expect(connect(a, address, 'c')).rejects.toMatchObject({
    code: 'EACCES',
    message: expect.stringContaining('the certificate there names b') as string,
  })
  await expectServing(address)
})

test('nobody there, and an address in use', async () => {
  const { address } = await serve()
  const refused = new Promise((resolve) => {
    a.listen(address, () => {}, resolve)
  })
  expect(await refused).toMatchObject({ code: 'EADDRINUSE' })
  await expect(connect(a, { ...address, port: 1 }, 'b')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await expect(connect(a, { kind: 'unix', path: '/x' }, 'b')).rejects.toMatchObject({ code: 'EAFNOSUPPORT' })
})

test('a listener of another CA is refused, and so is a caller', async () => {
  const { address } = await serve(network('other'))
  await expect(connect(a, address, 'b')).rejects.toMatchObject({
    code: 'EACCES',
    message: expect.stringContaining('of another CA') as string,
  })
  const ours = await serve()
  await expect(connect(network('other'), ours.address, 'b')).rejects.toMatchObject({ code: 'EACCES' })
  expect(ours.streams).toEqual([])
  await until(() => log.events.length > 0)
  expect(log.named('tls.refused').map(({ fields }) => fields['reason'])).toEqual([
    expect.stringMatching(/does not accept our certificate/),
  ])
  await expectServing(ours.address)
})

/** A hostile caller: any TLS options, without looking at our certificate. */
async function hostile(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
  undo.push(() => socket.destroy())
  return closed(socket)
}

const keys = async (validity = days(-1, 1), by = authority): Promise<{ cert: string; key: string }> => {
  const set = await makeNodeSet(new RealProcesses(), by.signer, 'a', validity)
  return { cert: set['tls.crt'], key: set['tls.key'] }
}

test.each<[string, () => Promise<ConnectionOptions>, RegExp]>([
  ['no certificate', async () => ({}), /showed no certificate/],
  ['a certificate of another CA', () => keys(days(-1, 1), other), /of another CA/],
  ['an expired certificate', () => keys(days(-2, -1)), /expired, or the clocks/],
  ['a certificate that is not valid yet', () => keys(days(1, 2)), /not valid yet, or the clocks/],
  ['TLS 1.2', async () => ({ ...(await keys()), maxVersion: 'TLSv1.2' }), /does not speak TLS 1\.3/],
  [
    'a certificate without a node',
    async () => {
      const made = await authority.sign('x,DNS:y', null)
      return { cert: made.certificate, key: made.key }
    },
    /names no node/,
  ],
  [
    'a certificate for servers only',
    async () => {
      const made = await authority.sign('a\nextendedKeyUsage = serverAuth', 'a')
      return { cert: made.certificate, key: made.key }
    },
    /not for client and server/,
  ],
])('a caller with %s is refused and logged', async (_, make, reason) => {
  const { address, streams } = await serve()
  await hostile(address.port, await make())
  await until(() => log.named('tls.refused').length > 0)
  expect(log.named('tls.refused')).toMatchObject([
    { level: 'warning', fields: { remote: '127.0.0.1', reason: expect.stringMatching(reason) as string } },
  ])
  expect(streams).toEqual([])
  await expectServing(address)
})

test.each(['expired', 'not valid yet'])('a listener whose certificate is %s is refused', async (which) => {
  const server = createTlsServer({
    ...(await keys(which === 'expired' ? days(-2, -1) : days(1, 2))),
    minVersion: 'TLSv1.3',
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  undo.push(() => server.close())
  const { port } = server.address() as { port: number }
  await expect(connect(b, { ...LOOPBACK, port }, 'a')).rejects.toMatchObject({
    code: 'EACCES',
    message: expect.stringContaining(which) as string,
  })
})

test('noise instead of TLS, and the logging of it: once for an address, whatever its number', async () => {
  const { address } = await serve()
  for (let i = 0; i < 20; i++) {
    const socket = connectTcp(address.port, '127.0.0.1')
    undo.push(() => socket.destroy())
    socket.write(i % 2 === 0 ? 'GET / HTTP/1.1\r\n\r\n' : Buffer.alloc(5000, i))
    await closed(socket)
  }
  expect(log.named('tls.refused')).toHaveLength(1)
  expect(b.refusals.refused).toBe(20)
  await expectServing(address)
})

test('a handshake that never ends, by silence or byte by byte, is cut off', async () => {
  const { address } = await serve()
  const silent = connectTcp(address.port, '127.0.0.1')
  const slow = connectTcp(address.port, '127.0.0.1')
  // The header of a TLS record that is 16 KiB long.
  slow.write(Buffer.from([0x16, 0x03, 0x01, 0x3f, 0xff, 0x01]))
  const drip = setInterval(() => slow.write(Buffer.from([0])), 20)
  undo.push(() => {
    clearInterval(drip)
    silent.destroy()
    slow.destroy()
  })
  await Promise.all([closed(silent), closed(slow)])
  await until(() => b.refusals.refused === 2)
  expect(log.named('tls.refused')).toMatchObject([{ fields: { reason: 'the handshake took too long' } }])
  await expectServing(address)
})

test('connections without a certificate are few; when they are gone others get in', async () => {
  const patient = network('b', 60_000)
  const { address } = await serve(patient)
  const sockets = Array.from({ length: HALF_OPEN_OF_ADDRESS_MAX + 10 }, () => connectTcp(address.port, '127.0.0.1'))
  const ends = sockets.map((socket) => closed(socket))
  await until(() => patient.refusals.refused >= 10)
  expect(log.named('tls.refused')).toMatchObject([
    { fields: { reason: expect.stringContaining('too many') as string } },
  ])
  await expect(connect(a, address, 'b')).rejects.toMatchObject({ code: expect.stringMatching(/^E/) as string })
  for (const socket of sockets) socket.destroy()
  await Promise.all(ends)
  await until(() => patient.refusals.refused >= HALF_OPEN_OF_ADDRESS_MAX + 11)
  await expectServing(address)
})

test('a session is never resumed', async () => {
  const { address } = await serve()
  const options = { ...(await keys()), host: '127.0.0.1', port: address.port, rejectUnauthorized: false }
  const first = connectTls(options)
  undo.push(() => first.destroy())
  const sessions: Buffer[] = []
  first.on('session', (session) => sessions.push(session))
  first.write('x')
  await new Promise((resolve) => {
    first.once('data', resolve)
  })
  for (const session of sessions) {
    const again = connectTls({ ...options, session })
    undo.push(() => again.destroy())
    await new Promise((resolve) => {
      again.once('secureConnect', resolve)
    })
    expect(again.isSessionReused()).toBe(false)
  }
})

test('a closed listener takes nobody any more; open streams stay', async () => {
  const streams: PeerStream[] = []
  const listener = await new Promise<Listener>((resolve, reject) => {
    b.listen(
      LOOPBACK,
      (stream) => {
        streams.push(stream)
        stream.start({ data: (bytes) => void stream.write(Buffer.from(bytes)), end: () => stream.end(), closed() {} })
      },
      (error, made) => (made === null ? reject(error) : resolve(made)),
    )
  })
  const stream = await connect(a, listener.address, 'b')
  const waiting = connectTcp((listener.address as { port: number }).port, '127.0.0.1')
  await until(() => streams.length === 1)
  await new Promise<void>((resolve) => {
    listener.close(resolve)
  })
  await closed(waiting)
  await expect(connect(a, listener.address, 'b')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  expect(await exchange(stream, 'open')).toBe('open')
})

test('destroy reaches the other side', async () => {
  const { address, streams } = await serve()
  const stream = await connect(a, address, 'b')
  const ended = new Promise<string>((resolve) => {
    stream.start({
      data() {},
      end: () => resolve('end'),
      closed: (error: IoError | null) => resolve(error?.code ?? ''),
    })
  })
  await until(() => streams.length === 1)
  streams[0]?.destroy()
  expect(['end', 'ECONNRESET']).toContain(await ended)
})

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  if (!condition()) throw new Error('never came')
}
