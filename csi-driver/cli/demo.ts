// `forebay demo`: the product on one machine in a minute. Two equal slow disks, an ext4 on each, one of them behind
// Forebay; the same workload on both at once; the engine killed in the middle; at the end a proof, from the slow disk
// alone, that nothing is missing. Everything is taken down again, also after a failure or Ctrl-C.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { CacheError } from '../../base/errors.ts'
import { durationSetting, pathSetting } from '../../base/setting-kinds.ts'
import { MIB } from '../../base/units.ts'
import { defineCommand, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_REFUSED } from './command.ts'
import { DemoVolume } from './demo/demo-volume.ts'
import { SlowDisk } from './demo/slow-disk.ts'
import { command, Interrupted, type JsonProgram, Stage, startProgram, tryCommand } from './demo/stage.ts'
import type { WorkloadReport, WorkloadResult } from './demo/workload.ts'
import { bytesText } from './quantity-text.ts'
import { pause, type Terminal } from './terminal.ts'

const WORKLOAD = fileURLToPath(new URL('demo/workload.ts', import.meta.url))
const DISK_BYTES = 256 * MIB
const LATENCY_MS = 2
const SHOW_MS = 1000
const TMPFS = 0x01021994
const PROGRAMS = ['mkfs.ext4', 'e2fsck', 'losetup', 'mount', 'umount', 'setsid']

export const demoCommand = defineCommand({
  name: 'demo',
  summary: 'Show it all on this machine: a slow disk, raw and accelerated, and a kill in the middle',
  positionals: [],
  schema: {
    duration: durationSetting({
      default: 20_000,
      min: 4_000,
      max: 600_000,
      help: 'How long the workload runs.',
      why: 'Long enough to see the kill in the middle and the drain at the end.',
    }),
    directory: pathSetting({
      default: null,
      defaultText: 'the directory for temporary files, /var/tmp where that is in memory',
      help: 'Where the cache and the state of the demo live, on a disk; removed at the end.',
      why: 'The cache should be on the disk that you mean to use.',
    }),
  },
  description: [
    'Makes two disks in memory that take 2 ms for every read, write, discard and flush, with 32 in flight. Serves one of them, puts ext4 on both, and lets an application write 4 KiB blocks and sync each of them, on both at once. In the middle the engine is killed with SIGKILL. After the stop, e2fsck and checksums prove from the slow disk alone that everything is there.',
    'Takes down all that it has set up, also after a failure or Ctrl-C. On kernels before 6.9, which cannot send requests again, a drained restart is shown instead of the kill.',
  ],
  exits: [
    [EXIT_OK, 'shown: no error was seen by the application and nothing is missing'],
    [EXIT_FAILED, 'something went wrong, and it says what'],
    [EXIT_REFUSED, 'no root, no FUSE or a program is missing'],
    [EXIT_INTERRUPTED, 'ended by Ctrl-C'],
  ],
  examples: [['forebay demo --duration 60s', 'Look on for longer:']],
  async run({ settings, terminal }) {
    const missing = missingHere()
    if (missing !== null) {
      terminal.err(`forebay demo: ${missing}\n`)
      return EXIT_REFUSED
    }
    const stage = new Stage(terminal)
    let status: number
    try {
      status = await play(stage, settings.duration, settings.directory ?? (await diskDirectory()))
    } catch (error) {
      status = complain(terminal, error)
    }
    const clean = await stage.takeDown()
    return clean ? status : Math.max(status, EXIT_FAILED)
  },
})

function complain(terminal: Terminal, error: unknown): number {
  if (error instanceof Interrupted) {
    terminal.err('forebay demo: interrupted; taking everything down\n')
    return EXIT_INTERRUPTED
  }
  const remedy = error instanceof CacheError && error.remedy !== undefined ? `\n${error.remedy}` : ''
  terminal.err(`forebay demo: ${error instanceof Error ? error.message : String(error)}${remedy}\n`)
  return EXIT_FAILED
}

function missingHere(): string | null {
  if (process.getuid?.() !== 0) return 'needs root, for loop devices and mounts; run it with sudo'
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse; load it with: modprobe fuse'
  const found = (program: string): boolean =>
    ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some((directory) => existsSync(path.join(directory, program)))
  const missing = PROGRAMS.filter((program) => !found(program))
  return missing.length === 0 ? null : `missing here: ${missing.join(', ')}; on Debian run: make setup`
}

async function diskDirectory(): Promise<string> {
  return (await statfs(tmpdir())).type === TMPFS ? '/var/tmp' : tmpdir()
}

