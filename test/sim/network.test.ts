// Proves that the simulated network keeps what TCP and TLS promise and breaks what they do not: order without gaps,
// one value for both ends, silence instead of loss during a cut, late arrival of what a dead process has sent,
// refusals, limits, and buffers that belong to the stream only as long as it says.
import { createPrng } from '../../base/prng.ts'
import type { IoError } from '../../base/errors.ts'
import type { NetworkAddress } from '../../csi-driver/io/network.ts'
import type { PeerNetwork, PeerStream } from '../../csi-driver/io/peer-network.ts'
import { type NetworkSettings, SimNetwork } from './network.ts'
import { Process, World } from './world.ts'

const ORIGINS = { monotonicMs: 0, bootMs: 0, wallMs: 0 }
const AT_B: NetworkAddress = { kind: 'tcp', host: 'b', port: 7000 }

interface Seen {
  bytes: Buffer[]
  ends: number
  closed: (IoError | null)[]
}

class Bench {
  readonly world: World
  readonly network: SimNetwork
  readonly a: Process
  readonly b: Process
  readonly aNetwork: PeerNetwork
  readonly bNetwork: PeerNetwork
  readonly accepted: PeerStream[] = []
  readonly atA: Seen = { bytes: [], ends: 0, closed: [] }
  readonly atB: Seen = { bytes: [], ends: 0, closed: [] }

  constructor(seed: string, settings: Partial<NetworkSettings> = {}) {
    this.world = new World(seed)
    this.network = new SimNetwork(this.world, settings)
    this.a = this.process('a')
    this.b = this.process('b')
    this.aNetwork = this.network.attach(this.a, 'a')
    this.bNetwork = this.network.attach(this.b, 'b')
  }

  process(name: string): Process {
    const process: Process = new Process(this.world, name, ORIGINS, () => this.network.processDied(process))
    return process
  }

  async listen(): Promise<void> {
    let listening = false
    this.bNetwork.listen(
      AT_B,
      (stream) => {
        this.accepted.push(stream)
        watch(stream, this.atB)
      },
      (error) => {
        listening = error === null
      },
    )
    if ((await this.world.run(() => listening, 1000)) !== 'condition') throw new Error('cannot listen')
  }

  async connect(node = 'b', forMs = 100_000): Promise<PeerStream | IoError> {
    let outcome: PeerStream | IoError | null = null
    this.aNetwork.connect(AT_B, node, (error, stream) => {
      if (stream !== null) watch(stream, this.atA)
      outcome = stream ?? error
    })
    await this.world.run(() => outcome !== null, forMs)
    return outcome as unknown as PeerStream | IoError
  }

  async open(): Promise<PeerStream> {
    await this.listen()
    const stream = (await this.connect()) as PeerStream
    await this.settle()
    return stream
  }

  settle(forMs = 1000): Promise<unknown> {
    return this.world.run(() => false, forMs)
  }

  get serverSide(): PeerStream {
    return this.accepted[0] as PeerStream
  }
}

function watch(stream: PeerStream, seen: Seen): void {
  stream.start({
    data: (bytes) => void seen.bytes.push(Buffer.from(bytes)),
    end: () => void seen.ends++,
    closed: (error) => void seen.closed.push(error),
  })
}

const joined = (seen: Seen): Buffer => Buffer.concat(seen.bytes)

function noise(seed: string, length: number): Buffer {
  const prng = createPrng(seed)
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = prng.below(256)
  return bytes
}

test.each(Array.from({ length: 20 }, (_, i) => `order-${i}`))('bytes arrive whole and in order: %s', async (seed) => {
  const bench = new Bench(seed, { windowBytes: 3000, chunkBytesMax: 700 })
  const stream = await bench.open()
  expect(stream.peerNode).toBe('b')
  expect(bench.serverSide.peerNode).toBe('a')
  expect(stream.exporter().equals(bench.serverSide.exporter())).toBe(true)
  const up = noise(`${seed}.up`, 20_000)
  const down = noise(`${seed}.down`, 5000)
  for (let at = 0; at < up.length; at += 1999) stream.write(up.subarray(at, at + 1999))
  bench.serverSide.write(down)
  await bench.settle()
  expect(joined(bench.atB).equals(up)).toBe(true)
  expect(joined(bench.atA).equals(down)).toBe(true)
  stream.end()
  await bench.settle()
  expect(bench.atB.ends).toBe(1)
  expect(bench.atB.closed).toEqual([])
  bench.serverSide.end()
  await bench.settle()
  expect([bench.atA.closed, bench.atB.closed]).toEqual([[null], [null]])
  expect(bench.network.openStreams('a') + bench.network.openStreams('b')).toBe(0)
})

