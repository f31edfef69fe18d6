// The oracle: an application that knows everything it was ever promised. It writes to a device with O_DIRECT, several
// writes in flight, in sizes from one sector to 256 KiB and now and then to 4 MiB, zeroes and discards ranges, flushes,
// reads back. Told on standard input, one command a line; answers one JSON object each:
//
//   open PATH | load MS [tolerant] | verify | close | stop-load
//
// For each sector it keeps which write was acknowledged last, and which other contents would be legal: those of writes
// that ended with an error or not at all. `verify` reads every sector and then holds on to what it saw: what has been
// read once may not change by itself. `tolerant` expects I/O errors; otherwise each one counts.
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import { createInterface } from 'node:readline'
import { SystemAlignedMemory } from '../../../csi-driver/io/real/aligned-memory.ts'
import { fillSector, readSector, SECTOR_BYTES, wordsOf } from './sector-content.ts'

const WORKERS = 12
const WRITE_BYTES_MAX = 4 * 1024 * 1024
const VERIFY_BYTES = 1024 * 1024
const SAMPLES_MAX = 8

interface Report {
  writes: number
  zeroes: number
  flushes: number
  reads: number
  writtenBytes: number
  uncertain: number
  errors: number
  longestMs: number
  checkedSectors: number
  lost: number
  samples: string[]
}

const memory = new SystemAlignedMemory()
const report: Report = {
  writes: 0,
  zeroes: 0,
  flushes: 0,
  reads: 0,
  writtenBytes: 0,
  uncertain: 0,
  errors: 0,
  longestMs: 0,
  checkedSectors: 0,
  lost: 0,
  samples: [],
}
let devicePath = ''
let fd = -1
let sectors = 0
/** Sequence number of the acknowledged write of each sector; 0: zeros. */
let acknowledged = new Float64Array(0)
let busy = new Uint8Array(0)
const legal = new Map<number, Set<number>>()
let lastSequence = 0
let tolerant = false
let seed = Number(process.argv[2] ?? Date.now()) >>> 0

function random(): number {
  seed = (seed + 0x6d2b79f5) >>> 0
  let x = Math.imul(seed ^ (seed >>> 15), seed | 1)
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
  return ((x ^ (x >>> 14)) >>> 0) / 4_294_967_296
}
const below = (n: number): number => Math.floor(random() * n)

function chooseSectors(): number {
  const roll = random()
  if (roll < 0.25) return 1
  if (roll < 0.4) return 1 + below(15)
  if (roll < 0.65) return 8
  if (roll < 0.85) return 8 * (1 + below(16))
  if (roll < 0.99) return 8 * (1 + below(64))
  return Math.min(WRITE_BYTES_MAX / SECTOR_BYTES, sectors >> 3)
}

interface Range {
  readonly start: number
  readonly count: number
}

/** A range that nobody else is at; half of them in a small part of the device, so that much is written again. */
function takeRange(count: number): Range | null {
  for (let attempt = 0; attempt < 20; attempt++) {
    const space = random() < 0.5 ? Math.max(count, sectors >> 4) : sectors
    let start = below(space - count + 1)
    if (count >= 8 && random() < 0.8) start -= start % 8
    if (busy.subarray(start, start + count).includes(1)) continue
    busy.fill(1, start, start + count)
    return { start, count }
  }
  return null
}

function settle({ start, count }: Range, sequence: number, outcome: 'done' | 'unknown'): void {
  for (let sector = start; sector < start + count; sector++) {
    if (outcome === 'done') {
      acknowledged[sector] = sequence
      legal.delete(sector)
    } else {
      const others = legal.get(sector)
      if (others === undefined) legal.set(sector, new Set([sequence]))
      else others.add(sequence)
    }
  }
}

function failed(what: string, error: unknown): void {
  if (tolerant) report.uncertain++
  else {
    report.errors++
    note(`${what}: ${String(error)}`)
  }
}

function note(text: string): void {
  if (report.samples.length < SAMPLES_MAX) report.samples.push(text)
}

const io = (call: (done: (error: Error | null, bytes?: number) => void) => void): Promise<number> =>
  new Promise((resolve, reject) => call((error, bytes) => (error === null ? resolve(bytes ?? 0) : reject(error))))

async function writeOnce(buffer: Buffer, words: Uint32Array): Promise<void> {
  const range = takeRange(chooseSectors())
  if (range === null) return
  const sequence = ++lastSequence
  const length = range.count * SECTOR_BYTES
  for (let i = 0; i < range.count; i++) fillSector(words, i * 128, sequence, range.start + i)
  const startedMs = performance.now()
  try {
    const bytes = await io((done) => fs.write(fd, buffer, 0, length, range.start * SECTOR_BYTES, done))
    if (bytes !== length) throw new Error(`short write bytes=${bytes} of=${length}`)
    settle(range, sequence, 'done')
    report.writes++
    report.writtenBytes += length
    tookFrom(startedMs)
  } catch (error) {
    settle(range, sequence, 'unknown')
    failed(`write sector=${range.start} sectors=${range.count}`, error)
  }
  busy.fill(0, range.start, range.start + range.count)
}

