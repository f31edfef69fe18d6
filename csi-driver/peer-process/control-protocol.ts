// What a running `forebay peer` can be asked over its control socket, in the lines of control-protocol.ts:
//
//   {"method":"status"}                                                     → PeerStatus
//   {"method":"discard","params":{"dryRun":true,"gone":["<volumeUuid>"]}}   → PeerFinding[]
//   {"method":"serve-cache","params":{"volume":…,"volumeUuid":…,"volumeKey":…,"cache":"<path>"}}   → {"blocks":…}
import type { Bytes } from '../../base/units.ts'
import type { ReceiverStatus } from '../replica/receiver/receiver-status.ts'
import { UUID_PATTERN, VOLUME_KEY_PATTERN, VOLUME_NAME_PATTERN } from '../register/record.ts'
import { parseCall, type RefusedLine } from '../observe/control-protocol.ts'

export type PeerCall =
  | { readonly method: 'status' }
  | {
      readonly method: 'discard'
      /** Only lists. */
      readonly dryRun: boolean
      /** UUIDs of volumes that the user says are gone. */
      readonly gone: readonly string[]
    }
  | {
      /** An engine of this node has moved its volume away and left the index of its cache in the state directory. */
      readonly method: 'serve-cache'
      readonly volume: string
      readonly volumeUuid: string
      /** 64 hexadecimal digits: what readers have to prove. */
      readonly volumeKey: string
      /** Path of the cache. */
      readonly cache: string
    }

export type PeerRequest = { readonly id: number } & PeerCall

/** Volumes that one call may name. */
export const GONE_MAX = 256

/** What one replica store holds, and how it is doing. */
export interface PeerStatus extends ReceiverStatus {
  /** ADDR:PORT */
  readonly listen: string
  readonly path: string
  readonly pid: number
  readonly version: string
  readonly uptimeSeconds: number
  /** Directory of the registers by which logs are given up; null: none. */
  readonly register: string | null
  /** End of the certificate, ISO 8601. */
  readonly certificateEnd: string
  /** Connections that showed no acceptable certificate. */
  readonly tlsRefused: number
}

export interface PeerFinding {
  readonly volume: string
  readonly volumeUuid: string
  readonly storedBytes: Bytes
  readonly reservedBytes: Bytes
  readonly outcome: 'kept' | 'may-go' | 'discarded' | 'failed'
  /** Why, in a word of the store's table. */
  readonly reason: string
  /** Numbers in docs/decisions/0001. */
  readonly rules: string
  readonly error: string | null
}

export function parsePeerRequest(line: string): PeerRequest | RefusedLine {
  return parseCall<PeerCall>(line, (method, params) => {
    if (method === 'status') return { method }
    if (method === 'serve-cache') return serveCacheOf(params)
    if (method !== 'discard') return `unknown method=${JSON.stringify(method)?.slice(0, 80)}`
    const { dryRun, gone } = params as Record<string, unknown>
    if (typeof dryRun !== 'boolean') return 'dryRun is neither true nor false'
    if (!Array.isArray(gone) || gone.length > GONE_MAX) return `gone is no list of at most ${GONE_MAX}`
    const uuids = gone.filter((one): one is string => typeof one === 'string' && UUID_PATTERN.test(one))
    if (uuids.length !== gone.length) return 'gone holds something that is no volume UUID'
    return { method, dryRun, gone: uuids }
  })
}

function serveCacheOf(params: Readonly<Record<string, unknown>>): PeerCall | string {
  const { volume, volumeUuid, volumeKey, cache } = params
  if (typeof volume !== 'string' || !VOLUME_NAME_PATTERN.test(volume)) return 'volume is no name of a volume'
  if (typeof volumeUuid !== 'string' || !UUID_PATTERN.test(volumeUuid)) return 'volumeUuid is none'
  if (typeof volumeKey !== 'string' || !VOLUME_KEY_PATTERN.test(volumeKey)) return 'volumeKey is none'
  if (typeof cache !== 'string' || !cache.startsWith('/') || cache.includes('\0')) return 'cache is no absolute path'
  return { method: 'serve-cache', volume, volumeUuid, volumeKey, cache }
}
