// Every change that an owner or a claimant makes to the register record, one function each: the record that stands
// there in, the proposed one out. Pure; a broken precondition is a programmer's error and asserts, since each is
// decided before the change is proposed. `rv` and `changeId` are set by the RegisterClient.
// Rule numbers are those of the replication protocol (docs/decisions/0001).
import { assert } from '../../base/assert.ts'
import type { Epoch, Seq } from '../../base/units.ts'
import {
  type BackingIdentity,
  logEpoch,
  type Member,
  MEMBERS_MAX,
  NO_LOG_UUID,
  type Phase,
  RECORD_FORMAT_VERSION,
  type RegisterRecord,
  sameMember,
  type Unfenced,
  UNFENCED_MAX,
} from '../register/record.ts'

export interface NewVolume {
  readonly volume: string
  readonly volumeUuid: string
  readonly registerNonce: string
  readonly volumeKey: string
  readonly node: string
  readonly backing: BackingIdentity
  /** Larger than the epoch of any log that was made for a volume of this name; 0 where none is known. */
  readonly epochAtLeast?: Epoch
}

/** S0 and S1 in one for a volume without a register: created and claimed; no log yet, nothing dirty. */
export function createVolume(options: NewVolume): RegisterRecord {
  return {
    formatVersion: RECORD_FORMAT_VERSION,
    volume: options.volume,
    volumeUuid: options.volumeUuid,
    registerNonce: options.registerNonce,
    rv: 1,
    changeId: NO_LOG_UUID.slice(0, 16),
    epoch: Math.max(1, options.epochAtLeast ?? 1),
    owner: options.node,
    logUuid: NO_LOG_UUID,
    members: [],
    phase: 'Opening',
    previousPhase: 'Detached',
    dirty: false,
    unfenced: [],
    lastSeq: 0,
    volumeKey: options.volumeKey,
    backing: options.backing,
  }
}

export interface Claim {
  readonly node: string
  /** Where a log newer than the register was given up: the new epoch is at least this. */
  readonly epochAtLeast?: Epoch
}

/**
 * S1: the next epoch; the predecessor may still touch the backing unless its close is settled. Whoever claims holds
 * the lock of the volume on its node, which is evidence against every earlier engine there (5.3): those go at once, so that
 * a node that tries again and again leaves one entry and not many.
 */
export function claim(record: RegisterRecord, { node, epochAtLeast = 0 }: Claim): RegisterRecord {
  assert(canClaim(record, node), `a claim needs room in unfenced entries=${record.unfenced.length}`)
  return {
    ...record,
    epoch: Math.max(record.epoch + 1, epochAtLeast),
    owner: node,
    phase: 'Opening',
    previousPhase: record.phase === 'Opening' ? record.previousPhase : record.phase,
    unfenced: unfencedAfterClaim(record, node),
  }
}

/** False: too many owners on other nodes wait for a fence; the volume cannot be claimed before one is removed. */
export function canClaim(record: RegisterRecord, node: string): boolean {
  return unfencedAfterClaim(record, node).length <= UNFENCED_MAX
}

function unfencedAfterClaim(record: RegisterRecord, node: string): readonly Unfenced[] {
  const predecessor = predecessorClosed(record) ? [] : [{ node: record.owner, epoch: record.epoch }]
  return [...record.unfenced.filter((entry) => entry.node !== node), ...predecessor]
}

/** Detached is written only after the backing I/O of the owner has ended (S1, closeClean). */
export function predecessorClosed(record: RegisterRecord): boolean {
  return record.phase === 'Detached'
}

/**
 * What proves that an earlier engine no longer touches the backing.
 * lock: this node's lock of the volume is ours, and it outlives every process of an engine (5.3).
 * off: its host is off. cut: its host can neither read nor write the backing. closed: it said so, settled.
 */
export type FenceEvidence = 'lock' | 'off' | 'cut' | 'closed'

/** S2: removes what the evidence covers: `lock` every entry of the own node, any other the one entry. */
export function fenced(record: RegisterRecord, entry: Unfenced, evidence: FenceEvidence): RegisterRecord {
  assert(
    record.unfenced.some((listed) => sameEntry(listed, entry)),
    `the fenced engine is listed node=${entry.node} epoch=${entry.epoch}`,
  )
  assert(
    evidence !== 'lock' || entry.node === record.owner,
    `a lock proves nothing about another node node=${entry.node}`,
  )
  const stays = (listed: Unfenced): boolean =>
    evidence === 'lock' ? listed.node !== entry.node : !sameEntry(listed, entry)
  return { ...record, unfenced: record.unfenced.filter(stays) }
}