async function zeroOnce(): Promise<void> {
  const range = takeRange(8 * (1 + below(512)))
  if (range === null) return
  const place = ['-o', String(range.start * SECTOR_BYTES), '-l', String(range.count * SECTOR_BYTES), devicePath]
  const how = random() < 0.5 ? ['-f', '-z'] : ['-f']
  try {
    await io((done) => execFile('blkdiscard', [...how, ...place], (error) => done(error)))
    settle(range, 0, 'done')
    report.zeroes++
  } catch (error) {
    settle(range, 0, 'unknown')
    failed(`${how.join(' ')} sector=${range.start}`, error)
  }
  busy.fill(0, range.start, range.start + range.count)
}

/** What a sector holds is legal, and from now on the only legal thing. */
function checkSector(sector: number, found: number): void {
  const expected = acknowledged[sector] as number
  if (found === expected && !legal.has(sector)) return
  if (found !== expected && legal.get(sector)?.has(found) !== true) {
    report.lost++
    note(`sector=${sector} holds write=${found} instead of write=${expected}`)
    return
  }
  acknowledged[sector] = found
  legal.delete(sector)
}

async function readOnce(buffer: Buffer, words: Uint32Array): Promise<void> {
  const range = takeRange(chooseSectors())
  if (range === null) return
  const length = range.count * SECTOR_BYTES
  try {
    await io((done) => fs.read(fd, buffer, 0, length, range.start * SECTOR_BYTES, done))
    for (let i = 0; i < range.count; i++) checkSector(range.start + i, readSector(words, i * 128, range.start + i))
    report.reads++
  } catch (error) {
    failed(`read sector=${range.start}`, error)
  }
  busy.fill(0, range.start, range.start + range.count)
}

function tookFrom(startedMs: number): void {
  report.longestMs = Math.max(report.longestMs, Math.round(performance.now() - startedMs))
}

async function flushOnce(): Promise<void> {
  const startedMs = performance.now()
  try {
    await io((done) => fs.fsync(fd, (error) => done(error)))
    report.flushes++
    tookFrom(startedMs)
  } catch (error) {
    failed('flush', error)
  }
}

let loading = false

async function worker(untilMs: number, zeroes: boolean, buffer: Buffer): Promise<void> {
  const words = wordsOf(buffer)
  while (loading && performance.now() < untilMs && !(tolerant && report.uncertain >= failuresEnd)) {
    const roll = random()
    // One worker does what needs a process of its own.
    if (zeroes && roll < 0.2) await zeroOnce()
    else if (roll < 0.85) await writeOnce(buffer, words)
    else if (roll < 0.98) await readOnce(buffer, words)
    else await flushOnce()
  }
}

const buffers = Array.from({ length: WORKERS }, () => memory.allocate(WRITE_BYTES_MAX))
/** A dead device fails everything at once: enough of that is enough. */
let failuresEnd = 0

async function load(ms: number, mayFail: boolean): Promise<void> {
  tolerant = mayFail
  failuresEnd = report.uncertain + 3 * WORKERS
  loading = true
  const untilMs = performance.now() + ms
  await Promise.all(buffers.map((buffer, i) => worker(untilMs, i === 0, buffer)))
  loading = false
}

async function verify(): Promise<void> {
  const [buffer] = buffers
  if (buffer === undefined) return
  const words = wordsOf(buffer)
  for (let start = 0; start < sectors; start += VERIFY_BYTES / SECTOR_BYTES) {
    const count = Math.min(VERIFY_BYTES / SECTOR_BYTES, sectors - start)
    const length = count * SECTOR_BYTES
    const bytes = await io((done) => fs.read(fd, buffer, 0, length, start * SECTOR_BYTES, done))
    if (bytes !== length) throw new Error(`short read bytes=${bytes} of=${length}`)
    for (let i = 0; i < count; i++) checkSector(start + i, readSector(words, i * 128, start + i))
  }
  report.checkedSectors += sectors
}

function open(path: string): void {
  fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_DIRECT)
  devicePath = path
  const sizeBytes = fs.readFileSync(`/sys/class/block/${fs.realpathSync(path).split('/').pop()}/size`, 'utf8')
  if (sectors !== 0) return
  sectors = Math.floor(Number(sizeBytes) / 8) * 8
  acknowledged = new Float64Array(sectors)
  busy = new Uint8Array(sectors)
}

async function obey([command, first, second]: readonly string[]): Promise<void> {
  if (command === 'open') open(first ?? '')
  else if (command === 'load') await load(Number(first), second === 'tolerant')
  else if (command === 'verify') await verify()
  else if (command === 'close') fs.closeSync(fd)
  else throw new Error(`unknown command ${command}`)
}

const say = (answer: object): void => void process.stdout.write(`${JSON.stringify(answer)}\n`)
/** Commands run one after the other, except `stop-load`, which is heard while `load` runs. */
let last: Promise<void> = Promise.resolve()
for await (const line of createInterface({ input: process.stdin })) {
  const words = line.trim().split(' ')
  const act = (): Promise<void> =>
    obey(words).then(
      () => say({ ok: true, ...report }),
      (error: unknown) => say({ ok: false, error: String(error), ...report }),
    )
  if (words[0] === 'stop-load') loading = false
  else last = last.then(act)
}
process.exit(0)
