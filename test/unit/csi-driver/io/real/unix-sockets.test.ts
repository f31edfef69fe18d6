// Proves, over real sockets: only the owner may open the file from its first moment on; a dead file is replaced, a living
// one and other files are not; bytes go both ways whole; a rest that the client does not read keeps its buffer until it
// is written; a client that has gone is noticed also while nothing is read from it.
import { existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { IoError } from '../../../../../base/errors.ts'
import type { LocalListener, LocalSocket, LocalSocketEvents } from '../../../../../csi-driver/io/local-sockets.ts'
import { UnixSockets } from '../../../../../csi-driver/io/real/unix-sockets.ts'

const directory = mkdtempSync(path.join(tmpdir(), 'forebay-unix-'))
const cleanUps: (() => void)[] = []
let files = 0

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp()
})
afterAll(() => rmSync(directory, { recursive: true }))

const freePath = (): string => path.join(directory, `${++files}.sock`)

class Server implements LocalSocketEvents {
  readonly chunks: Buffer[] = []
  socket: LocalSocket | null = null
  written = 0
  ended = 0
  closed: (IoError | null)[] = []
  onBytes(buffer: Buffer, length: number): void {
    this.chunks.push(Buffer.from(buffer.subarray(0, length)))
  }
  onWritten(): void {
    this.written++
  }
  onEnd(): void {
    this.ended++
  }
  onClosed(error: IoError | null): void {
    this.closed.push(error)
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks)
  }
}

function listen(file: string): Promise<{ listener: LocalListener; server: Server }> {
  const server = new Server()
  return new Promise((resolve, reject) => {
    new UnixSockets().listen(
      file,
      (socket) => {
        server.socket = socket
        socket.start(server)
      },
      (error, listener) => {
        if (listener === null) return reject(error)
        cleanUps.push(() => {
          listener.close()
          server.socket?.destroy()
        })
        resolve({ listener, server })
      },
    )
    // Between the call and its callback the file is there already.
    if (existsSync(file)) modes.push(statSync(file).mode & 0o777)
  })
}
const modes: number[] = []

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 2000) throw new Error('never came')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function pair(): Promise<{ server: Server; client: Socket; socket: LocalSocket }> {
  const file = freePath()
  const { server } = await listen(file)
  const client = connect(file)
  cleanUps.push(() => client.destroy())
  client.on('error', () => {})
  await until(() => server.socket !== null)
  return { server, client, socket: server.socket as LocalSocket }
}

test('the file is the owner’s alone from the first moment, and goes with the listener', async () => {
  const umask = process.umask()
  const file = freePath()
  const { listener } = await listen(file)
  expect(modes.splice(0)).toEqual([0o600])
  expect(process.umask()).toBe(umask)
  listener.close()
  listener.close()
  await until(() => !existsSync(file))
})

test('a file in use, and one that is no socket, stay', async () => {
  const file = freePath()
  await listen(file)
  await expect(listen(file)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  const plain = freePath()
  writeFileSync(plain, 'mine')
  await expect(listen(plain)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  expect(statSync(plain).size).toBe(4)
  // libuv says EACCES for a directory that is missing.
  await expect(listen('/nonexistent/s')).rejects.toMatchObject({ code: 'EACCES' })
})

test('the file of a dead process is replaced, with the mode of a new one', async () => {
  const file = freePath()
  const dead = createServer()
  await new Promise<void>((resolve) => dead.listen(file, resolve))
  // Closing would remove it; a rename keeps it as a killed process does.
  renameSync(file, `${file}.kept`)
  dead.close()
  renameSync(`${file}.kept`, file)
  await listen(file)
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('bytes both ways, the end, and the close', async () => {
  const { server, client, socket } = await pair()
  client.write('ping')
  await until(() => server.bytes.length === 4)
  const got: Buffer[] = []
  client.on('data', (data) => got.push(data))
  expect(socket.write(Buffer.from('-pong-'), 1, 4)).toBe(true)
  await until(() => Buffer.concat(got).toString() === 'pong')
  client.end()
  await until(() => server.ended === 1)
  socket.destroy()
  await until(() => server.closed.length === 1)
  expect(server.closed).toEqual([null])
  expect(socket.write(Buffer.from('late'), 0, 4)).toBe(true)
})

test('a rest waits until the client reads, and arrives whole', async () => {
  const { server, client, socket } = await pair()
  client.pause()
  const data = Buffer.from(Array.from({ length: 3 << 20 }, (_, i) => i % 251))
  expect(socket.write(data, 0, data.length)).toBe(false)
  expect(server.written).toBe(0)
  const got: Buffer[] = []
  client.on('data', (part) => got.push(part))
  client.resume()
  await until(() => server.written === 1)
  await until(() => Buffer.concat(got).length === data.length)
  expect(Buffer.concat(got).equals(data)).toBe(true)
})

test('a paused socket delivers nothing, and later everything', async () => {
  const { server, client, socket } = await pair()
  socket.pause()
  client.write('late')
  await new Promise((resolve) => setTimeout(resolve, 30))
  expect(server.chunks).toEqual([])
  socket.resume()
  await until(() => server.bytes.toString() === 'late')
})

test('a client that has gone is noticed while the socket is paused', async () => {
  const { client, socket } = await pair()
  expect(socket.isGone()).toBe(false)
  socket.pause()
  client.write('unread')
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(socket.isGone()).toBe(false)
  client.destroy()
  await until(() => socket.isGone())
})
