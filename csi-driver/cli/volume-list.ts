// Which volumes there are and how they are: those that answer on a control socket, and those that only have a register:
// in the state directory, or in a directory that hosts share, which the last status of each names.
import { readdir } from 'node:fs/promises'
import { listVolumes, type ListedVolume } from '../register/file-register.ts'
import { registerPathsIn, registerPathsOf, type RegisterPaths } from '../register/register-paths.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { systemFiles } from '../io/real/small-files.ts'
import { VOLUME_NAME_PATTERN } from '../config.ts'
import { lockIsHeld } from './held-locks.ts'
import { volumeLockFile } from '../holder/run-directory.ts'
import { decodeLastStatus, type LastStatus } from '../observe/last-status.ts'
import { controlSocketPath, LAST_STATUS_SUFFIX, lastStatusPath, stateRunDirectory } from '../observe/state-paths.ts'
import { HEALTHY, type VolumeState, type VolumeStatus } from '../observe/status.ts'
import type { RegisterRecord } from '../register/record.ts'
import { ControlClient } from './control-client.ts'
import { readStatus } from './volume-call.ts'

const SOCKET_SUFFIX = '.sock'

/** Every volume of the state directory, by name. Throws CacheError when the registers cannot be read. */
export async function gatherVolumes(stateDirectory: string): Promise<VolumeStatus[]> {
  const running = await runningVolumes(stateDirectory)
  const names = new Set(running.map(({ volume }) => volume))
  const others = (await listedVolumes(stateDirectory)).filter(({ volume }) => !names.has(volume))
  const stopped = await Promise.all(others.map((one) => describeStopped(stateDirectory, one)))
  return [...running, ...stopped].toSorted((a, b) => (a.volume < b.volume ? -1 : 1))
}

/** Of a shared directory only those that were served here. One that cannot be read hides no other volume. */
async function listedVolumes(stateDirectory: string): Promise<ListedVolume[]> {
  const own = registerPathsOf(stateDirectory)
  const elsewhere = new Map<string, Set<string>>()
  for (const { volume, last } of await lastStatuses(stateDirectory)) {
    const directory = last?.register ?? own.directory
    if (directory !== own.directory) elsewhere.set(directory, (elsewhere.get(directory) ?? new Set()).add(volume))
  }
  const shared = [...elsewhere].map(([directory, volumes]) => listedIn(directory, [...volumes]))
  return (await Promise.all([listVolumes(new RealProcesses(), own), ...shared])).flat()
}

async function listedIn(directory: string, volumes: readonly string[]): Promise<ListedVolume[]> {
  try {
    const found = await listVolumes(new RealProcesses(), registerPathsIn(directory))
    const problems = [`there is none in ${directory}; is it mounted?`]
    return volumes.map((name) => found.find(({ volume }) => volume === name) ?? { volume: name, problems })
  } catch (error) {
    const problems = [error instanceof Error ? error.message : String(error)]
    return volumes.map((volume) => ({ volume, problems }))
  }
}

async function lastStatuses(stateDirectory: string): Promise<{ volume: string; last: LastStatus | null }[]> {
  const files = await readdir(stateRunDirectory(stateDirectory)).catch(() => [])
  const names = files
    .filter((name) => name.endsWith(LAST_STATUS_SUFFIX))
    .map((name) => name.slice(0, -LAST_STATUS_SUFFIX.length))
  return Promise.all(names.map(async (volume) => ({ volume, last: await readLastStatus(stateDirectory, volume) })))
}

/** Where the register of a volume is, as far as this host knows. */
export async function registerPathsOfVolume(stateDirectory: string, volume: string): Promise<RegisterPaths> {
  const last = await readLastStatus(stateDirectory, volume)
  return last?.register ? registerPathsIn(last.register) : registerPathsOf(stateDirectory)
}

async function readLastStatus(stateDirectory: string, volume: string): Promise<LastStatus | null> {
  const text = await systemFiles.read(lastStatusPath(stateDirectory, volume)).catch(() => null)
  return text === null ? null : decodeLastStatus(text)
}

async function runningVolumes(stateDirectory: string): Promise<VolumeStatus[]> {
  const files = await readdir(stateRunDirectory(stateDirectory)).catch(() => [])
  const names = files
    .filter((name) => name.endsWith(SOCKET_SUFFIX))
    .map((name) => name.slice(0, -SOCKET_SUFFIX.length))
    .filter((name) => VOLUME_NAME_PATTERN.test(name))
  const found = await Promise.all(names.map((name) => askVolume(stateDirectory, name)))
  return found.filter((status) => status !== null)
}

