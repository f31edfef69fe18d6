// Forebay as an NBD server beside nbdkit and qemu-nbd, which cache too: all before a 2 ms disk of their own, loaded by the
// same client over a unix socket, in turns. Theirs hold what is cached in the page cache, so that ours stands there with
// a cache in memory; where a flush follows every write all owe the same, and ours is the one on flash.
import path from 'node:path'
import { ForebayVolume } from './forebay-volume.ts'
import { NbdServer, type NbdServerCommand, nbdkitCommand, type NbdServerPlan, qemuNbdCommand } from './nbd-servers.ts'
import { type PartResult, ratiosOf, rowsOf } from './report.ts'
import { MIB, SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'
import { runProgram } from './fio.ts'
import { type Subject, slowDisk, type SubjectName } from './subjects.ts'
import { NBD_RULES } from './targets.ts'
import { type Contestant, takeTurns, type Turn } from './turns.ts'

const DATA_BYTES = SCALE.dataMiB * MIB
const EVERYONE: readonly SubjectName[] = ['nbdMemory', 'nbdFlash', 'nbdkit', 'qemuNbd']

/**
 * Flushed writes come first: a flush owes everything that is dirty, and nothing is. What others have dirty at the end
 * goes with their servers, which begin each round anew.
 */
const TURNS: readonly Turn[] = [
  { workload: 'flushedWrite32', subjects: EVERYONE },
  { workload: 'read32', subjects: EVERYONE },
  { workload: 'read1', subjects: EVERYONE, tableOnly: true },
  { workload: 'sequentialRead', subjects: EVERYONE, tableOnly: true },
  { workload: 'mix1', subjects: EVERYONE, tableOnly: true },
  { workload: 'mix32', subjects: EVERYONE, tableOnly: true },
  { workload: 'write1', subjects: EVERYONE, tableOnly: true },
  { workload: 'write32', subjects: EVERYONE },
  { workload: 'sequentialWrite', subjects: EVERYONE, tableOnly: true },
]

interface Places {
  readonly disk: string
  readonly memory: string
}

async function startVolume(
  scaffold: Scaffold,
  { disk, memory }: Places,
  resource: 'flash' | 'memory',
): Promise<Contestant> {
  const isFlash = resource === 'flash'
  const name = isFlash ? 'nbdFlash' : 'nbdMemory'
  const volume = new ForebayVolume(scaffold, {
    name,
    backing: (await slowDisk(scaffold, DATA_BYTES)).device,
    cache: path.join(isFlash ? disk : memory, `${name}-cache`),
    cacheMiB: SCALE.memoryCacheMiB,
    resource,
    stateDirectory: path.join(disk, 'state'),
    nbdSocket: path.join(disk, `${name}.sock`),
  })
  await volume.serve()
  await volume.know()
  await volume.fill(DATA_BYTES)
  const subject: Subject = {
    name,
    title: `Forebay NBD, ${resource}`,
    target: volume.device,
    serverPid: () => volume.enginePid,
    busyPollMicros: 0,
    acknowledgesEarly: isFlash ? 'no' : 'yes',
  }
  return {
    ...{ subject, dataBytes: DATA_BYTES, volume, prepare: () => volume.warm(DATA_BYTES) },
    misses: async () => (await volume.status()).readMisses,
  }
}

interface Other extends Pick<Subject, 'title'> {
  readonly name: 'nbdkit' | 'qemuNbd'
  readonly commandOf: (plan: NbdServerPlan) => NbdServerCommand
}

const OTHERS: readonly Other[] = [
  { name: 'nbdkit', title: 'nbdkit, cache filter', commandOf: nbdkitCommand },
  { name: 'qemuNbd', title: 'qemu-nbd, write-back cache', commandOf: qemuNbdCommand },
]

async function startOther(scaffold: Scaffold, { disk }: Places, other: Other): Promise<Contestant> {
  const { name, title, commandOf } = other
  const { device: backing } = await slowDisk(scaffold, DATA_BYTES)
  const socket = path.join(disk, `${name}.sock`)
  const server = new NbdServer(scaffold, socket, commandOf({ socket, backing, cacheDirectory: disk }))
  // The page cache writes on for a while: that of the disk with the cache file, and that of the device.
  const settle = async (): Promise<void> => {
    await runProgram('sync', ['--file-system', disk], scaffold.signal)
    await runProgram('sync', [backing], scaffold.signal)
  }
  const prepare = async (): Promise<void> => {
    await server.start()
    await readAll(scaffold, server.uri)
    await settle()
  }
  const subject: Subject = {
    ...{ name, title, target: server.uri, serverPid: () => server.pid, busyPollMicros: 0 },
    acknowledgesEarly: 'until a flush',
  }
  return { subject, dataBytes: DATA_BYTES, prepare, settle }
}

/** Once and in order, so that their caches hold it, as far as the page cache keeps it. */
async function readAll(scaffold: Scaffold, uri: string): Promise<void> {
  await runProgram('nbdcopy', ['--connections=1', uri, 'null:'], scaffold.signal)
}

export async function measureNbd(scaffold: Scaffold): Promise<PartResult> {
  const places = { disk: await scaffold.diskDirectory(), memory: await scaffold.memoryDirectory() }
  const contestants: Contestant[] = []
  for (const resource of ['memory', 'flash'] as const) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    contestants.push(await startVolume(scaffold, places, resource))
  }
  for (const other of OTHERS) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    contestants.push(await startOther(scaffold, places, other))
  }
  const samples = await takeTurns(scaffold, contestants, TURNS)
  return { ...ratiosOf(samples, NBD_RULES), rows: rowsOf(samples) }
}
