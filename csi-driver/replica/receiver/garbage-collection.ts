// Looks through the volumes of a store for what may go (garbage.ts), lists it, and removes it unless the run is dry.
// Between the register's answer and the removal nothing is waited for: what is decided by is what is there then.
import type { Bytes } from '../../../base/units.ts'
import type { Member } from '../../register/record.ts'
import { type GarbageDecision, garbageDecision, type RegisterAnswer } from './garbage.ts'
import type { VolumeDirectory } from './volume-directory.ts'
import type { VolumeHost } from './volume-host.ts'
import type { VolumeReplica } from './volume-replica.ts'

export interface GarbageRequest {
  /** Reads the register by quorum; has a time limit of its own, and does not reject. */
  readonly lookup: (volume: string) => Promise<RegisterAnswer>
  /** UUIDs of volumes that the user says are gone. */
  readonly named: ReadonlySet<string>
  /** Only lists. */
  readonly dryRun: boolean
}

export interface GarbageFinding extends GarbageDecision {
  readonly volume: string
  readonly volumeUuid: string
  readonly storedBytes: Bytes
  readonly reservedBytes: Bytes
  /** failed: it may go, and the store could not remove it; error says why. */
  readonly outcome: 'kept' | 'may-go' | 'discarded' | 'failed'
  readonly error: string | null
}

/** One volume after the other. */
export async function collectGarbage(
  { host, directory, node }: { host: VolumeHost; directory: VolumeDirectory; node: string },
  request: GarbageRequest,
): Promise<GarbageFinding[]> {
  const findings: GarbageFinding[] = []
  for (const replica of directory.all) {
    if (!replica.isStored) continue
    const asked = replica.held.state
    const record = await request.lookup(replica.identity.volume)
    // It may have been removed, connected to or written to since the register was asked.
    if (directory.find(replica.identity.volumeUuid) !== replica || !replica.isStored) continue
    const inUse = replica.connected || !replica.isIdle || replica.held.state !== asked
    const store = { node, storeUuid: host.store.storeUuid, incarnation: replica.held.incarnation }
    const decision = decisionOn(replica, { record, store, inUse, request })
    const finding = describe(replica, decision)
    if (decision.then === 'keep') findings.push(finding)
    else if (request.dryRun) findings.push({ ...finding, outcome: 'may-go' })
    else findings.push(await remove({ host, directory }, replica, finding))
  }
  return findings
}

function decisionOn(
  { held }: VolumeReplica,
  found: { record: RegisterAnswer; store: Member; inUse: boolean; request: GarbageRequest },
): GarbageDecision {
  const { volumeUuid, state, lossReason } = held
  const { record, store, inUse, request } = found
  const named = request.named.has(volumeUuid)
  return garbageDecision({ record, volumeUuid, state, isDamaged: lossReason !== null, inUse, store, named })
}

function describe({ held }: VolumeReplica, decision: GarbageDecision): GarbageFinding {
  const { volume, volumeUuid, state, logBytesReserved } = held
  const storedBytes = state.log?.storedBytes ?? 0
  const identity = { volume, volumeUuid, storedBytes, reservedBytes: logBytesReserved }
  return { ...identity, ...decision, outcome: 'kept', error: null }
}

async function remove(
  { host, directory }: { host: VolumeHost; directory: VolumeDirectory },
  replica: VolumeReplica,
  finding: GarbageFinding,
): Promise<GarbageFinding> {
  const { volume, volumeUuid, reason, storedBytes } = finding
  const error = await replica.discard()
  if (error !== null) return { ...finding, outcome: 'failed', error: error.message }
  directory.forget(replica)
  host.log.event('replica.receiver.discarded', { volume, volumeUuid, reason, bytes: storedBytes })
  return { ...finding, outcome: 'discarded' }
}
