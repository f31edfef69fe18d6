// `make endurance`: two volumes, one alone and one with a copy on a peer, under mixed load for a long time, with engines
// killed in the first half. Whatever grows after the first minute fails the run: memory and descriptors of engine, holder
// and peer, and what is left on disk when nothing is dirty. Reports the delays of the event loop and the pauses for
// collections.
//
//   endurance.ts [--minutes N] [--seed N]
//
// Exit status 0: nothing grew, and everything read back right; 1: something grew or failed; 2: cannot run.
// FOREBAY_BENCH_DIRECTORY says which directory on a disk it works in.
import { createServer } from 'node:net'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { createPrng } from '../../base/prng.ts'
import { EVENT_LOOP_DELAY, GC_PAUSE } from '../../csi-driver/observe/runtime-watch.ts'
import { obstacleOfHost } from '../integration/harness/test-bed.ts'
import { Copies } from '../perf/copies.ts'
import { ForebayVolume } from '../perf/forebay-volume.ts'
import { Scaffold } from '../perf/scaffold.ts'
import { judge, LINE_HEADER, printLine } from './judgement.ts'
import { VOLUME_BYTES } from './load.ts'
import { scheduleOf } from './schedule.ts'
import { countOf, quantileOf } from './scrape.ts'
import { Subject } from './subject.ts'

const MINUTES_DEFAULT = '15'
const CACHE_MIB = 160
const STORE_MIB = 512
const SAMPLE_EVERY_MS = 1000
const OWNER = 'owner'
const PEER = 'peer'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

function refuse(message: string): never {
  process.stderr.write(`endurance: ${message}\n`)
  process.exit(2)
}

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: MINUTES_DEFAULT }, seed: { type: 'string', default: '1' } },
})
const minutes = Number(values.minutes)
const seed = Number(values.seed)
if (!Number.isInteger(minutes) || minutes < 1) refuse(`--minutes needs a whole number above 0 given=${values.minutes}`)
if (!Number.isInteger(seed) || seed < 0) refuse(`--seed needs a whole number given=${values.seed}`)
const obstacle = obstacleOfHost('fio', 'openssl')
if (obstacle !== undefined) refuse(`cannot run here: ${obstacle}`)

/** ADDR:PORT that nobody listens at. */
async function freeAddress(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port of 127.0.0.1 is free')
  return `127.0.0.1:${address.port}`
}

interface Directories {
  /** For caches and the replica store. */
  readonly disk: string
  /** For the backings: what is measured is not how fast they are. */
  readonly memory: string
}

async function serve(
  scaffold: Scaffold,
  { disk: directory, memory }: Directories,
  copies: Copies | null,
): Promise<Subject> {
  const name = copies === null ? 'alone' : 'replicated'
  const backing = await scaffold.writtenFile(path.join(memory, `backing-${name}`), VOLUME_BYTES)
  const cache = path.join(directory, `cache-${name}`)
  const stateDirectory = copies === null ? path.join(directory, 'state') : copies.stateDirectory(OWNER)
  const peer = await copies?.startPeer({ node: PEER, directory, resource: 'flash', sizeMiB: STORE_MIB })
  const metrics = await freeAddress()
  const flags = ['--metrics', metrics, ...(copies === null || !peer ? [] : copies.volumeFlags(OWNER, [peer]))]
  const options = { name, backing, cache, cacheMiB: CACHE_MIB, resource: 'flash', stateDirectory, flags } as const
  const volume = new ForebayVolume(scaffold, options)
  await volume.serve()
  await volume.untilWriteBack(copies === null ? 0 : 1)
  const ofPeer =
    copies === null ? [] : [copies.register, copies.stateDirectory(PEER), path.join(directory, `store-${PEER}`)]
  return new Subject(scaffold, {
    ...{ name, volume, metrics, places: [cache, stateDirectory, ...ofPeer] },
    peer: copies === null || !peer ? null : { pid: peer.process.pid, stateDirectory: copies.stateDirectory(PEER) },
  })
}

/** Samples until `signal`; a sample that fails ends the run. */
async function sampleAll(scaffold: Scaffold, subjects: readonly Subject[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const begunMs = performance.now()
    // oxlint-disable-next-line eslint/no-await-in-loop -- one sample after the other
    await Promise.all(subjects.map((subject) => subject.sample()))
    // oxlint-disable-next-line eslint/no-await-in-loop -- one sample after the other
    await scaffold.pause(Math.max(0, SAMPLE_EVERY_MS - (performance.now() - begunMs)))
  }
}

function seconds(value: number): string {
  return Number.isNaN(value) ? '-' : Number.isFinite(value) ? `≤ ${value * 1000} ms` : 'longer'
}

function printRuntime({ name, buckets, passes, kills, lives, waitedShare }: Subject): void {
  const delays = buckets.get(EVENT_LOOP_DELAY)
  const pauses = buckets.get(GC_PAUSE)
  say(`  ${name}: ${passes} passes of load, ${kills} kills, ${lives.length} engines`)
  say(`    event loop late     p50 ${seconds(quantileOf(delays, 0.5))}, p99.9 ${seconds(quantileOf(delays, 0.999))}`)
  say(`    without a processor ${(100 * waitedShare).toFixed(1)} % of the time`)
  const [most, all] = [seconds(quantileOf(pauses, 0.999)), seconds(quantileOf(pauses, 1))]
  say(`    collections         ${countOf(pauses)}, p99.9 ${most}, longest ${all}`)
}

/** Whether nothing grew. */
async function endure(scaffold: Scaffold): Promise<boolean> {
  const prng = createPrng(seed)
  const schedule = scheduleOf(minutes, prng.fork('schedule'))
  const directories = { disk: await scaffold.diskDirectory(), memory: await scaffold.memoryDirectory() }
  const copies = await Copies.make(scaffold, directories.disk, [OWNER, PEER])
  const subjects = [await serve(scaffold, directories, null), await serve(scaffold, directories, copies)]
  say(`endurance: ${minutes} min, kills at ${schedule.killsAtMs.map((ms) => Math.round(ms / 1000)).join(', ')} s`)
  const loadEnds = new AbortController()
  const load = Promise.all(subjects.map((subject) => subject.run(schedule, prng.fork(subject.name)))).finally(() =>
    loadEnds.abort(),
  )
  await Promise.all([load, sampleAll(scaffold, subjects, loadEnds.signal)])
  const lines = subjects.flatMap((subject) => judge(subject, schedule))
  say(LINE_HEADER)
  for (const line of lines) say(printLine(line))
  for (const subject of subjects) printRuntime(subject)
  const grown = lines.filter(({ grew }) => grew)
  for (const { name, lives, kills } of subjects) {
    // A life between two samples may be missed, so fewer say nothing.
    if (lives.length > kills + 1)
      throw new Error(`${name}: ${kills} kills, but ${lives.length} engines: one ended by itself`)
  }
  const open = lines.filter(({ isJudged }) => !isJudged).length
  const doubt = open === 0 ? '' : `; ${open} of ${lines.length} lines had too few samples: run it longer`
  say(`endurance: ${grown.length === 0 ? 'nothing grew' : `${grown.length} things GREW`}${doubt}`)
  return grown.length === 0
}

const scaffold = new Scaffold()
try {
  if (!(await endure(scaffold))) process.exitCode = 1
} catch (error) {
  process.exitCode = scaffold.signal.aborted ? 130 : 1
  process.stderr.write(`endurance: ${error instanceof Error ? error.message : String(error)}\n`)
} finally {
  if (!(await scaffold.takeDown())) process.exitCode = 1
}
