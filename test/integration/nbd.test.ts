// Proves the NBD front end with the clients that people use: nbdinfo, nbdcopy, qemu-io and fio; that nothing acknowledged
// is lost when the engine is killed and its clients come back; that stop, a second signal, upgrade, resize and policy
// work and say what happens to clients; and that hostile clients disturb nobody.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { testOn } from '../run/requires.ts'
import { NbdClient } from './harness/nbd-client.ts'
import { Served } from './harness/served.ts'
import { command, MIB, obstacleOfHost, pause, TestBed, tryCommand, until } from './harness/test-bed.ts'

const VOLUME_BYTES = 96 * MIB
const onKernel = testOn(obstacleOfHost('nbdinfo', 'nbdcopy', 'qemu-io', 'fio'))
let bed: TestBed

beforeEach(() => {
  bed = new TestBed('nbd')
})
afterEach(() => bed.tearDown())

async function serve(...flags: string[]): Promise<{ served: Served; uri: string; socket: string; backing: string }> {
  const backing = bed.image('backing.img', VOLUME_BYTES)
  const served = await Served.serve(bed, { backing, flags: ['--frontend', 'nbd', ...flags] })
  const uri = served.device
  return { served, uri, socket: decodeURIComponent(uri.split('socket=')[1] ?? ''), backing }
}

const qemuIo = (uri: string, ...commands: string[]): Promise<string> =>
  command('qemu-io', '-f', 'raw', uri, ...commands.flatMap((one) => ['-c', one]))

const checksum = (file: string, length: number): string =>
  createHash('sha256').update(readFileSync(file).subarray(0, length)).digest('hex')

interface Info {
  readonly exports: readonly Record<string, unknown>[]
}

onKernel('what nbdinfo sees; the socket is the owner’s alone; status names it and counts clients', async () => {
  const { served, uri, socket } = await serve()
  expect(uri).toBe(`nbd+unix:///${served.volume}?socket=${socket}`)
  expect(statSync(socket).mode & 0o777).toBe(0o600)
  const { exports } = JSON.parse(await command('nbdinfo', '--json', uri)) as Info
  expect(exports).toMatchObject([
    {
      'export-size': VOLUME_BYTES,
      is_read_only: false,
      can_flush: true,
      can_fua: true,
      can_trim: true,
      can_zero: true,
      can_fast_zero: true,
      can_multi_conn: true,
      can_cache: true,
      can_df: true,
      contexts: ['base:allocation'],
      block_size_minimum: 512,
      block_size_preferred: 4096,
      block_size_maximum: 32 * MIB,
    },
  ])
  expect(await command('nbdinfo', '--list', uri.replace(served.volume, ''))).toContain(`export="${served.volume}"`)
  expect(await command('nbdinfo', '--map', uri)).toMatch(/^\s*0\s+100663296\s+0\s+data/)
  const other = await tryCommand('nbdinfo', [uri.replace(`///${served.volume}`, '///other')])
  expect(other).toMatchObject({ status: 1 })
  expect(await served.status()).toMatchObject({ device: uri, connections: 0, state: 'serving' })
  await served.stop()
  expect(existsSync(socket)).toBe(false)
})

onKernel('nbdcopy there and back, one connection and several, and the backing has it after the stop', async () => {
  const { served, uri, backing } = await serve()
  const source = bed.path('source')
  const data = Buffer.from(Array.from({ length: 40 * MIB }, (_, i) => (i * 31 + (i >> 13)) & 255))
  writeFileSync(source, data)
  await command('nbdcopy', '--synchronous', source, uri)
  const back = bed.path('back')
  await command('nbdcopy', '--synchronous', uri, back)
  expect(checksum(back, data.length)).toBe(checksum(source, data.length))
  await command('nbdcopy', '--connections=4', '--request-size=4194304', uri, bed.path('again'))
  expect(checksum(bed.path('again'), data.length)).toBe(checksum(source, data.length))
  await served.stop()
  expect(checksum(backing, data.length)).toBe(checksum(source, data.length))
})

