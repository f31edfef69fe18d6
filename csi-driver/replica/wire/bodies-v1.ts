// Bodies of the messages of version 1 behind the handshake, apart from batches (envelope.ts) and blocks (cache-bodies.ts). Offsets: docs/formats/wire.md.
// A later version is another file; this one stays as it is.
import { assert } from '../../../base/assert.ts'
import { isU53 } from '../../../base/bytes.ts'
import { bytes, defineLayout, u64, u64big, u8, zeros } from '../../../base/layout.ts'
import type { Bytes } from '../../../base/units.ts'
import { LOG_NUMBER_LIMIT } from '../../batch/batch-format.ts'
import { LOG_NAMES_MAX, type VolumeState } from '../../protocol/stored-log.ts'
import { blocksBody, cacheBody, cacheIsBody, readBody } from './cache-bodies.ts'
import {
  type BodyCodec,
  decodeStruct,
  demand,
  emptyBody,
  flagOf,
  NUMBER_TOO_LARGE,
  refuse,
  structBody,
  uuidBytes,
  uuidOf,
} from './body-codec.ts'
import type { MessageOf, MessageType } from './messages.ts'
import {
  LOG_NAME,
  lineageProblem,
  readNames,
  readState,
  STATE_BYTES_MAX,
  STATE_BYTES_MIN,
  stateBytes,
  writeNames,
  writeState,
} from './volume-state-body.ts'

export const BATCH_NUMBER_BODY = defineLayout('TRIM, APPENDED, TRIMMED', {
  batchSeq: u64('number of a batch: everything up to and including it'),
})

export const BEAT_BODY = defineLayout('HEARTBEAT, ALIVE', {
  number: u64('chosen by the engine, answered with the same'),
})

export const LEARN_BODY = defineLayout('LEARN', {
  beginBatchSeq: u64('first batch of the new log, at least 1'),
  beginSeq: u64('its first record, at least 1'),
  beginPreviousHash: u64big('headerHash of the batch before; 0: none'),
  logBytes: u64('space of the owner’s log; as much is reserved'),
  nameCount: u8('names behind this struct, 1 to 16'),
  reserved: zeros(7),
})

export const SEAL_BODY = defineLayout('SEAL', {
  predecessorOff: u8('1: the engine before is proven off, nobody’s lease need be waited for; else 0'),
  reserved: zeros(7),
})

export const SEAL_WAIT_BODY = defineLayout('SEAL_WAIT', {
  remainingMs: u64('until the seal is granted, in ms, rounded up'),
})

export const FETCH_BODY = defineLayout('FETCH', {
  fromBatchSeq: u64('first batch wanted, at least 1'),
  bytesMax: u64('bodies of BATCH frames that may come before FETCH_END, at least one batch comes'),
})

export const FETCH_END_BODY = defineLayout('FETCH_END', {
  lastBatchSeq: u64('last batch sent; fromBatchSeq - 1 where none was'),
  more: u8('1: the store holds more behind it; else 0'),
  reserved: zeros(7),
})

export const PREPARE_BODY = defineLayout('PREPARE', {
  authoritativeLogUuid: bytes(16, 'name of the log that the register holds'),
  newLogUuid: bytes(16, 'its name from lastBatchSeq + 1 on, once promoted'),
  lastBatchSeq: u64('end of what was gathered'),
  lastHash: u64big('headerHash of that batch'),
})

export const PROMOTE_BODY = defineLayout('PROMOTE', {
  logUuid: bytes(16, 'the pending name that the register now holds'),
})

/** A body whose only field is a u64: there is one per write or per second, so without a detour by the layout's fields. */
function numberBody<Message>(
  { size }: { readonly size: Bytes },
  get: (message: Message) => number,
  make: (value: number) => Message,
): BodyCodec<Message> {
  return {
    bytesMin: size,
    bytesMax: size,
    size: () => size,
    encode(message, buffer, start) {
      const value = get(message)
      assert(isU53(value), `number fits value=${value}`)
      buffer.writeUInt32LE(value % 2 ** 32, start)
      buffer.writeUInt32LE(Math.floor(value / 2 ** 32), start + 4)
    },
    decode(buffer) {
      const high = buffer.readUInt32LE(4)
      return high < LOG_NUMBER_LIMIT / 2 ** 32
        ? make(high * 2 ** 32 + buffer.readUInt32LE(0))
        : refuse(NUMBER_TOO_LARGE)
    },
  }
}

type SmallType = Exclude<MessageType, 'HELLO' | 'WELCOME' | 'REFUSED' | 'APPEND' | 'BATCH'>
type Bodies = { readonly [Type in SmallType]: BodyCodec<MessageOf<Type>> }

