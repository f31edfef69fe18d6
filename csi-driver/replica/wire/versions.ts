// Versions of the wire protocol: which messages there are, their numbers, who sends them, and the codec of each body.
// Encoder and reader take the table as a parameter; the product has one table, a test adds a version to it.
// HELLO, WELCOME and REFUSED belong to no version (handshake-bodies.ts). A version that is spoken by some build is never
// changed: another one is added beside it, and both sides take the largest that both have.
// A type that the agreed version does not have ends the connection: nobody skips what he does not understand.
import { assert } from '../../../base/assert.ts'
import type { Bytes } from '../../../base/units.ts'
import { BODIES_V1 } from './bodies-v1.ts'
import type { BodyCodec } from './body-codec.ts'
import { ENVELOPE_BYTES_MAX, ENVELOPE_BYTES_MIN } from './envelope.ts'
import { HANDSHAKE_VERSION } from './frame.ts'
import { helloBody, refusedBody, welcomeBody } from './handshake-bodies.ts'
import type { MessageType, Side } from './messages.ts'

/** One type of message in one version. */
export interface MessageKind {
  readonly type: string
  /** On the wire. Bit 7 says who sends. */
  readonly code: number
  readonly from: Side
  /** Null: the body is the envelope of a batch. */
  readonly body: BodyCodec | null
  readonly bytesMin: Bytes
  readonly bytesMax: Bytes
}

export interface WireVersion {
  readonly number: number
  readonly byType: ReadonlyMap<string, MessageKind>
  readonly byCode: ReadonlyMap<number, MessageKind>
}

export type WireVersions = ReadonlyMap<number, WireVersion>

const STORE_BIT = 0x80

function kindOf(type: string, code: number, body: BodyCodec | null): MessageKind {
  const from = (code & STORE_BIT) === 0 ? 'engine' : 'store'
  const { bytesMin, bytesMax } = body ?? { bytesMin: ENVELOPE_BYTES_MIN, bytesMax: ENVELOPE_BYTES_MAX }
  return { type, code, from, body, bytesMin, bytesMax }
}

/** A version from its messages: type, number on the wire, codec of the body or null for the envelope of a batch. */
export function defineVersion(
  number: number,
  messages: readonly (readonly [type: string, code: number, body: BodyCodec | null])[],
): WireVersion {
  const kinds = messages.map(([type, code, body]) => kindOf(type, code, body))
  const byType = new Map(kinds.map((kind) => [kind.type, kind]))
  const byCode = new Map(kinds.map((kind) => [kind.code, kind]))
  assert(byType.size === kinds.length && byCode.size === kinds.length, `types and numbers differ version=${number}`)
  return { number, byType, byCode }
}

export const HANDSHAKE: WireVersion = defineVersion(HANDSHAKE_VERSION, [
  ['HELLO', 1, helloBody],
  ['WELCOME', 129, welcomeBody],
  ['REFUSED', 130, refusedBody],
])

export const MESSAGES_V1: readonly (readonly [type: MessageType, code: number, body: BodyCodec | null])[] = [
  ['APPEND', 2, null],
  ['TRIM', 3, BODIES_V1.TRIM],
  ['HEARTBEAT', 4, BODIES_V1.HEARTBEAT],
  ['RELEASE', 5, BODIES_V1.RELEASE],
  ['LEARN', 6, BODIES_V1.LEARN],
  ['SEAL', 7, BODIES_V1.SEAL],
  ['FETCH', 8, BODIES_V1.FETCH],
  ['PREPARE', 9, BODIES_V1.PREPARE],
  ['PROMOTE', 10, BODIES_V1.PROMOTE],
  ['STATE', 11, BODIES_V1.STATE],
  ['CACHE', 12, BODIES_V1.CACHE],
  ['READ', 13, BODIES_V1.READ],
  ['APPENDED', 131, BODIES_V1.APPENDED],
  ['TRIMMED', 132, BODIES_V1.TRIMMED],
  ['ALIVE', 133, BODIES_V1.ALIVE],
  ['RELEASED', 134, BODIES_V1.RELEASED],
  ['LEARNING', 135, BODIES_V1.LEARNING],
  ['SEALED', 136, BODIES_V1.SEALED],
  ['SEAL_WAIT', 137, BODIES_V1.SEAL_WAIT],
  ['BATCH', 138, null],
  ['FETCH_END', 139, BODIES_V1.FETCH_END],
  ['PREPARED', 140, BODIES_V1.PREPARED],
  ['PROMOTED', 141, BODIES_V1.PROMOTED],
  ['STATE_IS', 142, BODIES_V1.STATE_IS],
  ['CACHE_IS', 143, BODIES_V1.CACHE_IS],
  ['BLOCKS', 144, BODIES_V1.BLOCKS],
]

export const WIRE_VERSIONS: WireVersions = new Map([[1, defineVersion(1, MESSAGES_V1)]])

/** What HELLO offers. */
export const WIRE_VERSION_MIN = Math.min(...WIRE_VERSIONS.keys())
export const WIRE_VERSION_MAX = Math.max(...WIRE_VERSIONS.keys())

/** The largest version that both sides have, or null: refuse with 'version'. */
export function negotiate(
  { versionMin, versionMax }: { readonly versionMin: number; readonly versionMax: number },
  versions: WireVersions = WIRE_VERSIONS,
): number | null {
  const common = [...versions.keys()].filter((version) => version >= versionMin && version <= versionMax)
  return common.length === 0 ? null : Math.max(...common)
}

/** Limits of any body that a side sends, in a table of versions. */
export function bodyLimits(versions: WireVersions, from: Side): { readonly smallBytesMax: Bytes } {
  const tables = [HANDSHAKE, ...versions.values()]
  const kinds = tables.flatMap(({ byCode }) => [...byCode.values()])
  const small = kinds.filter((kind) => kind.body !== null && kind.from === from)
  return { smallBytesMax: Math.max(...small.map((kind) => kind.bytesMax)) }
}
