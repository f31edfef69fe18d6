// The register record: the one consistent statement about a volume, changed only by compare-and-swap. It owns the
// fields, their limits and what must hold between them; what may change when is in protocol/register-transitions.ts,
// the bytes are in record-codec.ts and docs/formats/register.md.
// Identifiers (volumeUuid, storeUuid, logUuid, registerNonce) are 32 lower-case hex digits.

import type { Bytes, Epoch, Seq } from '../../base/units.ts'

export const RECORD_FORMAT_VERSION = 1
/** Space for the record in the cache's superblock, and the limit of the stored text. */
export const RECORD_BYTES_MAX = 2048
/** Owner, two replicas, and a new one that is added before the old one is dropped (protocol rule 4.2). */
export const MEMBERS_MAX = 4
/** Claims that may wait for a fence; a claim beyond it is refused, so that the record stays bounded. */
export const UNFENCED_MAX = 8
export const BACKING_ID_CHARACTERS_MAX = 128
/** Part of file, device and socket names. */
export const VOLUME_NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
export { NODE_NAME_PATTERN } from '../io/peer-network.ts'
export const UUID_PATTERN = /^[0-9a-f]{32}$/
export const CHANGE_ID_PATTERN = /^[0-9a-f]{16}$/
export const VOLUME_KEY_PATTERN = /^[0-9a-f]{64}$/
/** `logUuid` of a volume that never had a log. */
export const NO_LOG_UUID = '0'.repeat(32)

export const PHASES = ['Detached', 'Opening', 'WriteBack', 'DrainWT', 'WriteThrough', 'Closing', 'Blocked'] as const
export type Phase = (typeof PHASES)[number]

/** One store of the in-sync set. `incarnation` is one life of it: a store that lost its content has a new one. */
export interface Member {
  readonly node: string
  readonly storeUuid: string
  readonly incarnation: number
}

/** An engine that may still touch the backing. */
export interface Unfenced {
  readonly node: string
  readonly epoch: Epoch
}

export const BACKING_KINDS = ['block', 'file'] as const
export interface BackingIdentity {
  readonly kind: (typeof BACKING_KINDS)[number]
  /** What tells this device or file from another; printable, never empty. */
  readonly id: string
  readonly sizeBytes: Bytes
}

export interface RegisterRecord {
  readonly formatVersion: typeof RECORD_FORMAT_VERSION
  readonly volume: string
  readonly volumeUuid: string
  /** Identity of this register object; another one under the same name is a replaced register (rule 1.4). */
  readonly registerNonce: string
  /** Version: 1 at creation, +1 with every change. */
  readonly rv: number
  /** Names the attempt that wrote this version, so that a writer whose reply was lost recognises its own write. */
  readonly changeId: string
  readonly epoch: Epoch
  /** Node of the present or, when Detached, the last owner. */
  readonly owner: string
  /** The authoritative log, NO_LOG_UUID if there never was one. Its first 8 bytes are the epoch that created it. */
  readonly logUuid: string
  readonly members: readonly Member[]
  readonly phase: Phase
  /** The phase before a claim set Opening; never Opening itself (rule S1). */
  readonly previousPhase: Phase
  /** False: the backing holds every acknowledged write, nothing is to be gathered (rule 1.5). */
  readonly dirty: boolean
  readonly unfenced: readonly Unfenced[]
  /** Largest sequence number known to be acknowledged when this was written (rule 5.4). */
  readonly lastSeq: Seq
  /** Key of the volume's data between nodes: 32 bytes in hex. */
  readonly volumeKey: string
  readonly backing: BackingIdentity
}

/** The epoch that created a log: the first 8 bytes of its name, big-endian. NaN where the name has no such form. */
export function logEpoch(logUuid: string): Epoch {
  return Number.parseInt(logUuid.slice(0, 16), 16)
}

export function sameMember(a: Member, b: Member): boolean {
  return a.node === b.node && a.storeUuid === b.storeUuid && a.incarnation === b.incarnation
}