onKernel('qemu-io: patterns, zeroes, discards, flushes, forced writes, long requests', async () => {
  const { served, uri } = await serve()
  const words = [
    'write -P 7 0 64k',
    'write -f -P 8 512 512',
    'read -P 8 512 512',
    'read -P 7 1k 63k',
    'write -P 9 1M 20M',
  ]
  const more = ['write -z 2M 1M', 'write -z -u 3M 512', 'read -P 0 2M 1M', 'read -P 0 3M 512', 'read -P 9 4M 17M']
  const output = await qemuIo(uri, ...words, ...more, 'flush', 'discard 1M 1M', 'map')
  expect(output).not.toMatch(/failed|error/i)
  expect((await tryCommand('qemu-io', ['-f', 'raw', uri, '-c', `read ${VOLUME_BYTES} 512`])).stdout).toMatch(
    /failed|past/i,
  )
  await command('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uri, bed.path('converted'))
  await served.stop()
})

onKernel('fio verifies over two connections, in write-back, write-through and during the change', async () => {
  const { served, uri } = await serve()
  const words = [
    '--ioengine=nbd',
    `--uri=${uri}`,
    '--rw=randwrite',
    '--verify=crc32c',
    '--verify_fatal=1',
    '--verify_state_save=0',
    '--iodepth=16',
  ]
  const jobs = [
    '--verify_state_save=0',
    '--name=a',
    '--bs=4k',
    '--size=16m',
    '--name=b',
    '--offset=32m',
    '--bs=20k',
    '--size=20m',
  ]
  const written = command('fio', ...words, ...jobs)
  await pause(300)
  await served.must('policy', 'write-through')
  expect(await written).toContain('err= 0')
  expect((await served.status()).effectiveWritePolicy).toBe('write-through')
  expect(await command('fio', ...words, ...jobs)).toContain('err= 0')
  await served.stop()
})

onKernel('a forced write in write-through is on the backing', async () => {
  const { served, uri, backing } = await serve('--write-policy', 'write-through')
  await qemuIo(uri, 'write -f -P 42 4k 4k', 'flush')
  expect(
    readFileSync(backing)
      .subarray(4096, 8192)
      .every((byte) => byte === 42),
  ).toBe(true)
  await served.stop()
})

onKernel('the engine is killed in the middle: a client that comes back has lost nothing acknowledged', async () => {
  const { served, uri, socket } = await serve()
  const pieceBytes = 64 * 1024
  let acknowledged = 0
  let connections = 0
  const writing = (async (): Promise<void> => {
    while (acknowledged < 1200) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- tries until the next engine is there
      const client = await NbdClient.open(socket).catch(() => pause(20))
      if (client === undefined) continue
      connections++
      try {
        for (; acknowledged < 1200; acknowledged++) {
          await client.write(acknowledged * pieceBytes, Buffer.alloc(pieceBytes, (acknowledged % 255) + 1))
        }
      } catch {
        // What was not acknowledged is sent again.
      }
      client.close()
    }
  })()
  for (const count of [200, 500, 800]) {
    await until(`${count} writes`, () => acknowledged >= count)
    const died = served.killEngine()
    await until('another engine', () => served.enginePid !== 0 && served.enginePid !== died)
  }
  await writing
  expect(connections).toBeGreaterThanOrEqual(4)
  expect(statSync(socket).mode & 0o777).toBe(0o600)
  const image = bed.path('image')
  await command('nbdcopy', uri, image)
  const bytes = readFileSync(image)
  for (let i = 0; i < acknowledged; i++) {
    const piece = bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes)
    expect(piece.every((byte) => byte === (i % 255) + 1)).toBe(true)
  }
  await served.stop()
})

onKernel('holder and engine are killed: the dead socket is replaced by the next serve', async () => {
  const { served, uri, socket } = await serve()
  await qemuIo(uri, 'write -P 5 0 1M')
  await served.killAll()
  expect(existsSync(socket)).toBe(true)
  await served.start()
  expect(await qemuIo(served.device, 'read -P 5 0 1M')).not.toContain('failed')
  await served.stop()
})

onKernel('stop waits for clients and says so; the socket is gone at once', async () => {
  const { served, socket } = await serve()
  const client = await NbdClient.open(socket)
  const stopping = served.must('stop')
  await until('the stop waits', async () => (await served.status()).openBy.length > 0)
  expect(await served.status()).toMatchObject({ connections: 1, openBy: [{ kind: 'other', name: '1 NBD client' }] })
  expect(existsSync(socket)).toBe(false)
  await client.write(0, Buffer.alloc(4096, 3))
  client.close()
  await stopping
  expect(await served.exited()).toMatchObject({ status: 0 })
})