test('two connections never share the exported value', async () => {
  const bench = new Bench('exporter')
  const first = await bench.open()
  const second = (await bench.connect()) as PeerStream
  expect(first.exporter().equals(second.exporter())).toBe(false)
})

test('delivered bytes are the stream’s again, written ones belong to it until sent', async () => {
  let changedSeen = 0
  for (let i = 0; i < 30; i++) {
    const bench = new Bench(`buffers-${i}`)
    await bench.listen()
    const stream = (await bench.connect()) as PeerStream
    const kept: Buffer[] = []
    await bench.settle()
    const bytes = Buffer.from('before')
    stream.write(bytes)
    bytes.write('after!')
    bench.atB.bytes.push = (chunk) => kept.push(chunk)
    await bench.settle()
    if (Buffer.concat(kept).toString() !== 'before') changedSeen++
  }
  expect(changedSeen).toBeGreaterThan(0)
  expect(changedSeen).toBeLessThan(30)

  const bench = new Bench('garbage')
  let held = Buffer.alloc(0)
  bench.bNetwork.listen(
    AT_B,
    (stream) => stream.start({ data: (bytes) => (held = bytes as Buffer<ArrayBuffer>), closed: () => {} }),
    () => {},
  )
  await bench.settle()
  ;((await bench.connect()) as PeerStream).write(Buffer.from('text'))
  await bench.settle()
  expect(held.includes('t')).toBe(false)
  expect(held.length).toBeGreaterThan(0)
})

test('refusals: nobody listens, another name, an address in use, a listener that is closed', async () => {
  const bench = new Bench('refusals')
  expect(await bench.connect()).toMatchObject({ code: 'ECONNREFUSED' })
  await bench.listen()
  expect(await bench.connect('c')).toMatchObject({ code: 'EACCES' })
  let second: IoError | null = null
  bench.bNetwork.listen(
    AT_B,
    () => {},
    (error) => (second = error),
  )
  await bench.settle()
  expect(second).toMatchObject({ code: 'EADDRINUSE' })
})

test('a one-way cut: what was sent arrives there, nothing comes back, and everything after it heals', async () => {
  const bench = new Bench('one-way', { windowBytes: 1000 })
  const stream = await bench.open()
  bench.network.cut('b', 'a')
  stream.write(Buffer.alloc(5000, 1))
  bench.serverSide.write(Buffer.from('answer'))
  await bench.settle(60_000)
  // One window full: no acknowledgement opens it again.
  expect(joined(bench.atB).length).toBe(1000)
  expect(joined(bench.atA).length).toBe(0)
  expect(await bench.connect('b', 60_000)).toMatchObject({ code: 'ETIMEDOUT' })
  bench.network.heal()
  await bench.settle()
  expect(joined(bench.atB).length).toBe(5000)
  expect(joined(bench.atA).toString()).toBe('answer')
  expect(bench.atA.closed).toEqual([])
})

test('a cut that does not heal ends the sender’s connection at the limit', async () => {
  const bench = new Bench('silence', { silenceLimitMs: 30_000 })
  const stream = await bench.open()
  bench.network.cutBoth('a', 'b')
  stream.write(Buffer.from('x'))
  await bench.settle(29_000)
  expect(bench.atA.closed).toEqual([])
  await bench.settle(2000)
  expect(bench.atA.closed).toMatchObject([{ code: 'ETIMEDOUT' }])
  // The other side has heard nothing, and learns it when it writes.
  expect(bench.atB.closed).toEqual([])
  bench.network.heal()
  bench.serverSide.write(Buffer.from('y'))
  await bench.settle()
  expect(bench.atB.closed).toMatchObject([{ code: 'ECONNRESET' }])
})

