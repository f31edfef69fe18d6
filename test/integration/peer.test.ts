// Proves with real processes, sockets and disks: `forebay peer` keeps what it has acknowledged through kills of either
// side and orderly stops, says what it holds, tells engines apart by their certificates and keys, and refuses every
// mistake with status 2 and one message, with nothing changed.
import fs from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { MIB, until } from './cli-harness.ts'
import { PeerBed, VOLUME_UUID } from './harness/peer-host.ts'
import { days } from '../tls/test-authority.ts'

let bed: PeerBed
beforeEach(async () => {
  bed = await PeerBed.make('a', 'b')
})
afterEach(() => bed.dispose())

describe('as a process', () => {
  test('ready line, status, an orderly stop, and everything again after it', async () => {
    const first = await bed.start('b')
    expect(first.running.out).toBe(`ready node=b listen=127.0.0.1:${first.port} store=${bed.store('b')}\n`)
    const owner = bed.own({ node: 'a', peers: [first] })
    await owner.untilAcked(50)
    const status = await bed.status('b')
    expect(status).toMatchObject({ node: 'b', resource: 'flash', connections: 1, refused: {} })
    expect(status.volumes).toMatchObject([
      { volume: 'vol', volumeUuid: VOLUME_UUID, epoch: 1, run: 1, engine: { node: 'a', purpose: 'owner' } },
    ])
    const table = (await bed.peers('b')).out
    expect(table).toMatch(/^node=b listen=127\.0\.0\.1:\d+ resource=flash free=\S+ MiB of \S+ MiB store=/)
    expect(table).toMatch(
      /^ {2}VOLUME +EPOCH +RUN +LOG +BATCHES +BYTES +LAG +ENGINE\n {2}vol +1 +1 +1-cdcdcdcd +1-\d+ +/m,
    )
    await owner.kill()
    const { status: code, err } = await first.stop()
    expect({ code, last: err.trim().split('\n').at(-1) }).toMatchObject({
      code: 0,
      last: expect.stringContaining('peer.stopping') as string,
    })
    expect((await bed.peers('b')).out).toMatch(/^No replica store runs here/)
    await bed.start('b')
    const { storeUuid, volumes } = await bed.status('b')
    expect(storeUuid).toBe(status.storeUuid)
    expect(volumes[0]?.log?.lastBatchSeq).toBeGreaterThanOrEqual(owner.acked)
    expect(volumes[0]?.incarnation).toBe(status.volumes[0]?.incarnation)
  })

  test('kills of the peer while it is written to: nothing that was acknowledged is missing, and the owner goes on', async () => {
    let peer = await bed.start('b')
    const owner = bed.own({ node: 'a', peers: [peer], payloadBytes: 16_384, pauseMs: 1 })
    for (let i = 1; i <= 3; i++) {
      await owner.untilAcked(i * 30)
      peer = await peer.crash()
      const acked = owner.acked
      await until(
        () => 'the volume in the status',
        async () => (await bed.status('b')).volumes[0] !== undefined,
      )
      const { log } = (await bed.status('b')).volumes[0] ?? { log: null }
      expect(log?.lastBatchSeq).toBeGreaterThanOrEqual(acked)
    }
    await owner.untilAcked(owner.acked + 30)
    expect(owner.lines.filter(({ event }) => event === 'lost-content')).toEqual([])
  })

  test('two stores and two volumes at once; a killed store is late, the other one goes on', async () => {
    await bed.authority.issue(bed.tlsDir('c'), 'c')
    const peers = [await bed.start('b'), await bed.start('c')]
    const first = bed.own({ node: 'a', peers })
    const second = bed.own({ node: 'a', peers, volume: 'second', volumeUuid: 'c2'.repeat(16) })
    await Promise.all([first.untilAcked(100), second.untilAcked(100)])
    expect((await bed.status('c')).volumes.map(({ volume }) => volume).toSorted()).toEqual(['second', 'vol'])
    peers[1]?.running.child.kill('SIGKILL')
    await Promise.all([first.untilEvent('late'), second.untilEvent('late')])
    expect((await bed.status('b')).volumes).toHaveLength(2)
  })

  test('stopped while it lays out a store: at once, and the next start makes it', async () => {
    const starting = bed.begin('b', '--size', '2GiB')
    await until(
      () => 'the file that is laid out',
      () => fs.existsSync(`${bed.store('b')}.creating`),
    )
    starting.child.kill('SIGTERM')
    expect(await starting.ended).toMatchObject({ status: 0, out: '' })
    expect(fs.existsSync(bed.store('b'))).toBe(false)
    await bed.start('b')
    expect(fs.readdirSync(bed.directory).filter((name) => name.includes('creating'))).toEqual([])
  })

  test('one store, one node, one process each', async () => {
    await bed.start('b')
    const sameStore = await bed.peer('b', '--state-dir', bed.path('other'), '--listen', '127.0.0.1:0')
    expect(sameStore).toMatchObject({ status: 2, err: expect.stringContaining('is given more than once') as string })
    const { status, err } = await bed.peer('b')
    expect({ status, err }).toMatchObject({ status: 2, err: expect.stringContaining('the store is in use') as string })
  })

  test('what may be given up without a register: only what is named and nobody uses', async () => {
    const peer = await bed.start('b')
    const owner = bed.own({ node: 'a', peers: [peer] })
    await owner.untilAcked(5)
    const outcome = async (...words: string[]): Promise<unknown> => {
      const { status, out } = await bed.peers('b', 'discard', '--output', 'json', ...words)
      expect(status).toBe(0)
      return (JSON.parse(out) as object[])[0]
    }
    expect(await outcome('--gone', VOLUME_UUID)).toMatchObject({ node: 'b', outcome: 'kept', reason: 'in-use' })
    await owner.kill()
    await until(
      () => 'the end of the connection',
      async () => (await bed.status('b')).connections === 0,
    )
    expect(await outcome()).toMatchObject({ outcome: 'kept', reason: 'register-unknown' })
    expect(await outcome('--gone', 'd'.repeat(32))).toMatchObject({ outcome: 'kept' })
    expect(await outcome('--dry-run', '--gone', VOLUME_UUID)).toMatchObject({ outcome: 'may-go' })
    expect((await bed.status('b')).volumes).toHaveLength(1)
    expect(await outcome('--gone', VOLUME_UUID)).toMatchObject({ outcome: 'discarded', reason: 'named' })
    expect((await bed.status('b')).volumes).toEqual([])
  })

  test('a store grows with --size and is refused a smaller one', async () => {
    await (await bed.start('b')).stop()
    const before = fs.statSync(bed.store('b')).size
    const grown = await bed.start('b', '--size', '192MiB')
    expect((await bed.status('b')).capacityBytes).toBeGreaterThan(before)
    await grown.stop()
    expect(await bed.peer('b', '--size', '128MiB')).toMatchObject({
      status: 2,
      err: expect.stringMatching(/--store is larger than --size 128MiB, and a store does not shrink/) as string,
    })
  })

  test('memory: the store is on tmpfs, and a restart of the process loses nothing', async () => {
    const store = `/dev/shm/forebay-peer-${process.pid}`
    try {
      fs.rmSync(store, { force: true })
      fs.symlinkSync(store, bed.store('b'))
      const peer = await bed.start('b', '--resource', 'memory')
      const owner = bed.own({ node: 'a', peers: [peer] })
      await owner.untilAcked(20)
      await owner.kill()
      await peer.stop()
      await bed.start('b', '--resource', 'memory')
      const { resource, volumes } = await bed.status('b')
      expect(resource).toBe('memory')
      expect(volumes[0]?.log?.lastBatchSeq).toBeGreaterThanOrEqual(owner.acked)
    } finally {
      fs.rmSync(store, { force: true })
    }
  })

  test('another node with the same volume gets nowhere: its key is another', async () => {
    await bed.authority.issue(bed.tlsDir('d'), 'd')
    const peer = await bed.start('b')
    const owner = bed.own({ node: 'a', peers: [peer] })
    await owner.untilAcked(5)
    const thief = bed.own({ node: 'd', peers: [peer], volumeUuid: VOLUME_UUID, epoch: 9, volume: 'x' })
    await thief.untilEvent('refused')
    expect(thief.acked).toBe(0)
    await owner.untilAcked(owner.acked + 20)
  })
})