/** One side of the comparison. */
interface Side {
  readonly mountPoint: string
  readonly results: WorkloadResult[]
}

async function play(stage: Stage, durationMs: number, parent: string): Promise<number> {
  const directory = await mkdtemp(path.join(parent, 'forebay-demo-'))
  stage.later(directory, () => rm(directory, { recursive: true, force: true }))
  stage.say(`Two disks of ${bytesText(DISK_BYTES)} that take ${LATENCY_MS} ms for everything, 32 in flight:`)
  const rawDisk = await slowDisk(stage)
  const disk = await slowDisk(stage)
  stage.say(`  ${rawDisk.device} stays raw\n  ${disk.device} gets Forebay in front of it:\n`)
  const volume = new DemoVolume(stage, {
    volume: `demo-${process.pid}`,
    backing: disk.device,
    cache: path.join(directory, 'cache'),
    stateDirectory: path.join(directory, 'state'),
  })
  stage.say(`  $ forebay ${volume.words.join(' ')}`)
  await volume.serve()
  stage.say(
    `  ready device=${volume.device}\n\nAn ext4 on each; four writers on each write 4 KiB and fdatasync, again and again.`,
  )
  for (const device of [rawDisk.device, volume.device]) await command('mkfs.ext4', '-q', device)
  const raw: Side = { mountPoint: await mount(stage, rawDisk.device, directory, 'raw'), results: [] }
  const fast: Side = { mountPoint: await mount(stage, volume.device, directory, 'forebay'), results: [] }
  const survives = volume.survivesKill
  if (survives) await race(stage, { raw, fast, volume, durationMs, kill: true })
  else {
    stage.say('This kernel cannot send requests again (before 6.9): a drained restart is shown instead of a kill.')
    await race(stage, { raw, fast, volume, durationMs: durationMs / 2, kill: false })
    await command('umount', fast.mountPoint)
    await volume.stop()
    await volume.serve()
    stage.say(`  stopped, drained, and served again device=${volume.device}`)
    await command('mount', volume.device, fast.mountPoint)
    await race(stage, { raw, fast, volume, durationMs: durationMs / 2, kill: false })
  }
  stage.say(
    `\nThe backing lacks ${bytesText(await volume.dirtyBytes())} now. Unmount, and:\n  $ forebay stop ${volume.name}`,
  )
  await command('umount', fast.mountPoint)
  await volume.stop()
  const proof = await proveBacking(stage, disk.device, fast)
  showTable(stage, { raw, fast, survives, proof })
  const errors = fast.results.reduce((sum, result) => sum + result.errors, 0)
  return proof.clean && proof.asWritten === proof.files && errors === 0 ? EXIT_OK : EXIT_FAILED
}

async function slowDisk(stage: Stage): Promise<SlowDisk> {
  const disk = await SlowDisk.create({ sizeBytes: DISK_BYTES, latencyMs: LATENCY_MS })
  stage.later(`slow disk ${disk.device}`, () => disk.destroy())
  stage.checkInterrupt()
  return disk
}

async function mount(stage: Stage, device: string, directory: string, name: string): Promise<string> {
  const mountPoint = path.join(directory, name)
  await mkdir(mountPoint)
  stage.later(`mount ${mountPoint}`, async () => {
    if ((await tryCommand('mountpoint', '-q', mountPoint)).status !== 0) return
    // Whoever still writes there has been ended; a file system whose device is dead leaves only in this way.
    if ((await tryCommand('umount', mountPoint)).status !== 0) await command('umount', '-l', mountPoint)
  })
  await command('mount', device, mountPoint)
  stage.checkInterrupt()
  return mountPoint
}

interface Race {
  readonly raw: Side
  readonly fast: Side
  readonly volume: DemoVolume
  readonly durationMs: number
  readonly kill: boolean
}

