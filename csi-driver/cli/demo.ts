// `forebay demo`: the product on three hosts in two minutes. The hosts are namespaces of this machine and share a slow
// disk. A database commits without Forebay, with it, and with a replica; the host that owns it dies, another one takes
// over; the host of the replica dies; at the end a proof, from the slow disk alone, that nothing acknowledged is
// missing. Everything is taken down again, also after a failure or Ctrl-C.
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, rmdir, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { CacheError } from '../../base/errors.ts'
import { durationSetting, pathSetting } from '../../base/setting-kinds.ts'
import { MIB, type Ms } from '../../base/units.ts'
import { defineCommand, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_REFUSED } from './command.ts'
import { Client } from './demo/client.ts'
import { DemoHost } from './demo/demo-host.ts'
import { issueCertificates, startPeer } from './demo/demo-volume.ts'
import { syncedWriteMs } from './demo/disk-speed.ts'
import { HostSwitch } from './demo/host-switch.ts'
import { isSuccess, milliseconds, resultLines } from './demo/results.ts'
import {
  type Cast,
  cleanStop,
  localWriteBack,
  ownerDies,
  replicaDies,
  slowDiskAlone,
  slowDiskAtEnd,
  takeOver,
} from './demo/scenes.ts'
import { SlowDisk } from './demo/slow-disk.ts'
import { command, Interrupted, Stage, tryCommand } from './demo/stage.ts'
import { DEVICE_DIRECTORY, RUNTIME_DIRECTORY } from '../holder/run-directory.ts'
import { bytesText } from './quantity-text.ts'
import type { Terminal } from './terminal.ts'

const DISK_BYTES = 256 * MIB
/** Of caches and stores together. */
const SPACE_BYTES = 1200 * MIB
const LATENCY_MS: Ms = 2
const TMPFS = 0x01021994
/** What is needed, and the Debian package that has it. */
const PROGRAMS: readonly (readonly [program: string, debianPackage: string])[] = [
  ['ip', 'iproute2'],
  ['openssl', 'openssl'],
  ['mkfs.ext4', 'e2fsprogs'],
  ['e2fsck', 'e2fsprogs'],
  ['mount', 'mount'],
  ['umount', 'mount'],
  ['losetup', 'mount'],
  ['unshare', 'util-linux'],
  ['nsenter', 'util-linux'],
  ['flock', 'util-linux'],
]

export const demoCommand = defineCommand({
  name: 'demo',
  summary: 'Show it all on this machine: three hosts, a slow disk, a database, and hosts that die',
  positionals: [],
  schema: {
    duration: durationSetting({
      default: 8_000,
      min: 1_000,
      max: 600_000,
      help: 'How long each measurement lasts; there are five.',
      why: 'Long enough for steady figures, short enough to look on.',
    }),
    directory: pathSetting({
      default: null,
      defaultText: 'the directory for temporary files, /var/tmp where that is in memory',
      help: 'Where caches and stores of the hosts live, on a disk; removed at the end.',
      why: 'The caches should be on the disk that you mean to use.',
    }),
  },
  description: [
    'Makes three hosts out of namespaces of this machine, each with its own network, mounts and processes, and one disk that takes 2 ms for every read, write and flush and that all of them reach. A SQLite database on ext4 commits one transfer after the other: on the slow disk alone, on Forebay, on Forebay with one replica. Then the host dies, another one takes over, and every acknowledged commit is looked for. The host of the replica dies under load, and the third host takes its place. After a clean stop, e2fsck and checksums prove from the slow disk alone that everything is there.',
    'Takes down all that it has set up, also after a failure or Ctrl-C.',
  ],
  exits: [
    [EXIT_OK, 'shown: nothing acknowledged is missing'],
    [EXIT_FAILED, 'something went wrong or was lost, and it says what'],
    [EXIT_REFUSED, 'no root, no FUSE, no room, or a program is missing'],
    [EXIT_INTERRUPTED, 'ended by Ctrl-C'],
  ],
  examples: [['forebay demo --duration 20s', 'Look on for longer:']],
  async run({ settings, terminal }) {
    const parent = settings.directory ?? (await diskDirectory())
    const missing = await missingHere(parent)
    if (missing !== null) {
      terminal.err(`forebay demo: ${missing}\n`)
      return EXIT_REFUSED
    }
    const stage = new Stage(terminal)
    let status: number
    try {
      status = await play(stage, settings.duration, parent)
    } catch (error) {
      status = complain(terminal, stage, error)
    }
    const clean = await stage.takeDown()
    return clean ? status : Math.max(status, EXIT_FAILED)
  },
})

function complain(terminal: Terminal, stage: Stage, error: unknown): number {
  if (error instanceof Interrupted) {
    terminal.err('forebay demo: interrupted; taking everything down\n')
    return EXIT_INTERRUPTED
  }
  stage.showLogs()
  const remedy = error instanceof CacheError && error.remedy !== undefined ? `\n${error.remedy}` : ''
  terminal.err(`forebay demo: ${error instanceof Error ? error.message : String(error)}${remedy}\n`)
  return EXIT_FAILED
}