describe('refusals', () => {
  /** Refused, and nothing has appeared. */
  async function expectRefusal(words: readonly string[], expected: RegExp): Promise<void> {
    const before = fs.readdirSync(bed.directory).toSorted()
    const { status, out, err } = await bed.peer('b', ...words)
    expect({ status, out }).toEqual({ status: 2, out: '' })
    expect(err).toMatch(expected)
    expect(fs.readdirSync(bed.directory).toSorted()).toEqual(before)
  }

  test.each<[string[], RegExp]>([
    [['extra'], /"extra" is one word too many/],
    [['--sise', '1GiB'], /--sise is unknown; did you mean size\?/],
    [['--size', '1MiB'], /--size is too small; at least 64MiB/],
    [['--listen', 'here'], /--listen is not ADDR:PORT/],
    [['--listen', '203.0.113.7:7070'], /cannot listen flag=--listen/],
    [['--resource', 'memory'], /--store is not in memory/],
    [['--metrics', '203.0.113.7:9750'], /cannot listen flag=--metrics/],
    [['--size', '8TiB'], /--store has no room for 8TiB/],
  ])('%j', async (words, expected) => {
    await expectRefusal(words, expected)
  })

  test('what is missing', async () => {
    const { out } = await bed.peer('b', '--help')
    expect(out).toMatch(/forebay peer --store PATH --listen ADDR:PORT --tls-dir PATH \[OPTION…\]/)
    expect(await bed.peers('b', 'drop')).toMatchObject({
      status: 2,
      err: expect.stringContaining('discard must be discard') as string,
    })
    expect(await bed.peers('b', '--dry-run')).toMatchObject({
      status: 2,
      err: expect.stringContaining('--dry-run is for discard only') as string,
    })
    expect(await bed.peers('b', 'discard')).toMatchObject({
      status: 2,
      err: expect.stringContaining('No replica store runs here') as string,
    })
  })

  test('a port in use, foreign content', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const { port } = server.address() as AddressInfo
    await expectRefusal(['--listen', `127.0.0.1:${port}`], /EADDRINUSE/)
    server.close()
    fs.writeFileSync(bed.store('b'), Buffer.alloc(128 * MIB, 'somebody’s data '))
    await expectRefusal([], /not a replica store, and not empty/)
    expect(fs.readFileSync(bed.store('b')).subarray(0, 12).toString()).toBe('somebody’s')
  })

  test.each<[string, () => Promise<void>, RegExp]>([
    ['no certificate', async () => fs.rmSync(bed.tlsDir('b'), { recursive: true }), /CACHE_TLS_UNREADABLE/],
    [
      'another node’s certificate',
      async () => fs.cpSync(bed.tlsDir('a'), bed.tlsDir('b'), { recursive: true }),
      /the certificate names another node .* certificate=a node=b \(CACHE_TLS_NODE\)\nSay --node a/,
    ],
    [
      'an expired certificate',
      async () => void (await bed.authority.issue(bed.tlsDir('b'), 'b', days(-9, -1))),
      /CACHE_TLS_EXPIRED/,
    ],
    [
      'a certificate of the future',
      async () => void (await bed.authority.issue(bed.tlsDir('b'), 'b', days(1, 9))),
      /CACHE_TLS_NOT_YET_VALID\)\nThe clocks/,
    ],
    [
      'the key of another certificate',
      async () => fs.copyFileSync(`${bed.tlsDir('a')}/tls.key`, `${bed.tlsDir('b')}/tls.key`),
      /CACHE_TLS_KEY/,
    ],
  ])('%s', async (_, spoil, expected) => {
    await spoil()
    await expectRefusal([], expected)
  })

  test('an owner whose CA is another one', async () => {
    const other = await PeerBed.make('a')
    try {
      const peer = await bed.start('b')
      const stranger = bed.own({ node: 'a', tlsDir: other.tlsDir('a'), peers: [peer] })
      await until(
        () => 'refusal in the log of the peer',
        async () => (await bed.status('b')).tlsRefused > 0 || peer.running.err.includes('tls.refused'),
      )
      expect(stranger.acked).toBe(0)
      expect(peer.running.err.split('tls.refused').length).toBe(2)
      const owner = bed.own({ node: 'a', peers: [peer] })
      await owner.untilAcked(10)
    } finally {
      await other.dispose()
    }
  })
})
