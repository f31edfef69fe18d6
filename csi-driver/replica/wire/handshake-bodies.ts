// Bodies of HELLO, WELCOME and REFUSED. They never change, in whatever version the two sides then speak, so that builds
// of any age can find out what they have in common, or say that it is nothing. What a later version has to say besides,
// it says in messages of its own after WELCOME. Offsets: docs/formats/wire.md.
import { assert } from '../../../base/assert.ts'
import { isZero } from '../../../base/bytes.ts'
import { bytes, defineLayout, u16, u32, u64, u8, zeros } from '../../../base/layout.ts'
import type { Bytes } from '../../../base/units.ts'
import type { RefusalCode } from '../../protocol/stored-log.ts'
import { NODE_NAME_PATTERN, VOLUME_NAME_PATTERN } from '../../register/record.ts'
import {
  type BodyCodec,
  decodeStruct,
  demand,
  flagOf,
  nameBytes,
  nameOf,
  PROOF_BYTES,
  refuse,
  structBody,
  uuidBytes,
  uuidOf,
  VOLUME_KEY_BYTES,
} from './body-codec.ts'
import type { Hello, MessageOf } from './messages.ts'
import { readState, STATE_BYTES_MAX, STATE_BYTES_MIN, stateBytes, writeState } from './volume-state-body.ts'

const VOLUME_NAME_BYTES = 64
const NODE_NAME_BYTES = 256
/** Longest text of a REFUSED; a longer one is cut off. */
export const REFUSAL_TEXT_BYTES_MAX: Bytes = 512

export const HELLO_BODY = defineLayout('HELLO', {
  versionMin: u16('smallest version of the protocol that the engine speaks, at least 1'),
  versionMax: u16('largest one'),
  purpose: u8(
    '1 owner: writes the log; 2 opener: has claimed the epoch, seals and gathers; 3 reader: of a cache left behind',
  ),
  keyCount: u8('1 where volumeKey is given, else 0'),
  reserved: zeros(2),
  run: u32('life of the engine inside the epoch'),
  reserved2: zeros(4),
  epoch: u64('ownership that the engine claims, at least 1'),
  volumeUuid: bytes(16, 'the volume'),
  proof: bytes(PROOF_BYTES, 'that the engine has the volume key, on this very connection'),
  volumeKey: bytes(VOLUME_KEY_BYTES, 'in the first HELLO of a volume that the store may not know; else zeros'),
  volume: bytes(VOLUME_NAME_BYTES, 'name of the volume, ASCII, zeros behind'),
  node: bytes(NODE_NAME_BYTES, 'name of the engine’s node, ASCII, zeros behind; the one in its certificate'),
})

export const WELCOME_BODY = defineLayout('WELCOME', {
  version: u16('of all later frames but REFUSED, within what HELLO offered'),
  resource: u8('1 flash, 2 memory'),
  reserved: zeros(5),
  storeUuid: bytes(16, 'the store, as register members name it'),
  incarnation: u64('life of the store, at least 1'),
  freeBytes: u64('neither used nor reserved'),
  node: bytes(NODE_NAME_BYTES, 'name of the store’s node, ASCII, zeros behind'),
})

export const REFUSED_BODY = defineLayout('REFUSED', {
  code: u16('why; see the table of refusals'),
  textBytes: u16('length of the text behind, at most 512'),
})

/** From 1 on. */
const PURPOSES: readonly Hello['purpose'][] = ['owner', 'opener', 'reader']

/** Numbers of the refusals on the wire; never re-used. */
export const REFUSAL_NUMBERS: Readonly<Record<RefusalCode, number>> = {
  version: 1,
  proof: 2,
  'bad-message': 3,
  'epoch-old': 4,
  'run-old': 5,
  gap: 6,
  'hash-differs': 7,
  corrupt: 8,
  full: 9,
  'too-many': 10,
  'not-held': 11,
  'busy-engine': 12,
  io: 13,
  stopping: 14,
}
const REFUSAL_BY_NUMBER = new Map(
  Object.entries(REFUSAL_NUMBERS).map(([code, number]) => [number, code as RefusalCode]),
)

function packHello(hello: Hello): ReturnType<typeof HELLO_BODY.decode> {
  const { versionMin, versionMax, epoch, run, proof, volumeKey } = hello
  assert(versionMin >= 1 && versionMin <= versionMax && epoch >= 1, 'HELLO is legal')
  return {
    versionMin,
    versionMax,
    purpose: PURPOSES.indexOf(hello.purpose) + 1,
    keyCount: volumeKey === null ? 0 : 1,
    run,
    epoch,
    volumeUuid: uuidBytes(hello.volumeUuid),
    proof,
    volumeKey: volumeKey ?? Buffer.alloc(VOLUME_KEY_BYTES),
    volume: nameBytes(hello.volume, VOLUME_NAME_BYTES, VOLUME_NAME_PATTERN),
    node: nameBytes(hello.node, NODE_NAME_BYTES, NODE_NAME_PATTERN),
  }
}