/** The same workload on both sides at once, with a line a second, and the kill half way. */
async function race(stage: Stage, { raw, fast, volume, durationMs, kill }: Race): Promise<void> {
  const start = ({ mountPoint, results }: Side): JsonProgram =>
    startProgram(stage, WORKLOAD, [mountPoint, String(durationMs), String(results.length + 1)])
  const [slow, quick] = [start(raw), start(fast)]
  const progress = { over: false }
  const ended = Promise.all([slow.ended, quick.ended]).then(() => (progress.over = true))
  const beganMs = performance.now()
  let killed = !kill
  stage.say('\n  seconds          raw writes      Forebay writes   errors')
  while (!progress.over) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    await Promise.race([pause(SHOW_MS, stage.terminal.interrupted), ended])
    const elapsedMs = performance.now() - beganMs
    stage.say(progressLine(elapsedMs, slow.latest, quick.latest))
    if (!killed && elapsedMs > durationMs / 2) {
      killed = true
      const pid = volume.enginePid
      process.kill(pid, 'SIGKILL')
      stage.say(`  $ kill -9 ${pid}     ← the engine; its holder starts another, the kernel sends requests again`)
    }
  }
  for (const [side, program] of [[raw, slow] as const, [fast, quick] as const]) {
    const result = program.latest as WorkloadResult | null
    if (result === null || !('files' in result)) {
      throw new CacheError('retry', 'CACHE_DEMO_WORKLOAD', 'the workload died', { remedy: 'See above.' })
    }
    side.results.push(result)
  }
}

function progressLine(elapsedMs: number, slow: unknown, quick: unknown): string {
  const [raw, fast] = [slow, quick] as [WorkloadReport | null, WorkloadReport | null]
  const seconds = (elapsedMs / 1000).toFixed(0).padStart(9)
  const counts = [raw, fast].map((side) => String(side?.operations ?? 0).padStart(20))
  return `${seconds}${counts.join('')}${String(fast?.errors ?? 0).padStart(9)}`
}

interface Proof {
  /** What e2fsck says. */
  readonly clean: boolean
  readonly files: number
  readonly asWritten: number
}

/** Looks at the slow disk without Forebay. */
async function proveBacking(stage: Stage, device: string, { mountPoint, results }: Side): Promise<Proof> {
  stage.say('\nForebay is gone. What the slow disk alone holds:')
  const check = await tryCommand('e2fsck', '-fn', device)
  const clean = check.status === 0
  stage.say(`  $ e2fsck -fn ${device}     ${clean ? 'clean' : `status ${check.status}\n${check.stdout}`}`)
  await command('mount', '-o', 'ro', device, mountPoint)
  const files = Object.entries(results.at(-1)?.files ?? {})
  let asWritten = 0
  for (const [name, expected] of files) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- four small files
    const content = await readFile(path.join(mountPoint, name))
    const found = createHash('sha256').update(content).digest('hex')
    if (found === expected) asWritten++
    stage.say(`  ${name}  sha256 ${found.slice(0, 16)}…  ${found === expected ? 'as written' : 'DIFFERS'}`)
  }
  await command('umount', mountPoint)
  return { clean, files: files.length, asWritten }
}

interface Outcome {
  readonly raw: Side
  readonly fast: Side
  readonly survives: boolean
  readonly proof: Proof
}

function showTable(stage: Stage, { raw, fast, survives, proof }: Outcome): void {
  const sum = (side: Side, of: (result: WorkloadResult) => number): number =>
    side.results.reduce((total, result) => total + of(result), 0)
  const worst = (side: Side, of: (result: WorkloadResult) => number): number => Math.max(...side.results.map(of))
  const rate = (side: Side): number => sum(side, (r) => r.operations) / (sum(side, (r) => r.elapsedMs) / 1000)
  const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`
  const rows: readonly (readonly [string, string, string])[] = [
    ['', 'raw', 'Forebay'],
    ['synced 4 KiB writes a second', rate(raw).toFixed(0), rate(fast).toFixed(0)],
    ['half of them within', ms(worst(raw, (r) => r.p50Ms)), ms(worst(fast, (r) => r.p50Ms))],
    ['99 % of them within', ms(worst(raw, (r) => r.p99Ms)), ms(worst(fast, (r) => r.p99Ms))],
    [
      `longest${survives ? ' (Forebay: the kill)' : ''}`,
      ms(worst(raw, (r) => r.longestMs)),
      ms(worst(fast, (r) => r.longestMs)),
    ],
    ['errors seen by the application', String(sum(raw, (r) => r.errors)), String(sum(fast, (r) => r.errors))],
    ['e2fsck of the slow disk alone', '', proof.clean ? 'clean' : 'NOT CLEAN'],
    ['its files as written', '', `${proof.asWritten} of ${proof.files}`],
  ]
  stage.say('')
  for (const [name, left, right] of rows) stage.say(`  ${name.padEnd(34)}${left.padStart(12)}${right.padStart(12)}`)
  stage.say(`\n  ${(rate(fast) / rate(raw)).toFixed(1)} times as many.`)
}