function sameEntry(a: Unfenced, b: Unfenced): boolean {
  return a.node === b.node && a.epoch === b.epoch
}

export interface OwnLog {
  /** The new log: made by this epoch, durable on every one of `members`, with the gathered tail. */
  readonly logUuid: string
  readonly members: readonly Member[]
  readonly phase: Extract<Phase, 'WriteBack' | 'WriteThrough' | 'DrainWT'>
  readonly lastSeq: Seq
  /** Old members that could not be reached: the only ones that may be missing in `members`. */
  readonly unreachable?: readonly Member[]
  /** The user gave up what the old members hold: they may all be missing and the volume starts clean. */
  readonly lossAccepted?: boolean
  /** The backing as it is now, where the user said that it is the right one. */
  readonly backing?: BackingIdentity
}

/** S5: the new log becomes the authoritative one, and the volume serves. */
export function ownLog(record: RegisterRecord, options: OwnLog): RegisterRecord {
  const { logUuid, members, phase, lastSeq, lossAccepted = false, unreachable = [], backing = record.backing } = options
  const wasDirty = record.dirty && !lossAccepted
  assert(record.phase === 'Opening', `a log is owned only after a claim phase=${record.phase}`)
  assert(record.unfenced.length === 0, `nobody else may touch the backing unfenced=${record.unfenced.length}`)
  assert(logEpoch(logUuid) === record.epoch, `the log was made by this epoch logUuid=${logUuid} epoch=${record.epoch}`)
  assert(members.length > 0 && members.length <= MEMBERS_MAX, `a log has a member members=${members.length}`)
  const ownListed = members.some((member) => member.node === record.owner)
  // Another store of the owner's node adds nothing to the owner's own.
  const missing = record.members
    .filter((old) => !members.some((member) => sameMember(member, old)))
    .filter((old) => !ownListed || old.node !== record.owner)
  assert(
    !wasDirty || missing.every((old) => unreachable.some((member) => sameMember(member, old))),
    'every reachable member of a dirty volume stays one',
  )
  assert(
    !wasDirty || lastSeq >= record.lastSeq,
    `the gathered log is whole lastSeq=${lastSeq} registered=${record.lastSeq}`,
  )
  return { ...record, logUuid, members, phase, lastSeq, backing, dirty: wasDirty || phase !== 'WriteThrough' }
}

/** 2.5: settled before the first write-back acknowledgement. */
export function setDirty(record: RegisterRecord): RegisterRecord {
  assert(isServing(record.phase), `a volume gets dirty while it serves phase=${record.phase}`)
  assert(record.members.length > 0, 'a dirty volume has a member')
  return { ...record, dirty: true }
}

/** 2.4: the log is empty everywhere and stays so; appends are frozen from that check until this is settled. */
export function setClean(record: RegisterRecord, { lastSeq }: { readonly lastSeq: Seq }): RegisterRecord {
  assert(record.phase !== 'WriteBack', 'a write-back volume stays dirty while it is open (8.4)')
  assert(lastSeq >= record.lastSeq, `sequence numbers grow lastSeq=${lastSeq} registered=${record.lastSeq}`)
  return { ...record, dirty: false, lastSeq }
}

/** Phases of an owner between S5 and the end; Detached is reached by closeClean, Opening by claim. */
export type OwnedPhase = Extract<Phase, 'WriteBack' | 'DrainWT' | 'WriteThrough' | 'Closing' | 'Blocked'>

const NEXT_PHASES: Readonly<Record<Phase, readonly Phase[]>> = {
  Detached: [],
  Opening: ['Blocked'],
  WriteBack: ['WriteBack', 'DrainWT', 'Closing', 'Blocked'],
  DrainWT: ['DrainWT', 'WriteThrough', 'WriteBack', 'Closing', 'Blocked'],
  WriteThrough: ['WriteThrough', 'WriteBack', 'DrainWT', 'Closing', 'Blocked'],
  Closing: ['Closing', 'DrainWT', 'WriteThrough', 'WriteBack', 'Blocked'],
  Blocked: ['Blocked', 'DrainWT', 'WriteThrough', 'Closing'],
}

