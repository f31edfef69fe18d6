// Bodies of the messages by which a new owner reads from the cache that the owner before it has left behind (rule 9):
// CACHE and CACHE_IS say which cache is meant, READ and BLOCKS carry clean blocks, each with the hash that its owner kept
// of it. Offsets: docs/formats/wire.md.
import { assert } from '../../../base/assert.ts'
import { defineLayout, u16, u32, u64, u8, zeros } from '../../../base/layout.ts'
import { BLOCK_BYTES, type Bytes } from '../../../base/units.ts'
import { type BodyCodec, demand, structBody } from './body-codec.ts'
import type { MessageOf } from './messages.ts'

/** Blocks that one READ may ask for; a BLOCKS has a bit for each. */
export const READ_BLOCKS_MAX = 16
const HASH_BYTES: Bytes = 4

export const CACHE_BODY = defineLayout('CACHE', {
  registerRv: u64('version of the register record that the reader has opened the volume from, at least 1'),
})

export const CACHE_IS_BODY = defineLayout('CACHE_IS', {
  epochLeft: u64('epoch of the owner that has left the cache behind'),
  blocks: u64('blocks that it holds'),
  remainingMs: u64('how long it is served yet, in ms'),
})

export const READ_BODY = defineLayout('READ', {
  number: u32('chosen by the engine, answered with the same'),
  count: u8('blocks wanted, 1 to 16'),
  reserved: zeros(3),
  firstBlock: u64('number of the first 4096-byte block of the volume'),
})

export const BLOCKS_BODY = defineLayout('BLOCKS', {
  number: u32('that of the READ'),
  held: u16('bit i: block firstBlock + i follows'),
  reserved: zeros(2),
})

export const cacheBody: BodyCodec<MessageOf<'CACHE'>> = structBody(
  CACHE_BODY,
  ({ registerRv }) => ({ registerRv }),
  ({ registerRv }) => {
    demand(registerRv >= 1, `registerRv=${registerRv}`)
    return { type: 'CACHE', registerRv }
  },
)

export const cacheIsBody: BodyCodec<MessageOf<'CACHE_IS'>> = structBody(
  CACHE_IS_BODY,
  ({ epochLeft, blocks, remainingMs }) => ({ epochLeft, blocks, remainingMs: Math.ceil(remainingMs) }),
  (values) => ({ type: 'CACHE_IS', ...values }),
)

export const readBody: BodyCodec<MessageOf<'READ'>> = structBody(
  READ_BODY,
  ({ number, count, firstBlock }) => {
    assert(count >= 1 && count <= READ_BLOCKS_MAX, `blocks count=${count}`)
    return { number, count, firstBlock }
  },
  ({ number, count, firstBlock }) => {
    demand(count >= 1 && count <= READ_BLOCKS_MAX, `blocks count=${count}`)
    return { type: 'READ', number, count, firstBlock }
  },
)

function blocksIn(held: number): number {
  let count = 0
  for (let rest = held; rest !== 0; rest &= rest - 1) count += 1
  return count
}

const sizeOf = (blocks: number): Bytes => BLOCKS_BODY.size + blocks * (HASH_BYTES + BLOCK_BYTES)

export const blocksBody: BodyCodec<MessageOf<'BLOCKS'>> = {
  bytesMin: sizeOf(0),
  bytesMax: sizeOf(READ_BLOCKS_MAX),
  size: ({ held }) => sizeOf(blocksIn(held)),
  encode({ number, held, hashes, data }, buffer, start) {
    const blocks = blocksIn(held)
    assert(hashes.length === blocks && data.length === blocks * BLOCK_BYTES, `BLOCKS is whole blocks=${blocks}`)
    BLOCKS_BODY.encode(buffer, start, { number, held })
    hashes.forEach((hash, index) => buffer.writeUInt32LE(hash, start + BLOCKS_BODY.size + index * HASH_BYTES))
    data.copy(buffer, start + BLOCKS_BODY.size + blocks * HASH_BYTES)
  },
  decode(buffer, length) {
    const { number, held } = BLOCKS_BODY.decode(buffer, 0)
    const blocks = blocksIn(held)
    demand(length === sizeOf(blocks), `blocks held=${held} bytes=${length}`)
    const hashesEnd = BLOCKS_BODY.size + blocks * HASH_BYTES
    return {
      type: 'BLOCKS',
      number,
      held,
      hashes: Array.from({ length: blocks }, (_, index) => buffer.readUInt32LE(BLOCKS_BODY.size + index * HASH_BYTES)),
      data: Buffer.from(buffer.subarray(hashesEnd, length)),
    }
  },
}
