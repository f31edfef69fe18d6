// Which volumes there are and how they are: those that answer on a control socket, and those that only have a register.
import { readdir } from 'node:fs/promises'
import { listVolumes, type ListedVolume } from '../register/file-register.ts'
import { registerPathsOf } from '../register/register-paths.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { systemFiles } from '../io/real/small-files.ts'
import { VOLUME_NAME_PATTERN } from '../config.ts'
import { lockIsHeld } from './held-locks.ts'
import { volumeLockFile } from '../holder/run-directory.ts'
import { decodeLastStatus, type LastStatus } from '../observe/last-status.ts'
import { controlSocketPath, lastStatusPath, stateRunDirectory } from '../observe/state-paths.ts'
import { HEALTHY, type VolumeState, type VolumeStatus } from '../observe/status.ts'
import type { RegisterRecord } from '../register/record.ts'
import { ControlClient } from './control-client.ts'
import { readStatus } from './volume-call.ts'

const SOCKET_SUFFIX = '.sock'

/** Every volume of the state directory, by name. Throws CacheError when the registers cannot be read. */
export async function gatherVolumes(stateDirectory: string): Promise<VolumeStatus[]> {
  const running = await runningVolumes(stateDirectory)
  const names = new Set(running.map(({ volume }) => volume))
  const listed = await listVolumes(new RealProcesses(), registerPathsOf(stateDirectory))
  const others = await Promise.all(
    listed.filter(({ volume }) => !names.has(volume)).map((one) => describeStopped(stateDirectory, one)),
  )
  return [...running, ...others].toSorted((a, b) => (a.volume < b.volume ? -1 : 1))
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
  const text = await systemFiles.read(lastStatusPath(stateDirectory, listed.volume)).catch(() => null)
  const last = text === null ? null : decodeLastStatus(text)
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
    const reason = `register is damaged: ${listed.problems.join('; ')}`
    const unknown = { phase: 'unknown', epoch: 0, inSync: [], dirtyBytes: 0, oldestDirtySeconds: 0, volumeBytes: 0 }
    return { ...asked, ...unknown, state: held ? 'restarting' : 'unreadable', backing: last?.backing ?? '', reason }
  }
  const { record } = listed
  return {
    ...asked,
    ...atStake(record, facts),
    state: stateOf(record, held),
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
  if (!record.dirty || last === null) return { dirtyBytes: 0, oldestDirtySeconds: 0, reason: null }
  const oldest = last.oldestDirtyWallMs ?? nowWallMs
  return {
    dirtyBytes: last.dirtyBytes,
    oldestDirtySeconds: Math.max(0, (nowWallMs - oldest) / 1000),
    reason: last.reason,
  }
}

function stateOf(record: RegisterRecord, held: boolean): VolumeState {
  if (held) return 'restarting'
  return record.dirty ? 'stopped-dirty' : 'stopped'
}
