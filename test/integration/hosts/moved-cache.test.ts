// Proves with several hosts on one machine, and a storage that takes its time: after a planned move the new owner's reads are
// answered by the cache of the old node; the data are right; the cache is let go when it is of no more use, when either side
// starts again, and when the volume comes back.
import { constants, existsSync, readdirSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { SystemAlignedMemory } from '../../../csi-driver/io/real/aligned-memory.ts'
import { testOn } from '../../run/requires.ts'
import { MIB, type TestBed, until } from '../harness/test-bed.ts'
import { Hosts, obstacleOfHosts } from './harness/hosts.ts'
import type { Host } from './harness/host.ts'
import type { ServedHere } from './harness/served-here.ts'

const onKernel = testOn(obstacleOfHosts())
const BYTES = 8 * MIB
const LATENCY_MS = 12
let bed: TestBed

beforeEach(() => {
  bed = Hosts.bed()
})
afterEach(() => bed.tearDown())

/** What stands in a sector: which one it is, and when it was written. */
const sector = (text: string, at: number): string => `${text} ${at} `

async function fill(served: ServedHere, from: number, bytes: number, text: string): Promise<void> {
  const data = new SystemAlignedMemory().allocate(bytes)
  for (let at = 0; at < bytes; at += 512) data.write(sector(text, from + at), at)
  await onDevice(served, async (file) => void (await file.write(data, 0, bytes, from)))
}

/** Block by block, from the end to the beginning: no stream, and past the page cache. */
async function check(served: ServedHere, from: number, bytes: number, text: string): Promise<void> {
  const block = new SystemAlignedMemory().allocate(4096)
  await onDevice(served, async (file) => {
    for (let at = from + bytes - 4096; at >= from; at -= 4096) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await file.read(block, 0, 4096, at)
      for (let i = 0; i < 4096; i += 512) {
        const wanted = sector(text, at + i)
        expect(block.toString('latin1', i, i + wanted.length)).toBe(wanted)
      }
    }
  })
}

async function onDevice(served: ServedHere, act: (file: FileHandle) => Promise<void>): Promise<void> {
  const file = await open(served.device, constants.O_RDWR | constants.O_DIRECT)
  try {
    await act(file)
  } finally {
    await file.close()
  }
}

const cachesAt = async (host: Host) => (await host.peerStatus()).leftCaches

onKernel('reads of the new owner come from the old node, until one of the two starts again', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  await fill(first, 0, BYTES, 'old')
  await first.must('drain')
  await check(first, 2 * MIB, 2 * MIB, 'old')
  await first.must('move', '--to', 'b')
  expect((await first.ended).status).toBe(0)
  expect(await cachesAt(a)).toMatchObject([{ movedTo: 'b', reader: false, blocks: expect.any(Number) as number }])
  expect(readdirSync(a.path('state/previous'))).toEqual([])

  const second = await b.serve()
  await second.untilStatus('the old cache is found', ({ previousCache }) => previousCache?.node === 'a')
  await hosts.storage.latency(LATENCY_MS)
  await fill(second, MIB, 64 * 1024, 'new')
  await check(second, MIB, 64 * 1024, 'new')
  await check(second, 2 * MIB, 2 * MIB, 'old')
  const { previousCache } = await second.status()
  expect(previousCache).toMatchObject({ state: 'open', node: 'a', reason: null })
  expect(previousCache?.hits).toBeGreaterThan(100)
  expect(previousCache?.bytes).toBe((previousCache?.hits ?? 0) * 4096)
  const [served] = await cachesAt(a)
  expect(served).toMatchObject({ reader: true, badBlocks: 0 })

  await second.untilNextEngine(second.killEngine())
  await until('the cache is let go', async () => (await cachesAt(a)).length === 0)
  await hosts.storage.latency(0)
  await second.untilStatus('no previous cache', ({ previousCache: now }) => now === null)
  await check(second, MIB, 64 * 1024, 'new')
  await check(second, 4 * MIB, 128 * 1024, 'old')
  await second.stop()
})

onKernel('a peer that starts again, and a volume that comes back, end it', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  await fill(first, 0, BYTES, 'old')
  await first.must('move', '--to', 'b')
  await first.ended
  await a.killPeer()
  await a.startPeer()
  expect(await cachesAt(a)).toEqual([])
  expect(existsSync(a.path('state/previous'))).toBe(false)

  const second = await b.serve()
  await second.untilCopiesOn('a', 'b').catch(() => second.untilCopiesOn('b', 'c'))
  await check(second, MIB, 64 * 1024, 'old')
  await second.must('move', '--to', 'a')
  await second.ended
  expect(await cachesAt(b)).toMatchObject([{ movedTo: 'a' }])
  // The other way again, without anybody reading it.
  const third = await b.serve()
  await until('the cache is let go', async () => (await cachesAt(b)).length === 0)
  await check(third, MIB, 64 * 1024, 'old')
  await third.stop()
})
