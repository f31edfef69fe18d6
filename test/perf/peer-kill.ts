// A peer dies under load: how long the writer pauses, and what its writes take before and afterwards. Another peer stands
// by, so that the volume gets a copy again. A peer that is killed is heard of at once, since the kernel closes its
// connections; one that is only stopped is silent, like a host without power.
import { copyFile, readFile } from 'node:fs/promises'
import path from 'node:path'
import { Copies, type Peer } from './copies.ts'
import { runFio } from './fio.ts'
import { ForebayVolume } from './forebay-volume.ts'
import { parseLatencyLog, type Pause, pauseAt } from './pauses.ts'
import { Patience } from './quiet.ts'
import { figuresOf, type PartResult, spreadOf, type Spread } from './report.ts'
import { MIB, SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'

const OWNER = 'owner'
const PEERS = ['first', 'second'] as const
const QUEUE_DEPTH = 8
/** Left out at the beginning of each run. */
const WARM_UP_MS = 1000
const BEFORE_MS = SCALE.isQuick ? 2500 : 5000
const AFTER_MS = SCALE.isQuick ? 5000 : 10_000
const DATA_BYTES = 64 * MIB
const CACHE_MIB = 512
const STORE_MIB = 1024

type Death = 'killed' | 'silent'

interface Stage {
  readonly directory: string
  readonly volume: ForebayVolume
  readonly peers: Map<string, Peer>
}

async function setUp(scaffold: Scaffold): Promise<Stage> {
  const disk = await scaffold.diskDirectory()
  const memory = await scaffold.memoryDirectory()
  const copies = await Copies.make(scaffold, disk, [OWNER, ...PEERS])
  const peers = new Map<string, Peer>()
  for (const node of PEERS) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    peers.set(node, await copies.startPeer({ node, directory: disk, resource: 'flash', sizeMiB: STORE_MIB }))
  }
  const backing = path.join(memory, 'backing')
  await copyFile(await scaffold.writtenFile(path.join(memory, 'image'), DATA_BYTES), backing)
  const volume = new ForebayVolume(scaffold, {
    ...{ name: 'peer-kill', backing, cache: path.join(disk, 'cache'), cacheMiB: CACHE_MIB, resource: 'flash' },
    stateDirectory: copies.stateDirectory(OWNER),
    flags: copies.volumeFlags(OWNER, [...peers.values()]),
  })
  await volume.serve()
  await volume.know()
  return { directory: memory, volume, peers }
}

/** Writes without end, and in the middle of it the peer that holds the copy dies. */
async function measureDeath(scaffold: Scaffold, { directory, volume, peers }: Stage, death: Death): Promise<Pause> {
  await volume.untilWriteBack(1)
  const node = (await volume.status()).inSync.map((member) => member.node).find((name) => name !== OWNER) ?? ''
  const peer = peers.get(node)
  if (peer === undefined) throw new Error(`no peer is called ${node}`)
  const log = path.join(directory, 'writes')
  const seconds = (WARM_UP_MS + BEFORE_MS + AFTER_MS) / 1000
  const target = volume.device
  const job = { target, direction: 'write', queueDepth: QUEUE_DEPTH, engine: 'libaio', dataBytes: DATA_BYTES } as const
  const logging = [`--write_lat_log=${log}`, '--per_job_logs=0', '--log_unix_epoch=1']
  const begunMs = Date.now()
  const writer = runFio({ ...job, seconds }, scaffold.signal, logging)
  writer.catch(() => undefined)
  await scaffold.pause(WARM_UP_MS + BEFORE_MS)
  const momentMs = Date.now()
  peer.process.signal(death === 'killed' ? 'SIGKILL' : 'SIGSTOP')
  await writer
  peer.process.signal('SIGKILL')
  await peer.process.ended
  peers.set(node, await peer.again())
  return pauseAt(parseLatencyLog(await readFile(`${log}_lat.log`, 'utf8')), begunMs + WARM_UP_MS, momentMs)
}

interface Found extends Pause {
  readonly death: Death
  readonly round: number
}

export async function measurePeerKill(scaffold: Scaffold): Promise<PartResult> {
  const stage = await setUp(scaffold)
  const patience = new Patience(SCALE.patienceSeconds * 1000)
  const deaths: readonly Death[] = SCALE.isQuick ? ['killed'] : ['killed', 'silent']
  const found: Found[] = []
  for (let round = 1; round <= SCALE.rounds; round++) {
    for (const death of deaths) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const { sample } = await patience.measureInQuiet(() => measureDeath(scaffold, stage, death))
      found.push({ death, round, ...sample })
    }
  }
  const of = (death: Death, figure: (one: Pause) => number): Spread =>
    spreadOf(found.filter((one) => one.death === death).map(figure))
  const pause = ({ pauseSeconds }: Pause): number => pauseSeconds
  const change = ({ p999AfterMicros, p999BeforeMicros }: Pause): number => p999AfterMicros / p999BeforeMicros
  const keys = {
    peerKillPauseSeconds: of('killed', pause),
    peerKillP999Outside: of('killed', change),
    ...(SCALE.isQuick ? {} : { peerSilentPauseSeconds: of('silent', pause) }),
  }
  return { ...figuresOf(keys), tables: [tableOf(found)] }
}

function tableOf(found: readonly Found[]): NonNullable<PartResult['tables']>[number] {
  return {
    title: `Death of the peer that holds the copy, 4 KiB random writes QD${QUEUE_DEPTH}`,
    columns: ['the peer is', 'pause s', 'longest write s', 'p99.9 µs before', 'after', 'IOPS before', 'after'],
    lines: found.map((one) => [
      ...[one.death, one.pauseSeconds, one.longestWriteSeconds, one.p999BeforeMicros, one.p999AfterMicros],
      ...[one.iopsBefore, one.iopsAfter],
    ]),
  }
}
