// Proves, over real sockets: bytes arrive whole and in order both ways, ends and errors arrive once, dead socket files
// are replaced and living ones are not, a reader that stops slows its writer, and one that never reads is cut off.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { IoError } from '../../../../../base/errors.ts'
import { STREAM_HIGH_WATER_BYTES, STREAM_PENDING_BYTES_MAX } from '../../../../../csi-driver/io/network.ts'
import type { ByteStream, Listener, NetworkAddress, StreamHandlers } from '../../../../../csi-driver/io/network.ts'
import { StreamNetwork } from '../../../../../csi-driver/io/real/stream-network.ts'

const network = new StreamNetwork()
const directory = mkdtempSync(join(tmpdir(), 'forebay-network-'))
const cleanUps: (() => void)[] = []
let sockets = 0

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp()
})
afterAll(() => rmSync(directory, { recursive: true }))

const unix = (): NetworkAddress => ({ kind: 'unix', path: join(directory, `${++sockets}.sock`) })

function listen(address: NetworkAddress, onStream: (stream: ByteStream) => void = () => {}): Promise<Listener> {
  return new Promise((resolve, reject) => {
    network.listen(address, onStream, (error, listener) => {
      if (listener === null) reject(error)
      else {
        cleanUps.push(() => listener.close(() => {}))
        resolve(listener)
      }
    })
  })
}

function connect(address: NetworkAddress): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    network.connect(address, (error, stream) => {
      if (stream === null) reject(error)
      else {
        cleanUps.push(() => stream.destroy())
        resolve(stream)
      }
    })
  })
}

interface Recorded {
  handlers: StreamHandlers
  bytes: () => Buffer
  ended: Promise<void>
  closed: Promise<IoError | null>
  closedCount: () => number
}

function record(): Recorded {
  const chunks: Buffer[] = []
  let closedCount = 0
  let onEnd = (): void => {}
  let onClosed: (error: IoError | null) => void = () => {}
  const ended = new Promise<void>((resolve) => (onEnd = resolve))
  const closed = new Promise<IoError | null>((resolve) => (onClosed = resolve))
  const handlers = {
    data: (bytes: Buffer) => void chunks.push(Buffer.from(bytes)),
    end: () => onEnd(),
    closed: (error: IoError | null) => {
      closedCount++
      onClosed(error)
    },
  }
  return { handlers, bytes: () => Buffer.concat(chunks), ended, closed, closedCount: () => closedCount }
}

test.each([
  ['unix', unix],
  ['tcp', (): NetworkAddress => ({ kind: 'tcp', host: '127.0.0.1', port: 0 })],
])('%s: both directions, half-closed, closed once', async (_, address) => {
  const server = record()
  const { address: bound } = await listen(address(), (stream) => {
    stream.start({
      ...server.handlers,
      end: () => {
        stream.write(server.bytes())
        stream.end()
      },
    })
  })
  const client = await connect(bound)
  const answer = record()
  client.start(answer.handlers)
  const sent = Buffer.alloc(3_000_000, 'forebay')
  client.write(sent)
  client.end()
  await answer.ended
  expect(answer.bytes().equals(sent)).toBe(true)
  expect(await answer.closed).toBeNull()
  expect(await server.closed).toBeNull()
  expect([answer.closedCount(), server.closedCount()]).toEqual([1, 1])
})

test('nobody there', async () => {
  await expect(connect(unix())).rejects.toMatchObject({ name: 'IoError', code: 'ENOENT' })
  await expect(connect({ kind: 'tcp', host: '127.0.0.1', port: 1 })).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

test('a socket file is the owner’s, a dead one is replaced, a living one refused', async () => {
  const address = unix()
  if (address.kind !== 'unix') throw new Error('a unix address')
  // A listening socket whose process died leaves its file; a closed handle removes it, so it is put back by a rename.
  const dead = createServer()
  await new Promise<void>((resolve) => dead.listen(`${address.path}.x`, resolve))
  const { renameSync } = await import('node:fs')
  renameSync(`${address.path}.x`, address.path)
  await new Promise((resolve) => dead.close(resolve))
  await listen(address)
  expect(statSync(address.path).mode & 0o777).toBe(0o600)
  await expect(listen(address)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  const file = unix()
  if (file.kind === 'unix') writeFileSync(file.path, 'something else')
  await expect(listen(file)).rejects.toMatchObject({ code: 'EADDRINUSE' })
})

test('a path that the kernel would cut is refused', () => {
  const address: NetworkAddress = { kind: 'unix', path: `/${'x'.repeat(107)}` }
  expect(() => network.connect(address, () => {})).toThrow('too long')
  expect(() =>
    network.listen(
      address,
      () => {},
      () => {},
    ),
  ).toThrow('too long')
})

test('a reader that pauses slows the writer, drain follows when it goes on', async () => {
  const server = record()
  let accepted: ByteStream | null = null
  const { address } = await listen(unix(), (stream) => {
    accepted = stream
    stream.start(server.handlers)
    stream.pause()
  })
  const client = await connect(address)
  let drained = (): void => {}
  const drain = new Promise<void>((resolve) => (drained = resolve))
  client.start({ data: () => {}, drain: () => drained(), closed: () => {} })
  const chunk = Buffer.alloc(256 * 1024, 1)
  let sent = 0
  while (client.write(chunk)) sent += chunk.length
  sent += chunk.length
  expect(client.pendingBytes).toBeGreaterThan(STREAM_HIGH_WATER_BYTES)
  await new Promise((resolve) => setTimeout(resolve, 50))
  ;(accepted as ByteStream | null)?.resume()
  await drain
  client.end()
  await server.ended
  expect(server.bytes()).toHaveLength(sent)
})

test('a writer that does not wait is cut off', async () => {
  const { address } = await listen(unix(), (stream) => {
    stream.start({ data: () => {}, closed: () => {} })
    stream.pause()
  })
  const client = await connect(address)
  const ending = record()
  client.start(ending.handlers)
  const chunk = Buffer.alloc(8 * 1024 * 1024)
  for (let sent = 0; sent <= STREAM_PENDING_BYTES_MAX + chunk.length; sent += chunk.length) client.write(chunk)
  expect((await ending.closed)?.code).toBe('ENOBUFS')
  expect(client.write(chunk)).toBe(false)
})

test('destroy reaches the other side', async () => {
  const server = record()
  const { address } = await listen(unix(), (stream) => stream.start(server.handlers))
  const client = await connect(address)
  const ending = record()
  client.start(ending.handlers)
  client.destroy()
  expect(ending.closedCount()).toBe(0)
  expect(await ending.closed).toBeNull()
  await server.ended
})

test('parts of a frame leave together when the callback ends, or at once when they are pushed', async () => {
  const address = unix()
  const reader = record()
  await listen(address, (stream) => stream.start(reader.handlers))
  const client = await connect(address)
  client.start({ data() {}, closed() {} })
  client.write(Buffer.from('head'))
  client.write(Buffer.from('body'))
  expect(client.pendingBytes).toBe(8)
  client.push()
  expect(client.pendingBytes).toBe(0)
  client.write(Buffer.from(' and more'))
  client.end()
  await reader.ended
  expect(reader.bytes().toString()).toBe('headbody and more')
})