export interface PhaseChange {
  readonly phase: OwnedPhase
  /** True is demanded in WriteBack (2.5). False only when the log is empty everywhere and appends are frozen (2.4). */
  readonly dirty: boolean
  /** Largest acknowledged sequence number; the registered one stays if it is left out. */
  readonly lastSeq?: Seq
}

/** The next phase of the present owner together with `dirty`, in one change. */
export function setPhase(
  record: RegisterRecord,
  { phase, dirty, lastSeq = record.lastSeq }: PhaseChange,
): RegisterRecord {
  assert(NEXT_PHASES[record.phase].includes(phase), `phases follow one another from=${record.phase} to=${phase}`)
  assert(dirty || phase !== 'WriteBack', 'write-back is dirty')
  assert(!dirty || record.members.length > 0, 'a dirty volume has a member')
  assert(lastSeq >= record.lastSeq, `sequence numbers grow lastSeq=${lastSeq} registered=${record.lastSeq}`)
  return { ...record, phase, dirty, lastSeq }
}

/** The end of an ownership: nothing dirty, and the backing I/O of the owner has ended, which the caller has checked. */
export function closeClean(record: RegisterRecord, { lastSeq }: { readonly lastSeq: Seq }): RegisterRecord {
  assert(record.phase === 'Closing', `an owner closes by Closing phase=${record.phase}`)
  return { ...setClean(record, { lastSeq }), phase: 'Detached' }
}

export interface HandOver {
  /** A node of which a store is a member with an equal log. */
  readonly to: string
  readonly lastSeq: Seq
}

/**
 * Rule 6: the next epoch, of another node; log, members and `dirty` stay. Sent only after the old owner's backing I/O has
 * ended; its entry stays until its backing is closed (evidence `closed`) or it is fenced.
 */
export function handOver(record: RegisterRecord, { to, lastSeq }: HandOver): RegisterRecord {
  assert(isServing(record.phase), `an open volume is handed over phase=${record.phase}`)
  assert(to !== record.owner, `it is handed over to another node owner=${record.owner}`)
  assert(
    record.members.some((member) => member.node === to),
    `the new owner holds a copy node=${to}`,
  )
  assert(record.unfenced.length < UNFENCED_MAX, `there is room in unfenced entries=${record.unfenced.length}`)
  assert(lastSeq >= record.lastSeq, `sequence numbers grow lastSeq=${lastSeq} registered=${record.lastSeq}`)
  const unfenced = [...record.unfenced, { node: record.owner, epoch: record.epoch }]
  return { ...record, epoch: record.epoch + 1, owner: to, lastSeq, unfenced }
}

/** After the backing grew and the engine uses the new size. */
export function setBackingSize(record: RegisterRecord, sizeBytes: number): RegisterRecord {
  assert(sizeBytes >= record.backing.sizeBytes, `a volume only grows to=${sizeBytes} from=${record.backing.sizeBytes}`)
  return { ...record, backing: { ...record.backing, sizeBytes } }
}

/** 4.2: the new member already holds and acknowledges everything. */
export function addMember(record: RegisterRecord, member: Member): RegisterRecord {
  assert(record.members.length < MEMBERS_MAX, `there is room for a member members=${record.members.length}`)
  assert(
    !record.members.some((listed) => listed.storeUuid === member.storeUuid),
    `the store is new storeUuid=${member.storeUuid}`,
  )
  return { ...record, members: [...record.members, member] }
}

/** 2.2: before anything is acknowledged without it; the last member is never removed. */
export function removeMember(record: RegisterRecord, member: Member): RegisterRecord {
  const members = record.members.filter((listed) => !sameMember(listed, member))
  assert(members.length === record.members.length - 1, `the member is listed storeUuid=${member.storeUuid}`)
  assert(members.length > 0, 'the last member is never removed')
  return { ...record, members }
}

/** 4.1: the removal and, where the policy is missed without the member, the phase, in one change. */
export function degradeMember(
  record: RegisterRecord,
  member: Member,
  { drain }: { readonly drain: boolean },
): RegisterRecord {
  const left = removeMember(record, member)
  return drain ? setPhase(left, { phase: 'DrainWT', dirty: left.dirty }) : left
}

function isServing(phase: Phase): boolean {
  return phase === 'WriteBack' || phase === 'DrainWT' || phase === 'WriteThrough'
}