const learnBody: BodyCodec<MessageOf<'LEARN'>> = {
  bytesMin: LEARN_BODY.size + LOG_NAME.size,
  bytesMax: LEARN_BODY.size + LOG_NAMES_MAX * LOG_NAME.size,
  size: ({ lineage }) => LEARN_BODY.size + lineage.length * LOG_NAME.size,
  encode({ lineage, begin, logBytes }, buffer, start) {
    const problem = lineageProblem(lineage)
    assert(problem === null && begin.batchSeq >= 1 && begin.seq >= 1, `LEARN is legal problem=${problem}`)
    LEARN_BODY.encode(buffer, start, {
      beginBatchSeq: begin.batchSeq,
      beginSeq: begin.seq,
      beginPreviousHash: begin.previousHash,
      logBytes,
      nameCount: lineage.length,
    })
    writeNames(buffer, start + LEARN_BODY.size, lineage)
  },
  decode(buffer, length) {
    const { beginBatchSeq, beginSeq, beginPreviousHash, logBytes, nameCount } = decodeStruct(LEARN_BODY, buffer, 0)
    demand(LEARN_BODY.size + nameCount * LOG_NAME.size === length, `names nameCount=${nameCount}`)
    demand(beginBatchSeq >= 1 && beginSeq >= 1, `begin batchSeq=${beginBatchSeq} seq=${beginSeq}`)
    const lineage = readNames(buffer, LEARN_BODY.size, nameCount)
    const problem = lineageProblem(lineage)
    demand(problem === null, `names are not legal: ${problem}`)
    const begin = { batchSeq: beginBatchSeq, seq: beginSeq, previousHash: beginPreviousHash }
    return { type: 'LEARN', lineage, begin, logBytes }
  },
}

const fetchBody: BodyCodec<MessageOf<'FETCH'>> = structBody(
  FETCH_BODY,
  ({ fromBatchSeq, bytesMax }) => ({ fromBatchSeq, bytesMax }),
  ({ fromBatchSeq, bytesMax }) => {
    demand(fromBatchSeq >= 1, `fromBatchSeq=${fromBatchSeq}`)
    return { type: 'FETCH', fromBatchSeq, bytesMax }
  },
)

const prepareBody: BodyCodec<MessageOf<'PREPARE'>> = structBody(
  PREPARE_BODY,
  ({ authoritativeLogUuid, newLogUuid, lastBatchSeq, lastHash }) => ({
    authoritativeLogUuid: uuidBytes(authoritativeLogUuid),
    newLogUuid: uuidBytes(newLogUuid),
    lastBatchSeq,
    lastHash,
  }),
  ({ authoritativeLogUuid, newLogUuid, lastBatchSeq, lastHash }) => ({
    type: 'PREPARE',
    authoritativeLogUuid: uuidOf(authoritativeLogUuid),
    newLogUuid: uuidOf(newLogUuid),
    lastBatchSeq,
    lastHash,
  }),
)

function stateBodyOf<Message extends { readonly state: VolumeState }>(
  make: (state: VolumeState) => Message,
): BodyCodec<Message> {
  return {
    bytesMin: STATE_BYTES_MIN,
    bytesMax: STATE_BYTES_MAX,
    size: ({ state }) => stateBytes(state),
    encode: ({ state }, buffer, start) => writeState(buffer, start, state),
    decode: (buffer, length) => make(readState(buffer, 0, length)),
  }
}

export const BODIES_V1: Bodies = {
  TRIM: numberBody(
    BATCH_NUMBER_BODY,
    ({ batchSeq }) => batchSeq,
    (batchSeq) => ({ type: 'TRIM', batchSeq }),
  ),
  HEARTBEAT: numberBody(
    BEAT_BODY,
    ({ number }) => number,
    (number) => ({ type: 'HEARTBEAT', number }),
  ),
  RELEASE: emptyBody({ type: 'RELEASE' }),
  LEARN: learnBody,
  SEAL: structBody(
    SEAL_BODY,
    ({ predecessorOff }) => ({ predecessorOff: predecessorOff ? 1 : 0 }),
    ({ predecessorOff }) => ({ type: 'SEAL', predecessorOff: flagOf(predecessorOff, 'predecessorOff') }),
  ),
  FETCH: fetchBody,
  PREPARE: prepareBody,
  PROMOTE: structBody(
    PROMOTE_BODY,
    ({ logUuid }) => ({ logUuid: uuidBytes(logUuid) }),
    ({ logUuid }) => ({ type: 'PROMOTE', logUuid: uuidOf(logUuid) }),
  ),
  STATE: emptyBody({ type: 'STATE' }),
  APPENDED: numberBody(
    BATCH_NUMBER_BODY,
    ({ batchSeq }) => batchSeq,
    (batchSeq) => ({ type: 'APPENDED', batchSeq }),
  ),
  TRIMMED: numberBody(
    BATCH_NUMBER_BODY,
    ({ batchSeq }) => batchSeq,
    (batchSeq) => ({ type: 'TRIMMED', batchSeq }),
  ),
  ALIVE: numberBody(
    BEAT_BODY,
    ({ number }) => number,
    (number) => ({ type: 'ALIVE', number }),
  ),
  RELEASED: emptyBody({ type: 'RELEASED' }),
  LEARNING: emptyBody({ type: 'LEARNING' }),
  SEALED: stateBodyOf((state) => ({ type: 'SEALED', state })),
  SEAL_WAIT: numberBody(
    SEAL_WAIT_BODY,
    ({ remainingMs }) => Math.ceil(remainingMs),
    (remainingMs) => ({ type: 'SEAL_WAIT', remainingMs }),
  ),
  FETCH_END: structBody(
    FETCH_END_BODY,
    ({ lastBatchSeq, more }) => ({ lastBatchSeq, more: more ? 1 : 0 }),
    ({ lastBatchSeq, more }) => ({ type: 'FETCH_END', lastBatchSeq, more: flagOf(more, 'more') }),
  ),
  PREPARED: emptyBody({ type: 'PREPARED' }),
  PROMOTED: emptyBody({ type: 'PROMOTED' }),
  STATE_IS: stateBodyOf((state) => ({ type: 'STATE_IS', state })),
  CACHE: cacheBody,
  CACHE_IS: cacheIsBody,
  READ: readBody,
  BLOCKS: blocksBody,
}
