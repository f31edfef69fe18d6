// Proves the control socket over a real unix socket: calls with progress and errors, several at once, refusals, limits,
// who may connect, replacing a dead predecessor's socket, telling the volume when a caller has gone, and an orderly end.
import fs from 'node:fs'
import { createConnection } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { CacheError } from '../../../../base/errors.ts'
import { MemoryEventLog } from '../../../../base/log.ts'
import { ControlClient } from '../../../../csi-driver/cli/control-client.ts'
import { LINE_BYTES_MAX } from '../../../../csi-driver/observe/control-protocol.ts'
import { ControlServer, REQUESTS_OPEN_MAX } from '../../../../csi-driver/observe/control-server.ts'
import type { VolumeStatus } from '../../../../csi-driver/observe/status.ts'
import type { Progress, VolumeControl, Waiting } from '../../../../csi-driver/observe/volume-control.ts'

class FakeVolume implements VolumeControl {
  readonly calls: string[] = []
  readonly waiting: Waiting[] = []
  finish: () => void = () => {}

  status(): VolumeStatus {
    return { volume: 'v1', dirtyBytes: 42 } as VolumeStatus
  }

  setPolicy(policy: string, waiting: Waiting): Promise<void> {
    return this.wait(`policy ${policy}`, waiting)
  }

  drain(waiting: Waiting): Promise<void> {
    return this.wait('drain', waiting)
  }

  stop(waiting: Waiting): Promise<void> {
    return this.wait('stop', waiting)
  }

  resize(): Promise<never> {
    return Promise.reject(new CacheError('invalid', 'CACHE_SHRUNK', 'backing shrank', { remedy: 'Grow it.' }))
  }

  move(to: string, waiting: Waiting): Promise<{ moved: 'closed' }> {
    return this.wait(`move ${to}`, waiting).then(() => ({ moved: 'closed' }))
  }

  upgrade(request: { build: string | null; quiesceMs: number }, waiting: Waiting): Promise<void> {
    return this.wait(`upgrade ${request.build ?? 'same'} ${request.quiesceMs}`, waiting)
  }

  endOlder({ volumeUuid, epoch }: { volumeUuid: string; epoch: number }): Promise<{ engine: 'ended' }> {
    this.calls.push(`end ${volumeUuid} ${epoch}`)
    return Promise.resolve({ engine: 'ended' })
  }

  private wait(name: string, waiting: Waiting): Promise<void> {
    this.calls.push(name)
    this.waiting.push(waiting)
    return new Promise((resolve) => {
      this.finish = resolve
    })
  }
}

let directory: string
let socketPath: string
let volume: FakeVolume
let log: MemoryEventLog
let server: ControlServer
const clients: ControlClient[] = []

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-control-'))
  socketPath = path.join(directory, 'v1.sock')
  volume = new FakeVolume()
  log = new MemoryEventLog()
  server = new ControlServer({ path: socketPath, control: volume, log })
  await server.listen()
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await server.close()
  fs.rmSync(directory, { recursive: true })
})

