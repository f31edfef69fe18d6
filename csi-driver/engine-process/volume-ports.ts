// Joins the ports of the engine to this machine: cache, backing, register, clock. The only other place that does so is
// the simulator.
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { CacheError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import { createPrng } from '../../base/prng.ts'
import type { Ms } from '../../base/units.ts'
import type { ServePlan } from '../cli/serve-settings.ts'
import type {
  Doubt,
  Doubts,
  ReplicationSettings,
  VolumePorts,
  VolumeSettings,
  WriteCacheSwitch,
} from '../engine/volume-settings.ts'
import { CommandFence } from '../fencing/command-fence.ts'
import type { Fence } from '../fencing/fence.ts'
import { noFence } from '../fencing/no-fence.ts'
import { toldFence } from '../fencing/told-fence.ts'
import { RUN_DOUBT_PREFIX } from '../holder/run-directory.ts'
import { MACHINE_ID_FILE, readHostId } from '../io/real/host-id.ts'
import { SystemAlignedMemory } from '../io/real/aligned-memory.ts'
import { openCacheStorage } from '../io/real/cache-file.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { FileStorage } from '../io/real/file-storage.ts'
import { openBacking } from '../io/real/open-backing.ts'
import { openDescriptor } from '../io/real/open-descriptor.ts'
import { systemFiles } from '../io/real/small-files.ts'
import { systemClock, systemTimers } from '../io/real/system-clock.ts'
import type { TlsNetwork } from '../io/real/tls-network.ts'
import { ownStoreAddress } from '../cli/peer-list.ts'
import { decodeLastStatus } from '../observe/last-status.ts'
import { lastStatusPath } from '../observe/state-paths.ts'
import { FileRegister } from '../register/file-register.ts'
import type { NamedHost } from '../register/node-name.ts'
import { registerPathsIn } from '../register/register-paths.ts'

const TLS_AGAIN_MS: Ms = 500
/**
 * The engine after another one waits so long for the backing: a child of its predecessor may work on it in a call that
 * the backing does not end. To give up would take the device away from its users.
 */
const CLAIM_WAIT_RESTART_MS: Ms = 24 * 3_600_000

export interface OpenedPorts {
  readonly ports: VolumePorts
  readonly settings: VolumeSettings
  readonly memory: SystemAlignedMemory
  readonly processes: RealProcesses
  /** Undoes what opening made: a cache file that did not exist before. */
  readonly undo: () => Promise<void>
}

export interface PortsOptions {
  readonly plan: ServePlan
  readonly start: 'first' | 'restart'
  readonly session: bigint
  readonly log: EventLog
  readonly writeCache: WriteCacheSwitch
  readonly onCacheProgress: (doneBytes: number, totalBytes: number) => void
}

/** Opens the devices. Throws CacheError `invalid` and leaves nothing behind. */
export async function openPorts(options: PortsOptions): Promise<OpenedPorts> {
  const { plan, log } = options
  const { settings } = plan
  const memory = new SystemAlignedMemory()
  const processes = new RealProcesses()
  const waiting = options.start === 'restart' ? { claimWaitMs: CLAIM_WAIT_RESTART_MS } : {}
  const backing = await openBacking({ path: settings.backing, processes, ...waiting })
  const cache = await openCacheStorage({
    path: settings.cache,
    resource: settings.resource,
    ...(options.start === 'first' ? { sizeBytes: plan.cacheBytes } : {}),
    clock: systemClock,
    timers: systemTimers,
    memory,
    processes,
    onProgress: options.onCacheProgress,
  })
  const undo = async (): Promise<void> => {
    if (cache.created) await rm(settings.cache, { force: true })
  }
  if (cache.sparse) log.event('cache.sparse', { path: settings.cache }, 'warning')
  const random = {
    fill: (buffer: Buffer) => {
      randomBytes(buffer.length).copy(buffer)
    },
  }
  const paths = registerPathsIn(plan.registerDirectory)
  const register = new FileRegister({ processes, paths, volume: plan.volume, host: await namedHost(options) })
  const cacheFill = settings.resource === 'memory' ? cache.storage : await openFillStorage(settings.cache, memory)
  const ports: VolumePorts = {
    clock: systemClock,
    timers: systemTimers,
    memory,
    random,
    prng: createPrng(randomBytes(8).readBigUInt64LE()),
    log,
    cache: cache.storage,
    cacheFill,
    backing: backing.device,
    register,
    writeCache: options.writeCache,
    doubts: await loadDoubts(plan.runDirectory),
    network: await openNetwork(options),
    fence: fenceOf(plan, processes, log),
  }
  const atStake = await lastKnown(plan)
  const volumeSettings: VolumeSettings = {
    volume: plan.volume,
    node: plan.node,
    resource: settings.resource,
    writePolicy: settings.writePolicy,
    cacheBytes: Math.min(plan.cacheBytes, cache.storage.sizeBytes),
    logBytes: plan.split.logBytes,
    dirtyLimitBytes: plan.split.dirtyLimitBytes,
    dirtyAgeMs: settings.dirtyAge,
    sectorBytes: plan.sectorBytes,
    backingIdentity: backing.identity,
    session: options.session,
    start: options.start,
    cachePath: settings.cache,
    backingPath: settings.backing,
    ...(atStake === null ? {} : { atStake }),
    formatCache: settings.formatCache,
    acceptDataLoss: settings.acceptDataLoss,
    takeover: plan.fence.kind !== 'none',
    replication: await replicationOf(plan),
    backingChanged: settings.backingChanged === 'refuse' ? 'none' : settings.backingChanged,
  }
  return { ports, settings: volumeSettings, memory, processes, undo }
}

/** Who serves for the first time shows that its name is its own, where other hosts share the register. */
async function namedHost({ plan: { settings, node }, start, log }: PortsOptions): Promise<NamedHost | null> {
  if (start !== 'first' || settings.register === null) return null
  const hostId = await readHostId(systemFiles)
  if (hostId === null) log.event('serve.host_without_identity', { file: MACHINE_ID_FILE }, 'warning')
  return hostId === null ? null : { node, hostId }
}

/**
 * The engine after another one waits for files that can be used, however long: they are exchanged one by one, and refused
 * it would take the device away from its users. What is wrong is said once.
 */
async function openNetwork({ plan, start, log }: PortsOptions): Promise<TlsNetwork | null> {
  const { tlsDir } = plan.settings
  if (tlsDir === null) return null
  // Only here: TLS is 6 MiB of resident memory that a volume without copies has no use for.
  const network = await import('../io/real/tls-network.ts')
  for (let said = ''; ; ) {
    try {
      return new network.TlsNetwork({ tlsDir, clock: systemClock, log })
    } catch (error) {
      if (start === 'first' || !(error instanceof CacheError)) throw error
      if (error.code !== said) log.event('serve.certificates_awaited', { reason: error.message }, 'error')
      said = error.code
    }
    // oxlint-disable-next-line eslint/no-await-in-loop -- looks again soon
    await pause(TLS_AGAIN_MS)
  }
}

function fenceOf({ fence }: ServePlan, processes: RealProcesses, log: EventLog): Fence {
  if (fence.kind === 'told') return toldFence
  return fence.kind === 'command' ? new CommandFence(processes, fence.command, log) : noFence
}

/** Null where no peers were named: the volume is this host's alone. */
async function replicationOf({ settings, node, stateDirectory }: ServePlan): Promise<ReplicationSettings | null> {
  const { peer, replicas, domain, register, compression } = settings
  if (peer.length === 0 && register === null) return null
  const peers = peer.map(({ address, ...rest }) => ({ ...rest, address: { kind: 'tcp', ...address } as const }))
  return { peers, ownStore: await ownStoreAddress(stateDirectory, node), domain, wanted: replicas, compression }
}

/** A file for each doubt in the run directory, which goes with the holder. Changes follow one another. */
async function loadDoubts(runDirectory: string): Promise<Doubts> {
  const raised = new Set<Doubt>()
  const path = (doubt: Doubt): string => `${runDirectory}/${RUN_DOUBT_PREFIX}${doubt}`
  for (const doubt of ['superblock', 'flush', 'write-back', 'write-through'] as const) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- small files
    if ((await systemFiles.read(path(doubt))) !== null) raised.add(doubt)
  }
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = (change: () => Promise<void>): Promise<void> => {
    const turn = last.then(change)
    last = turn.catch(() => undefined)
    return turn
  }
  return {
    has: (doubt) => raised.has(doubt),
    raise: (doubt) =>
      inTurn(async () => {
        if (!raised.has(doubt)) await systemFiles.replace(path(doubt), '\n')
        raised.add(doubt)
      }),
    clear: (doubt) =>
      inTurn(async () => {
        if (raised.delete(doubt)) await systemFiles.remove(path(doubt))
      }),
  }
}

/** Fills of the read cache need no durability: a second descriptor without O_DSYNC, never on the engine's own thread. */
async function openFillStorage(path: string, memory: SystemAlignedMemory): Promise<FileStorage> {
  const opened = await openDescriptor({
    path,
    access: 'read-write',
    direct: true,
    durable: false,
    memory,
    alreadyClaimed: true,
  })
  return new FileStorage({ ...opened, name: path, sync: 'never', clock: systemClock, timers: systemTimers })
}

/** What the volume looked like lately: says how much is at stake when it cannot be opened. */
async function lastKnown(plan: ServePlan): Promise<{ dirtyBytes: number; ageMs: number } | null> {
  const text = await systemFiles.read(lastStatusPath(plan.stateDirectory, plan.volume))
  const last = text === null ? null : decodeLastStatus(text)
  if (last === null) return null
  const ageMs = last.oldestDirtyWallMs === null ? 0 : systemClock.wallMs() - last.oldestDirtyWallMs
  return { dirtyBytes: last.dirtyBytes, ageMs: Math.max(0, ageMs) }
}