function unpackHello(raw: ReturnType<typeof HELLO_BODY.decode>): Hello {
  const { versionMin, versionMax, purpose, epoch, run, proof, volumeKey } = raw
  demand(versionMin >= 1 && versionMin <= versionMax, `versions versionMin=${versionMin} versionMax=${versionMax}`)
  const named = PURPOSES[purpose - 1] ?? refuse(`purpose=${purpose}`)
  demand(epoch >= 1, `epoch=${epoch}`)
  const hasKey = flagOf(raw.keyCount, 'keyCount')
  demand(hasKey || isZero(volumeKey, 0, volumeKey.length), 'no key is all zeros')
  return {
    type: 'HELLO',
    versionMin,
    versionMax,
    volume: nameOf(raw.volume, VOLUME_NAME_PATTERN, 'volume'),
    volumeUuid: uuidOf(raw.volumeUuid),
    node: nameOf(raw.node, NODE_NAME_PATTERN, 'node'),
    epoch,
    run,
    purpose: named,
    proof,
    volumeKey: hasKey ? volumeKey : null,
  }
}

export const helloBody: BodyCodec<Hello> = structBody(HELLO_BODY, packHello, unpackHello)

export const welcomeBody: BodyCodec<MessageOf<'WELCOME'>> = {
  bytesMin: WELCOME_BODY.size + STATE_BYTES_MIN,
  bytesMax: WELCOME_BODY.size + STATE_BYTES_MAX,
  size: ({ state }) => WELCOME_BODY.size + stateBytes(state),
  encode(message, buffer, start) {
    const { version, incarnation, freeBytes, resource, state } = message
    assert(version >= 1 && incarnation >= 1, 'WELCOME is legal')
    WELCOME_BODY.encode(buffer, start, {
      version,
      resource: resource === 'flash' ? 1 : 2,
      storeUuid: uuidBytes(message.storeUuid),
      incarnation,
      freeBytes,
      node: nameBytes(message.node, NODE_NAME_BYTES, NODE_NAME_PATTERN),
    })
    writeState(buffer, start + WELCOME_BODY.size, state)
  },
  decode(buffer, length) {
    const { version, resource, storeUuid, incarnation, freeBytes, node } = decodeStruct(WELCOME_BODY, buffer, 0)
    demand(version >= 1 && incarnation >= 1, `version=${version} incarnation=${incarnation}`)
    demand(resource === 1 || resource === 2, `resource=${resource}`)
    return {
      type: 'WELCOME',
      version,
      node: nameOf(node, NODE_NAME_PATTERN, 'node'),
      storeUuid: uuidOf(storeUuid),
      incarnation,
      resource: resource === 1 ? 'flash' : 'memory',
      freeBytes,
      state: readState(buffer, WELCOME_BODY.size, length),
    }
  },
}

/** The text as it may stand on one line of somebody's log: no control characters, bounded, whole characters. */
function refusalText(message: string): Buffer {
  const line = message.toWellFormed().replace(/\p{Cc}/gu, ' ')
  const text = Buffer.from(line)
  if (text.length <= REFUSAL_TEXT_BYTES_MAX) return text
  let end = REFUSAL_TEXT_BYTES_MAX
  while (((text[end] ?? 0) & 0xc0) === 0x80) end--
  return text.subarray(0, end)
}

export const refusedBody: BodyCodec<MessageOf<'REFUSED'>> = {
  bytesMin: REFUSED_BODY.size,
  bytesMax: REFUSED_BODY.size + REFUSAL_TEXT_BYTES_MAX,
  size: ({ message }) => REFUSED_BODY.size + refusalText(message).length,
  encode({ code, message }, buffer, start) {
    const text = refusalText(message)
    REFUSED_BODY.encode(buffer, start, { code: REFUSAL_NUMBERS[code], textBytes: text.length })
    text.copy(buffer, start + REFUSED_BODY.size)
  },
  decode(buffer, length) {
    const { code, textBytes } = REFUSED_BODY.decode(buffer, 0)
    demand(textBytes === length - REFUSED_BODY.size, `text textBytes=${textBytes} bytes=${length}`)
    const text = buffer.subarray(REFUSED_BODY.size, length)
    const message = text.toString()
    demand(refusalText(message).equals(text), 'text is one line of UTF-8')
    return { type: 'REFUSED', code: REFUSAL_BY_NUMBER.get(code) ?? refuse(`refusal code=${code}`), message }
  },
}