test('what a process has sent before it died may arrive late; the other side is told', async () => {
  let arrived = 0
  let reset = 0
  for (let i = 0; i < 40; i++) {
    const bench = new Bench(`death-${i}`)
    const stream = await bench.open()
    stream.write(Buffer.from('last'))
    bench.a.die()
    await bench.settle()
    if (joined(bench.atB).toString() === 'last') arrived++
    if (bench.atB.closed[0]?.code === 'ECONNRESET') reset++
    else expect(bench.atB.ends).toBe(1)
    expect(bench.atA.closed).toEqual([])
  }
  expect(arrived).toBeGreaterThan(5)
  expect(arrived).toBeLessThan(40)
  expect(reset).toBeGreaterThan(0)
})

test('a host without power: silence; after it is up again, a reset for whoever still writes', async () => {
  const bench = new Bench('power')
  await bench.open()
  bench.network.hostDown('a')
  bench.a.die()
  bench.serverSide.write(Buffer.from('x'))
  await bench.settle(60_000)
  expect(bench.atB).toMatchObject({ ends: 0, closed: [] })
  bench.network.hostUp('a')
  await bench.settle()
  expect(bench.atB.closed).toMatchObject([{ code: 'ECONNRESET' }])
})

test('a host that stands still gets everything when it goes on', async () => {
  const bench = new Bench('pause')
  const stream = await bench.open()
  bench.network.pause('b')
  stream.write(Buffer.from('late'))
  await bench.settle(20_000)
  expect(joined(bench.atB).length).toBe(0)
  bench.network.resume('b')
  await bench.settle()
  expect(joined(bench.atB).toString()).toBe('late')
})

test('a reader that pauses slows its writer, drain follows; one that does not wait is cut off', async () => {
  const bench = new Bench('pressure')
  await bench.listen()
  let drains = 0
  let stream: PeerStream | null = null
  bench.aNetwork.connect(AT_B, 'b', (_, made) => {
    stream = made
    made?.start({ data: () => {}, drain: () => void drains++, closed: (error) => void bench.atA.closed.push(error) })
  })
  await bench.settle()
  const writer = stream as unknown as PeerStream
  bench.serverSide.pause()
  const block = Buffer.alloc(1024 * 1024)
  let writes = 0
  while (writer.write(block)) writes++
  expect(writes).toBeGreaterThan(2)
  await bench.settle()
  expect(drains).toBe(0)
  bench.serverSide.resume()
  await bench.settle()
  expect(drains).toBe(1)
  expect(writer.pendingBytes).toBe(0)
  bench.serverSide.pause()
  for (let i = 0; i < 70; i++) writer.write(block)
  await bench.settle()
  expect(bench.atA.closed).toMatchObject([{ code: 'ENOBUFS' }])
})

test('reset and chances of faults break both sides', async () => {
  const bench = new Bench('reset')
  await bench.open()
  bench.network.reset('a', 'b')
  await bench.settle()
  expect([bench.atA.closed, bench.atB.closed]).toMatchObject([[{ code: 'ECONNRESET' }], [{ code: 'ECONNRESET' }]])
  const broken = new Bench('chance')
  const stream = await broken.open()
  broken.network.faults.breakChance = 0.5
  for (let i = 0; i < 50; i++) stream.write(Buffer.from('x'))
  await broken.settle()
  expect(broken.atA.closed).toMatchObject([{ code: 'ECONNRESET' }])
})

test('one seed is one run', async () => {
  const run = async (): Promise<string> => {
    const bench = new Bench('repeat', { windowBytes: 5000 })
    const stream = await bench.open()
    for (let i = 0; i < 50; i++) stream.write(noise(`r${i}`, 300))
    bench.network.cut('a', 'b')
    await bench.settle(10)
    bench.network.heal()
    await bench.settle()
    return `${bench.world.events} ${bench.atB.bytes.map((bytes) => bytes.length).join(',')}`
  }
  expect(await run()).toBe(await run())
})