async function connect(): Promise<ControlClient> {
  const client = await ControlClient.connect(socketPath)
  if (client === null) throw new Error('nobody listens')
  clients.push(client)
  return client
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

test('only the owner may connect', () => {
  expect(fs.statSync(socketPath).mode & 0o777).toBe(0o600)
  expect(fs.readdirSync(directory)).toEqual(['v1.sock'])
})

test('status is answered', async () => {
  const client = await connect()
  expect(await client.call({ method: 'status' })).toEqual({ volume: 'v1', dirtyBytes: 42 })
})

test('progress arrives in order before the result, and other calls go on meanwhile', async () => {
  const client = await connect()
  const seen: Progress[] = []
  const drained = client.call({ method: 'drain' }, { onProgress: (progress) => seen.push(progress) })
  await until(() => volume.waiting.length === 1)
  volume.waiting[0]?.onProgress({ step: 'draining', dirtyBytes: 2 })
  volume.waiting[0]?.onProgress({ step: 'draining', dirtyBytes: 1 })
  await client.call({ method: 'status' })
  volume.finish()
  expect(await drained).toBeNull()
  expect(seen.map(({ dirtyBytes }) => dirtyBytes)).toEqual([2, 1])
})

test('arguments reach the volume', async () => {
  const client = await connect()
  void client.call({ method: 'policy', policy: 'write-through' }).catch(() => {})
  void client.call({ method: 'upgrade', build: '/opt/new', quiesceMs: 5 }).catch(() => {})
  await until(() => volume.calls.length === 2)
  expect(
    await client.call({ method: 'end-older', volumeUuid: 'a'.repeat(32), epoch: 7, proof: 'b'.repeat(64) }),
  ).toEqual({ engine: 'ended' })
  expect(volume.calls).toEqual(['policy write-through', 'upgrade /opt/new 5', `end ${'a'.repeat(32)} 7`])
})

test('an error of the volume keeps its code and remedy', async () => {
  const client = await connect()
  await expect(client.call({ method: 'resize' })).rejects.toMatchObject({
    kind: 'invalid',
    code: 'CACHE_SHRUNK',
    message: 'backing shrank',
    remedy: 'Grow it.',
  })
})

test('a caller that goes away aborts its waiting, nobody else', async () => {
  const [first, second] = [await connect(), await connect()]
  const abort = new AbortController()
  const interrupted = first.call({ method: 'drain' }, { signal: abort.signal })
  const other = second.call({ method: 'stop' })
  await until(() => volume.waiting.length === 2)
  abort.abort()
  await expect(interrupted).rejects.toMatchObject({ code: 'CACHE_INTERRUPTED' })
  await until(() => volume.waiting[0]?.signal.aborted === true)
  expect(volume.waiting[1]?.signal.aborted).toBe(false)
  volume.finish()
  expect(await other).toBeNull()
})

test('more open requests than allowed are refused, not queued', async () => {
  const client = await connect()
  for (let i = 0; i < REQUESTS_OPEN_MAX; i++) void client.call({ method: 'drain' }).catch(() => {})
  await expect(client.call({ method: 'status' })).rejects.toMatchObject({ code: 'CACHE_CONTROL_BUSY', kind: 'full' })
})

test.each([
  ['not json\n', /"code":"CACHE_CONTROL_REQUEST"/],
  ['{"id":1,"method":"explode"}\n', /"id":1,"error".*unknown method/],
  [`${'x'.repeat(LINE_BYTES_MAX + 1)}\n`, /^$/],
])('bad line %#', async (line, expected) => {
  const socket = createConnection({ path: socketPath })
  let answer = ''
  socket.on('data', (data) => {
    answer += String(data)
    socket.end()
  })
  socket.write(line)
  await new Promise((resolve) => socket.on('close', resolve))
  expect(answer).toMatch(expected)
  // And the server goes on.
  const client = await connect()
  expect(await client.call({ method: 'status' })).toMatchObject({ volume: 'v1' })
})

test('a socket that a dead engine left is replaced', async () => {
  const other = path.join(directory, 'v2.sock')
  fs.writeFileSync(other, '')
  const next = new ControlServer({ path: other, control: volume, log })
  await next.listen()
  const client = await ControlClient.connect(other)
  expect(client).not.toBeNull()
  client?.close()
  await next.close()
  expect(fs.existsSync(other)).toBe(false)
})

test('closing lets open requests be answered, then nobody can connect', async () => {
  const client = await connect()
  const stopped = client.call({ method: 'stop' })
  await until(() => volume.waiting.length === 1)
  const closed = server.close()
  volume.finish()
  expect(await stopped).toBeNull()
  await closed
  expect(await ControlClient.connect(socketPath)).toBeNull()
  await expect(client.call({ method: 'status' })).rejects.toMatchObject({ code: 'CACHE_CONNECTION_LOST' })
})

test('closing does not wait for ever for a request that never ends', async () => {
  const client = await connect()
  const drained = client.call({ method: 'drain' })
  await until(() => volume.waiting.length === 1)
  await Promise.all([expect(drained).rejects.toMatchObject({ code: 'CACHE_CONNECTION_LOST' }), server.close()])
})

test('nobody there is null, not an error', async () => {
  expect(await ControlClient.connect(path.join(directory, 'none.sock'))).toBeNull()
})
