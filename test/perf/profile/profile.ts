// `make bench-profile`: where each microsecond of a read hit and of a durable write at queue depth 1 goes, by V8's own
// profiler in the engine of a volume under load. Writes the tables into docs/performance.md. Sampling makes the engine a
// little slower: the shares are what counts.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { productRoot } from '../../../csi-driver/cli/product.ts'
import { withMarked } from '../../run/marked-page.ts'
import { type Direction, type FioResult, runFio } from '../fio.ts'
import { ForebayVolume } from '../forebay-volume.ts'
import { MIB } from '../scale.ts'
import { runMeasurement, type Scaffold } from '../scaffold.ts'
import { breakdownTable, type CpuProfile, timeByStage } from './cpu-profile.ts'

const MARKS = { begin: '<!-- profile: made by `make bench-profile` -->', end: '<!-- end of profile -->' }
const DATA_BYTES = 64 * MIB
const SECONDS = 5
const INTERVAL_MICROS = 50

interface Load {
  readonly title: string
  readonly resource: 'memory' | 'flash'
  readonly direction: Direction
}

const LOADS: readonly Load[] = [
  { title: 'Read hit, memory resource', resource: 'memory', direction: 'read' },
  { title: 'Read hit, flash', resource: 'flash', direction: 'read' },
  { title: 'Durable write, flash, no copies', resource: 'flash', direction: 'write' },
]

/** The environment goes to everything that is started from here; only the engine's profile is looked at. */
async function profiled(scaffold: Scaffold, { resource, direction, title }: Load): Promise<string> {
  const memory = await scaffold.memoryDirectory()
  const disk = await scaffold.diskDirectory()
  const profiles = path.join(memory, 'profiles')
  await mkdir(profiles)
  process.env['NODE_OPTIONS'] = `--cpu-prof --cpu-prof-dir=${profiles} --cpu-prof-interval=${INTERVAL_MICROS}`
  const backing = path.join(memory, 'backing')
  await writeFile(backing, '')
  await scaffold.writtenFile(backing, DATA_BYTES)
  const volume = new ForebayVolume(scaffold, {
    name: `profile-${resource}-${direction}`,
    ...{ backing, resource, cacheMiB: 512, stateDirectory: path.join(disk, 'state') },
    cache: path.join(resource === 'flash' ? disk : memory, 'cache'),
  })
  await volume.serve()
  await volume.know()
  await volume.fill(DATA_BYTES)
  if (direction === 'read') await volume.warm(DATA_BYTES)
  const job = { target: volume.device, direction, queueDepth: 1, engine: 'libaio', dataBytes: DATA_BYTES } as const
  await runFio({ ...job, seconds: 1 }, scaffold.signal)
  const fromMicros = Number(process.hrtime.bigint() / 1000n)
  const result = await runFio({ ...job, seconds: SECONDS }, scaffold.signal)
  const toMicros = Number(process.hrtime.bigint() / 1000n)
  const { enginePid } = volume
  delete process.env['NODE_OPTIONS']
  await volume.stopClean()
  return section(title, result, await engineProfile(profiles, enginePid), fromMicros, toMicros)
}

/** V8 names the file after date, time, process, thread. */
async function engineProfile(directory: string, pid: number): Promise<CpuProfile> {
  const name = (await readdir(directory)).find((file) => file.includes(`.${pid}.`))
  if (name === undefined) throw new Error(`the engine pid=${pid} left no profile in ${directory}`)
  return JSON.parse(await readFile(path.join(directory, name), 'utf8')) as CpuProfile
}

// oxlint-disable-next-line eslint/max-params -- what one section says
function section(
  title: string,
  { operations, p50Micros }: FioResult,
  profile: CpuProfile,
  fromMicros: number,
  toMicros: number,
): string {
  const table = breakdownTable(timeByStage(profile, fromMicros, toMicros), operations)
  return `### ${title}\n\nMedian as the application sees it: ${p50Micros.toFixed(0)} µs, with the profiler on.\n\n${table}`
}

function say(text: string): void {
  process.stderr.write(`bench-profile: ${text}\n`)
}

await runMeasurement(async (scaffold) => {
  const sections: string[] = []
  for (const load of LOADS) {
    say(load.title)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    sections.push(await scaffold.scope((scope) => profiled(scope, load)))
  }
  const text = sections.join('\n\n')
  const page = path.join(productRoot(), 'docs/performance.md')
  await writeFile(page, withMarked(await readFile(page, 'utf8'), MARKS, text))
  process.stdout.write(`${text}\n`)
}, say)