/** Null when no engine answers. */
async function askVolume(stateDirectory: string, volume: string): Promise<VolumeStatus | null> {
  const client = await ControlClient.connect(controlSocketPath(stateDirectory, volume))
  if (client === null) return null
  try {
    return await readStatus(client)
  } catch {
    // It went while it was asked: then the register describes it.
    return null
  } finally {
    client.close()
  }
}

async function describeStopped(stateDirectory: string, listed: ListedVolume): Promise<VolumeStatus> {
  const last = await readLastStatus(stateDirectory, listed.volume)
  const held = await lockIsHeld(volumeLockFile(listed.volume))
  return stoppedStatus(listed, { last, held, nowWallMs: Date.now() })
}

export interface StoppedFacts {
  readonly last: LastStatus | null
  /** A holder lives, so an engine is on its way. */
  readonly held: boolean
  readonly nowWallMs: number
}

/** What only an engine knows. */
const NO_ENGINE = {
  device: null,
  connections: null,
  peers: null,
  run: 0,
  dirtyLimitBytes: 0,
  holderPid: null,
  enginePid: null,
  readHits: 0,
  readMisses: 0,
  previousCache: null,
  cacheBytes: 0,
  cachedBytes: 0,
  logBytes: 0,
  logUsedBytes: 0,
  sectorBytes: 0,
  backingHealth: HEALTHY,
  cacheHealth: HEALTHY,
  openBy: [],
  version: '',
} as const satisfies Partial<VolumeStatus>

/** What is known of a volume whose engine does not answer. Pure. */
export function stoppedStatus(listed: ListedVolume, facts: StoppedFacts): VolumeStatus {
  const { last, held } = facts
  const writePolicy = last?.writePolicy === 'write-through' ? 'write-through' : 'write-back'
  const asked = {
    ...NO_ENGINE,
    volume: listed.volume,
    cache: last?.cache ?? '',
    writePolicy,
    effectiveWritePolicy: writePolicy,
  } as const
  if (!('record' in listed)) {
    const reason = `register cannot be read: ${listed.problems.join('; ')}`
    const unknown = { phase: 'unknown', epoch: 0, inSync: [], dirtyBytes: 0, oldestDirtySeconds: 0, volumeBytes: 0 }
    return { ...asked, ...unknown, state: held ? 'restarting' : 'unreadable', backing: last?.backing ?? '', reason }
  }
  const { record } = listed
  return {
    ...asked,
    ...atStake(record, facts),
    state: stateOf(record, facts),
    backing: last?.backing ?? record.backing.id,
    phase: record.phase,
    epoch: record.epoch,
    inSync: record.members.map(({ node, storeUuid }) => ({ node, storeUuid })),
    volumeBytes: record.backing.sizeBytes,
  }
}

/** What was dirty when the engine was last heard of: at most some seconds older than the truth. */
function atStake(
  record: RegisterRecord,
  { last, nowWallMs }: StoppedFacts,
): Pick<VolumeStatus, 'dirtyBytes' | 'oldestDirtySeconds' | 'reason'> {
  if (isElsewhere(record, last)) {
    return { dirtyBytes: 0, oldestDirtySeconds: 0, reason: `owned by node=${record.owner} now` }
  }
  if (!record.dirty || last === null) return { dirtyBytes: 0, oldestDirtySeconds: 0, reason: null }
  const oldest = last.oldestDirtyWallMs ?? nowWallMs
  return {
    dirtyBytes: last.dirtyBytes,
    oldestDirtySeconds: Math.max(0, (nowWallMs - oldest) / 1000),
    reason: last.reason,
  }
}

/** Another host has taken the volume over, or it was moved there: nothing of it is at stake here. */
function isElsewhere({ owner }: RegisterRecord, last: LastStatus | null): boolean {
  return last !== null && last.node !== null && owner !== last.node
}

function stateOf(record: RegisterRecord, { held, last }: StoppedFacts): VolumeState {
  if (held) return 'restarting'
  return record.dirty && !isElsewhere(record, last) ? 'stopped-dirty' : 'stopped'
}
