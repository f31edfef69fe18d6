// Proves with several hosts on one machine: an owner that is frozen and comes back after it was replaced never writes the
// backing, answers nothing, and ends by itself with status 4. What it had acknowledged is on its successor.
import { spawn } from 'node:child_process'
import { testOn } from '../../run/requires.ts'
import { command, pause, type TestBed } from '../harness/test-bed.ts'
import { CheckedLoad } from './harness/checked-load.ts'
import { Hosts, obstacleOfHosts } from './harness/hosts.ts'
import { Table } from './harness/table.ts'

const SEED = Number(process.env['FOREBAY_SEED'] ?? Date.now() % 1_000_000)
const onKernel = testOn(obstacleOfHosts('blkdiscard', 'mkfs.ext4'))
let bed: TestBed

beforeEach(() => {
  bed = Hosts.bed()
})
afterEach(() => bed.tearDown())

/** One read of the first block of a device, whenever it is answered. */
function readLater(device: string): Promise<{ readonly status: number | null; readonly content: Buffer }> {
  const child = spawn('dd', [`if=${device}`, 'bs=4096', 'count=1', 'iflag=direct', 'status=none'])
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  return new Promise((resolve) => {
    child.on('close', (status) => resolve({ status, content: Buffer.concat(chunks) }))
  })
}

const fill = (device: string, letter: string): Promise<string> =>
  command('sh', '-c', `head -c 4096 /dev/zero | tr '\\0' ${letter} | dd of=${device} bs=4096 oflag=direct status=none`)

onKernel('a frozen owner comes back after the takeover: it writes nothing, answers nothing, and ends', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  await fill(first.device, 'o')
  // Much is dirty, and the next destage is due.
  await command('dd', 'if=/dev/urandom', `of=${first.device}`, 'bs=64k', 'count=100', 'seek=16', 'oflag=direct')
  a.freeze()
  const late = readLater(first.device)
  const second = await b.takeover('cut')
  await fill(second.device, 'n')
  expect(first.running).toBe(true)
  a.thaw()
  const { status, content } = await late
  // An error, never what the successor has replaced.
  expect([status, content.length]).toEqual([1, 0])
  expect(await first.ended).toMatchObject({ status: 4 })
  expect(await readLater(second.device)).toMatchObject({ status: 0, content: Buffer.alloc(4096, 'n') })
  expect((await hosts.storage.writers()).lastIndexOf('a')).toBeLessThanOrEqual(0)
})

onKernel('a frozen owner with a database: every commit is on the successor, and the old device is dead', async () => {
  const hosts = await Hosts.make(bed)
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const first = await a.serve()
  await first.untilCopiesOn('a', 'b')
  const table = await Table.make(first)
  await table.moveTo(first)
  await table.more(50)
  a.freeze()
  // Cut off by hand; the user says so.
  await hosts.storage.cut('a')
  const second = await b.takeover('told')
  expect(second.errors).toMatch(/engine.open.waiting_for_lease/)
  await table.mount(second)
  await table.check()
  a.thaw()
  expect(await first.ended).toMatchObject({ status: 4 })
  // What the old program still says after that must be true as well.
  await table.stop()
  await table.check()
  table.start()
  await table.more(30)
  await table.stop()
  await table.check()
  expect(await hosts.storage.writers()).toEqual(['a', 'b'])
})

onKernel('owner or copy are frozen for a blink: nobody is replaced, nothing is lost', async () => {
  const hosts = await Hosts.make(bed, { names: ['a', 'b'] })
  const [a, b] = [hosts.get('a'), hosts.get('b')]
  const served = await a.serve()
  await served.untilCopiesOn('a', 'b')
  const load = new CheckedLoad(bed, SEED)
  await load.open(served)
  load.begin()
  for (const host of [a, b]) {
    await pause(300)
    host.freeze()
    await pause(700)
    host.thaw()
  }
  await pause(300)
  // Longer than any promise lasts: the owner asks its copies before it answers anything again.
  a.freeze()
  await pause(9000)
  a.thaw()
  await served.untilCopiesOn('a', 'b')
  expect((await load.stop()).errors).toBe(0)
  await load.verify()
  await load.close()
  expect((await served.status()).epoch).toBe(1)
})
