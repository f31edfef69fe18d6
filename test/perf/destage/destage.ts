// `make bench-destage`: random writes of 4 KiB to a volume whose backing takes 2 ms for a write and few at once, first
// at a rate that fits, then as many as are answered. Draws docs/explanation/destage-curve.svg and writes the figures
// into the page beside it; with QUICK=1 runs are short, the figures are only printed and the plot goes to /dev/shm.
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, release } from 'node:os'
import path from 'node:path'
import { SlowDisk } from '../../../csi-driver/cli/demo/slow-disk.ts'
import { productRoot } from '../../../csi-driver/cli/product.ts'
import { ForebayVolume } from '../forebay-volume.ts'
import { MIB, SCALE } from '../scale.ts'
import { runMeasurement, type Scaffold } from '../scaffold.ts'
import { withMarked } from '../../run/marked-page.ts'
import { pageText, type Runs, smoothnessOf } from './figures.ts'
import { type Chart, plotOf } from './plot.ts'
import { type Load, type Places, type Run, run } from './run.ts'

const DISK_BYTES = 1024 * MIB
/** As many requests a second as a general-purpose cloud disk grants: 3,000. */
const DISK_IN_FLIGHT_MAX = 6
const DISK_MS = 2
const DIRTY_LIMIT_MIB = 256
const CACHE_MIB = 1536
/** Half of the dirty limit: what is dirty at a time fits, and rewrites and neighbours meet in the cache. */
const FITTING_BYTES = 128 * MIB
/** Of what the bare disk does. */
const FITTING_SHARE = 0.8

const SECONDS = SCALE.isQuick ? { alone: 5, fits: 10, crosses: 15 } : { alone: 10, fits: 40, crosses: 60 }
const DOCS = path.join(productRoot(), 'docs', 'explanation')
const MARKS = { begin: '<!-- figures: begin, written by make bench-destage -->', end: '<!-- figures: end -->' }

function say(text: string): void {
  process.stderr.write(`bench-destage: ${text}\n`)
}

async function measure(scaffold: Scaffold): Promise<Runs> {
  const directory = await scaffold.memoryDirectory()
  const disk = await SlowDisk.create({ sizeBytes: DISK_BYTES, latencyMs: DISK_MS, inFlightMax: DISK_IN_FLIGHT_MAX })
  scaffold.later('the slow disk', () => disk.destroy())
  const stateDirectory = path.join(directory, 'state')
  const bare: Places = { directory, disk, stateDirectory, volume: null }
  const full: Load = { queueDepth: 32, dataBytes: DISK_BYTES, rate: null, seconds: SECONDS.alone }
  say('the bare disk')
  const alone = await run(scaffold, bare, full)
  const volume = new ForebayVolume(scaffold, {
    ...{ name: 'destage', backing: disk.device, resource: 'memory', cacheMiB: CACHE_MIB, stateDirectory },
    cache: path.join(directory, 'cache'),
    flags: ['--dirty-limit', `${DIRTY_LIMIT_MIB}MiB`],
  })
  await volume.serve()
  await volume.know()
  const places = { ...bare, volume }
  const rate = Math.round(smoothnessOf(alone.seconds.slice(1, -1)).writesPerSecond * FITTING_SHARE)
  say(`a load that fits: ${rate} writes a second`)
  const fits = await run(scaffold, places, { ...full, dataBytes: FITTING_BYTES, rate, seconds: SECONDS.fits })
  say('a load that crosses the limit')
  const crosses = await run(scaffold, places, { ...full, seconds: SECONDS.crosses })
  return { alone, fits, crosses }
}

function chartsOf(name: string, { seconds, looks }: Run, bareWrites: number): Chart[] {
  const diskWrites = looks.slice(1).map((look, i) => look.diskWrites - (looks[i]?.diskWrites ?? look.diskWrites))
  const limit = seconds.map(() => DIRTY_LIMIT_MIB)
  return [
    {
      title: `${name}: throughput`,
      axis: 'a second',
      scale: 'log',
      lines: [
        { label: 'writes answered', colour: 0, values: seconds.map(({ writes }) => writes) },
        { label: 'writes to the disk', colour: 1, values: diskWrites },
        { label: 'bare disk', colour: 3, values: seconds.map(() => bareWrites) },
      ],
    },
    {
      title: `${name}: latency`,
      axis: 'milliseconds',
      scale: 'log',
      lines: [
        { label: 'p50', colour: 0, values: seconds.map(({ p50Ms }) => p50Ms) },
        { label: 'p99', colour: 1, values: seconds.map(({ p99Ms }) => p99Ms) },
        { label: 'p99.9', colour: 2, values: seconds.map(({ p999Ms }) => p999Ms) },
      ],
    },
    {
      title: `${name}: dirty data`,
      axis: 'MiB',
      scale: 'linear',
      lines: [
        { label: 'dirty', colour: 0, values: looks.slice(1).map(({ dirtyMiB }) => dirtyMiB) },
        { label: 'dirty limit', colour: 3, values: limit },
      ],
    },
  ]
}

async function bench(scaffold: Scaffold): Promise<void> {
  const runs = await scaffold.scope(measure)
  const bareWrites = smoothnessOf(runs.alone.seconds.slice(1, -1)).writesPerSecond
  const machine = `${cpus().length} cores of ${cpus()[0]?.model ?? 'unknown'}, kernel ${release()}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}.`
  const text = pageText(runs, machine)
  const plot = plotOf([chartsOf('fits', runs.fits, bareWrites), chartsOf('crosses', runs.crosses, bareWrites)])
  process.stdout.write(text)
  await writeFile(SCALE.isQuick ? '/dev/shm/forebay-destage-curve.svg' : path.join(DOCS, 'destage-curve.svg'), plot)
  if (!SCALE.isQuick) await writePage(text)
}

async function writePage(text: string): Promise<void> {
  const file = path.join(DOCS, 'destage.md')
  const page = await readFile(file, 'utf8')
  await writeFile(file, withMarked(page, MARKS, text))
}

await runMeasurement(bench, say)
