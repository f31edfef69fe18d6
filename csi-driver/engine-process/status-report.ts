// The status that is shown (observe/status.ts) from what the engine says about itself.
import type { EngineStatus } from '../engine/engine-status.ts'
import type { ServePlan } from '../cli/serve-settings.ts'
import type { LastStatus } from '../observe/last-status.ts'
import {
  type DeviceHealth,
  type DeviceUser,
  HEALTHY,
  type PeerView,
  type VolumeState,
  type VolumeStatus,
} from '../observe/status.ts'
import type { PeerStatus } from '../replica/replicator.ts'
import type { DeviceHolder } from '../frontend/loop/holders.ts'
import { describeHolder } from '../frontend/loop/holders.ts'

export interface StatusParts {
  readonly plan: ServePlan
  readonly engine: EngineStatus
  readonly state: VolumeState
  readonly device: string | null
  readonly connections: number | null
  readonly holderPid: number | null
  readonly enginePid: number
  readonly version: string
  readonly volumeBytes: number
  readonly inSync: VolumeStatus['inSync']
  readonly peers: VolumeStatus['peers']
  readonly openBy: readonly DeviceUser[]
  readonly nowWallMs: number
}

export function volumeStatus(parts: StatusParts): VolumeStatus {
  const { plan, engine, nowWallMs } = parts
  return {
    volume: plan.volume,
    state: parts.state,
    device: parts.device,
    connections: parts.connections,
    backing: plan.settings.backing,
    cache: plan.settings.cache,
    writePolicy: engine.writePolicy,
    effectiveWritePolicy: engine.effectiveWritePolicy,
    reason: reasonOf(engine),
    phase: engine.phase,
    epoch: engine.epoch,
    run: engine.run,
    inSync: parts.inSync,
    peers: parts.peers,
    dirtyBytes: engine.dirtyBytes,
    dirtyLimitBytes: engine.dirtyLimitBytes,
    oldestDirtySeconds: Math.round(engine.oldestDirtyMs / 100) / 10,
    holderPid: parts.holderPid,
    enginePid: parts.enginePid,
    readHits: engine.counters.readHits,
    readMisses: engine.counters.readMisses,
    previousCache: previousCacheView(engine),
    cacheBytes: plan.cacheBytes,
    cachedBytes: engine.cachedBlocks * 4096,
    logBytes: engine.logBytes,
    logUsedBytes: engine.logUsedBytes,
    volumeBytes: parts.volumeBytes,
    sectorBytes: plan.sectorBytes,
    backingHealth: backingHealth(engine, nowWallMs),
    cacheHealth:
      engine.cacheFailure === '' ? HEALTHY : { failing: true, sinceSeconds: null, reason: engine.cacheFailure },
    openBy: parts.openBy,
    version: parts.version,
  }
}

function reasonOf({ reason, registerError }: EngineStatus): string | null {
  const waits = registerError === '' ? '' : `a change waits for the register: ${registerError}`
  const told = [reason, waits].filter((text) => text !== '').join('; ')
  return told === '' ? null : told
}

function previousCacheView({ previousCache }: EngineStatus): VolumeStatus['previousCache'] {
  if (previousCache === null) return null
  const { reason, latencyMs, backingLatencyMs, ...counted } = previousCache
  const rounded = (ms: number | null): number | null => (ms === null ? null : Math.round(ms * 1000) / 1000)
  return {
    ...counted,
    reason: reason === '' ? null : reason,
    latencyMs: rounded(latencyMs),
    backingLatencyMs: rounded(backingLatencyMs),
  }
}

function backingHealth(engine: EngineStatus, nowWallMs: number): DeviceHealth {
  if (engine.backingFailingSinceMs === null) return HEALTHY
  const reason = engine.backingFull ? `thin backing is full: ${engine.backingError}` : engine.backingError
  return { failing: true, sinceSeconds: Math.round((nowWallMs - engine.backingFailingSinceMs) / 1000), reason }
}

/** What is kept for messages about a volume that cannot be asked any more. */
export function lastStatusOf(plan: ServePlan, engine: EngineStatus, nowWallMs: number): LastStatus {
  return {
    dirtyBytes: engine.dirtyBytes,
    oldestDirtyWallMs: engine.dirtyBytes === 0 ? null : nowWallMs - engine.oldestDirtyMs,
    atWallMs: nowWallMs,
    backing: plan.settings.backing,
    cache: plan.settings.cache,
    writePolicy: engine.writePolicy,
    reason: engine.reason === '' ? null : engine.reason,
    register: plan.registerDirectory,
    node: plan.node,
  }
}

export function deviceUserOf(holder: DeviceHolder): DeviceUser {
  if (holder.kind === 'mount') return { kind: 'mount', name: holder.mountPoint, pid: null }
  if (holder.kind === 'process') return { kind: 'process', name: holder.command, pid: holder.pid }
  return { kind: 'other', name: describeHolder(holder), pid: null }
}

export function peerViews(peers: readonly PeerStatus[] | null): readonly PeerView[] | null {
  if (peers === null) return null
  return peers.map(({ node, domain, state, resource, lagBatches, lagBytes, lastError }) => ({
    node,
    domain,
    state,
    resource,
    lagBatches,
    lagBytes,
    lastError,
  }))
}