async function missingHere(parent: string): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'needs root, for namespaces, loop devices and mounts; run it with sudo'
  if (!existsSync('/dev/fuse')) return 'there is no /dev/fuse; load it with: modprobe fuse'
  const directories = (process.env['PATH'] ?? '').split(':')
  const isThere = (program: string): boolean =>
    directories.some((directory) => existsSync(path.join(directory, program)))
  const missing = PROGRAMS.filter(([program]) => !isThere(program))
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(([, debianPackage]) => debianPackage))].join(' ')
    return `missing here: ${missing.map(([program]) => program).join(', ')}; on Debian: apt-get install ${packages}`
  }
  const { bavail, bsize } = await statfs(parent)
  if (bavail * bsize >= SPACE_BYTES) return null
  const needed = `${bytesText(SPACE_BYTES)} of free space in ${parent}, which has ${bytesText(bavail * bsize)}`
  return `needs ${needed}; name another place with --directory`
}

async function diskDirectory(): Promise<string> {
  return (await statfs(tmpdir())).type === TMPFS ? '/var/tmp' : tmpdir()
}

async function play(stage: Stage, durationMs: Ms, parent: string): Promise<number> {
  const directory = await mkdtemp(path.join(parent, 'forebay-demo-'))
  stage.later(directory, () => rm(directory, { recursive: true, force: true }))
  await mkdir(path.join(directory, 'register'))
  stage.say('Forebay on three hosts. Each is a set of namespaces of this machine: network, mounts, processes, name.\n')
  removeMountPoints(stage)
  const disk = await SlowDisk.create({ sizeBytes: DISK_BYTES, latencyMs: LATENCY_MS })
  stage.later(`slow disk ${disk.device}`, () => disk.destroy())
  const hosts = await setUpHosts(stage, directory)
  const [first, second, third] = hosts
  for (const { name, address } of hosts) stage.say(`   ${name}  ${address}`)
  const nature = `${bytesText(DISK_BYTES)}, ${LATENCY_MS} ms for everything, 32 in flight`
  stage.say(`   ${disk.device}  the disk that all reach: ${nature}`)
  const ownMs = await syncedWriteMs(directory)
  stage.say(`   ${parent}  the disk of their caches: a synced write takes ${milliseconds(ownMs)} here and now`)
  if (ownMs >= LATENCY_MS)
    stage.say('   (no faster than the slow disk: little can be gained; name another one with --directory)')
  const client = new Client(stage)
  const cast: Cast = { stage, client, directory, backing: disk.device, durationMs }
  const slowDisk = await slowDiskAlone(cast, first)
  const local = await localWriteBack(cast, first)
  stage.say('\n   Replicas need certificates, and a process on each host that may hold one.\n')
  await issueCertificates(stage, directory, hosts)
  for (const host of hosts) await startPeer(stage, host)
  const { rate: replicated, diedAtMs } = await ownerDies(cast, first, [second, third])
  const taken = await takeOver(cast, second, [third, first], diedAtMs)
  stage.say(`\n   ${first.name} gets power again, for copies of others.`)
  await first.powerOn()
  await startPeer(stage, first)
  const peerLoss = await replicaDies(cast, taken, hosts, replicated.perSecond)
  await cleanStop(cast, taken, hosts)
  const end = await slowDiskAtEnd(cast, await mountPointOf(stage, directory))
  const results = { slowDisk, local, replicated, takeover: taken.results, peerLoss, end }
  stage.say('\nMeasured in this run\n')
  for (const line of resultLines(results)) stage.say(line)
  return isSuccess(results) ? EXIT_OK : EXIT_FAILED
}

async function setUpHosts(stage: Stage, directory: string): Promise<readonly [DemoHost, DemoHost, DemoHost]> {
  const network = await HostSwitch.create(stage)
  const make = (letter: string, number: number): DemoHost =>
    new DemoHost(stage, network, { name: `host-${letter}`, address: `10.0.0.${number}`, directory })
  const hosts = [make('a', 1), make('b', 2), make('c', 3)] as const
  for (const host of hosts) await host.powerOn()
  return hosts
}

/** What the hosts mount over is on this machine; it stays where it was there before. */
function removeMountPoints(stage: Stage): void {
  for (const directory of [RUNTIME_DIRECTORY, DEVICE_DIRECTORY]) {
    if (!existsSync(directory)) stage.later(directory, () => rmdir(directory).catch(() => undefined))
  }
}

async function mountPointOf(stage: Stage, directory: string): Promise<string> {
  const mountPoint = path.join(directory, 'disk')
  await mkdir(mountPoint)
  stage.later(`mount ${mountPoint}`, async () => {
    if ((await tryCommand('mountpoint', '-q', mountPoint)).status === 0) await command('umount', mountPoint)
  })
  return mountPoint
}
