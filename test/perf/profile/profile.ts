// `make bench-profile`: where each microsecond of read hits and of durable writes goes, alone and many at a time, by V8's
// own profiler in the engine of a volume under load. Writes the tables into docs/performance.md. Sampling makes the engine a
// little slower: the shares are what counts.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { productRoot } from '../../../csi-driver/cli/product.ts'
import { withMarked } from '../../run/marked-page.ts'
import { Copies } from '../copies.ts'
import { type FioResult, runFio } from '../fio.ts'
import { cpuSecondsOf } from '../forebay-process.ts'
import { ForebayVolume } from '../forebay-volume.ts'
import { MIB } from '../scale.ts'
import { runMeasurement, type Scaffold } from '../scaffold.ts'
import { type WorkloadName, WORKLOADS } from '../workloads.ts'
import { breakdownTable, type CpuProfile, timeByStage } from './cpu-profile.ts'

const MARKS = { begin: '<!-- profile: made by `make bench-profile` -->', end: '<!-- end of profile -->' }
const DATA_BYTES = 64 * MIB
const SECONDS = 5
const INTERVAL_MICROS = 50
const CACHE_MIB = 512
const OWNER = 'owner'
const PEER = 'peer'

interface Load {
  readonly title: string
  readonly resource: 'memory' | 'flash'
  readonly workload: WorkloadName
  /** The log has a copy on flash, on the same machine. */
  readonly hasCopy?: boolean
}

const LOADS: readonly Load[] = [
  { title: 'Read hit, memory resource', resource: 'memory', workload: 'read1' },
  { title: 'Read hit, memory resource, 32 at a time', resource: 'memory', workload: 'read32' },
  { title: 'Read hit, flash', resource: 'flash', workload: 'read1' },
  { title: 'Read hit, flash, 32 at a time', resource: 'flash', workload: 'read32' },
  { title: 'Durable write, flash, no copies', resource: 'flash', workload: 'write1' },
  { title: 'Durable write, flash, no copies, 32 at a time', resource: 'flash', workload: 'write32' },
  { title: 'Durable write, flash, with a copy on flash', resource: 'flash', workload: 'write1', hasCopy: true },
  {
    title: 'Durable write, flash, with a copy on flash, 32 at a time',
    ...{ resource: 'flash', workload: 'write32', hasCopy: true },
  },
  { title: 'Sequential write of 1 MiB, flash, no copies', resource: 'flash', workload: 'sequentialWrite' },
]

/** The environment goes to everything that is started from here; only the engine's profile is looked at. */
async function profiled(scaffold: Scaffold, { resource, workload: name, title, hasCopy }: Load): Promise<string> {
  const memory = await scaffold.memoryDirectory()
  const disk = await scaffold.diskDirectory()
  const flags = hasCopy === true ? await flagsOfCopy(scaffold, disk) : []
  const profiles = path.join(memory, 'profiles')
  await mkdir(profiles)
  process.env['NODE_OPTIONS'] = `--cpu-prof --cpu-prof-dir=${profiles} --cpu-prof-interval=${INTERVAL_MICROS}`
  const backing = path.join(memory, 'backing')
  await writeFile(backing, '')
  await scaffold.writtenFile(backing, DATA_BYTES)
  const volume = new ForebayVolume(scaffold, {
    name: `profile-${resource}-${name}`,
    ...{ backing, resource, cacheMiB: CACHE_MIB, flags, stateDirectory: path.join(disk, 'state') },
    cache: path.join(resource === 'flash' ? disk : memory, 'cache'),
  })
  await volume.serve()
  await volume.know()
  await volume.fill(DATA_BYTES)
  if (hasCopy === true) await volume.untilWriteBack(1)
  const workload = WORKLOADS[name]
  if (workload.direction === 'read') await volume.warm(DATA_BYTES)
  const job = { ...workload, target: volume.device, engine: 'libaio', dataBytes: DATA_BYTES } as const
  await runFio({ ...job, seconds: 1 }, scaffold.signal)
  const cpuBefore = await cpuSecondsOf(volume.enginePid)
  const fromMicros = Number(process.hrtime.bigint() / 1000n)
  const result = await runFio({ ...job, seconds: SECONDS }, scaffold.signal)
  const toMicros = Number(process.hrtime.bigint() / 1000n)
  const { enginePid } = volume
  const cpuMicros = (((await cpuSecondsOf(enginePid)) - cpuBefore) * 1e6) / result.operations
  await volume.stopClean()
  const table = breakdownTable(
    timeByStage(await engineProfile(profiles, enginePid), fromMicros, toMicros),
    result.operations,
  )
  return `### ${title}\n\n${summary(result, cpuMicros)}\n\n${table}`
}

/** Starts the replica store; before the profiler is asked for. */
async function flagsOfCopy(scaffold: Scaffold, disk: string): Promise<string[]> {
  const copies = await Copies.make(scaffold, disk, [OWNER, PEER])
  const plan = { node: PEER, directory: disk, resource: 'flash', sizeMiB: 2 * CACHE_MIB } as const
  return copies.volumeFlags(OWNER, [await copies.startPeer(plan)])
}

function summary({ iops, p50Micros }: FioResult, cpuMicros: number): string {
  const median = `Median as the application sees it: ${p50Micros.toFixed(0)} µs`
  const rate = `${Math.round(iops).toLocaleString('en')} IOPS`
  return `${median}, ${rate}; CPU of the engine, all threads: ${cpuMicros.toFixed(0)} µs for each I/O. With the profiler on.`
}

/** V8 names the file after date, time, process, thread. */
async function engineProfile(directory: string, pid: number): Promise<CpuProfile> {
  const name = (await readdir(directory)).find((file) => file.includes(`.${pid}.`))
  if (name === undefined) throw new Error(`the engine pid=${pid} left no profile in ${directory}`)
  return JSON.parse(await readFile(path.join(directory, name), 'utf8')) as CpuProfile
}

function say(text: string): void {
  process.stderr.write(`bench-profile: ${text}\n`)
}

await runMeasurement(async (scaffold) => {
  const sections: string[] = []
  for (const load of LOADS) {
    say(load.title)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    sections.push(
      await scaffold.scope((scope) => profiled(scope, load)).finally(() => delete process.env['NODE_OPTIONS']),
    )
  }
  const text = sections.join('\n\n')
  const page = path.join(productRoot(), 'docs/performance.md')
  await writeFile(page, withMarked(await readFile(page, 'utf8'), MARKS, text))
  process.stdout.write(`${text}\n`)
}, say)