onKernel('a second signal ends at once, and what was acknowledged is there again', async () => {
  const { served, socket } = await serve()
  const client = await NbdClient.open(socket)
  await client.write(0, Buffer.alloc(4096, 3))
  served.signal('SIGTERM')
  await until('the stop waits', () => served.errors.includes('serve.device_in_use'))
  served.signal('SIGTERM')
  expect(await served.exited()).toMatchObject({ status: 3 })
  expect(existsSync(socket)).toBe(false)
  await expect(client.write(0, Buffer.alloc(4096))).rejects.toThrow('the connection has ended')
  await served.start()
  expect(await qemuIo(served.device, 'read -P 3 0 4k')).not.toContain('failed')
  await served.stop()
})

onKernel('upgrade: connections end, and the next engine serves who comes back', async () => {
  const { served, uri, socket } = await serve()
  const client = await NbdClient.open(socket)
  await client.write(0, Buffer.alloc(MIB, 6))
  const before = served.enginePid
  await served.must('upgrade')
  expect(served.enginePid).not.toBe(before)
  await expect(client.write(0, Buffer.alloc(4096))).rejects.toThrow('the connection has ended')
  expect(await qemuIo(uri, 'read -P 6 0 1M')).not.toContain('failed')
  await served.stop()
})

onKernel(
  'a client that reads no answer holds an upgrade up for a limited time; a second upgrade waits with the first',
  async () => {
    const { served, socket } = await serve()
    const deaf = await NbdClient.open(socket)
    deaf.askWithoutReading(64)
    await pause(500)
    const before = served.enginePid
    const upgrades = [served.call('upgrade', '--quiesce', '4s'), served.call('upgrade', '--quiesce', '4s')]
    for (const { status, stderr } of await Promise.all(upgrades))
      expect([status, stderr]).toEqual([0, expect.anything()])
    expect(served.enginePid).not.toBe(before)
    deaf.close()
    await served.stop()
  },
)

onKernel('resize: clients that connect from now on see the new size', async () => {
  const { served, uri, backing } = await serve()
  truncateSync(backing, VOLUME_BYTES + 16 * MIB)
  await served.must('resize')
  expect((await command('nbdinfo', '--size', uri)).trim()).toBe(String(VOLUME_BYTES + 16 * MIB))
  await qemuIo(uri, `write -P 1 ${VOLUME_BYTES} 1M`)
  await served.stop()
})

onKernel('sectors of 4096 bytes are told and kept', async () => {
  const { served, uri } = await serve('--sector-size', '4096')
  const { exports } = JSON.parse(await command('nbdinfo', '--json', uri)) as Info
  expect(exports).toMatchObject([{ block_size_minimum: 4096 }])
  expect(await qemuIo(uri, 'write -P 1 512 512', 'read -P 1 512 512')).not.toContain('failed')
  await served.stop()
})

onKernel('hostile clients: noise, half a handshake, half a request, a flood of sockets; others go on', async () => {
  const { served, uri, socket } = await serve()
  const open: Socket[] = []
  const begin = (bytes: string): void => {
    const client = connect(socket, () => client.write(Buffer.from(bytes, 'hex')))
    client.on('error', () => {})
    client.resume()
    open.push(client)
  }
  const goFrame = '0000000349484156454f50540000000700000006000000000000'
  for (let i = 0; i < 12; i++)
    begin(['', '00', 'ffffffff', '0000000348', goFrame + '25609513', goFrame + 'ff'.repeat(40)][i % 6] ?? '')
  await pause(100)
  expect(await qemuIo(uri, 'write -P 2 0 1M', 'read -P 2 0 1M')).not.toContain('failed')
  for (let i = 0; i < 60; i++) begin('')
  await pause(100)
  for (const client of open) client.destroy()
  await until('they are forgotten', async () => (await served.status()).connections === 0)
  expect(await qemuIo(uri, 'read -P 2 0 1M')).not.toContain('failed')
  await served.stop()
})

onKernel('a path of one’s own; a file that took its place is left alone by the next start', async () => {
  const socket = bed.path('my export.nbd')
  const { served, uri } = await serve('--nbd-socket', socket)
  expect(uri).toContain('my%20export.nbd')
  expect((await command('nbdinfo', '--size', uri)).trim()).toBe(String(VOLUME_BYTES))
  await served.killAll()
  renameSync(socket, `${socket}.old`)
  writeFileSync(socket, 'somebody else’s')
  expect(await served.tryStart()).toBe(false)
  expect(served.errors).toContain('exists and is no socket')
  expect(readFileSync(socket, 'utf8')).toBe('somebody else’s')
  renameSync(`${socket}.old`, socket)
  await served.start()
  await served.stop()
})
