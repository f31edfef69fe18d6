// The messages between an engine and a replica store: what they carry, their limits, nothing about bytes. Encoded by
// message-codec.ts in the frames of frame.ts; described with every offset in docs/formats/wire.md.
//
//   engine ─▶ store   HELLO APPEND TRIM HEARTBEAT RELEASE LEARN SEAL FETCH PREPARE PROMOTE STATE CACHE READ
//   store ─▶ engine   WELCOME REFUSED APPENDED TRIMMED ALIVE RELEASED LEARNING SEALED SEAL_WAIT BATCH FETCH_END
//                     PREPARED PROMOTED STATE_IS CACHE_IS BLOCKS
import type { BatchSeq, BlockNumber, Bytes, Epoch, Ms, Run } from '../../../base/units.ts'
import type { LogBegin, LogName, RefusalCode, VolumeState } from '../../protocol/stored-log.ts'

export interface Hello {
  readonly type: 'HELLO'
  readonly versionMin: number
  readonly versionMax: number
  readonly volume: string
  readonly volumeUuid: string
  readonly node: string
  readonly epoch: Epoch
  readonly run: Run
  /**
   * owner: writes the log. opener: has claimed the epoch, seals and gathers. reader: reads from the cache that the owner
   * before has left behind on this node; it has nothing to do with the store's log of the volume.
   */
  readonly purpose: 'owner' | 'opener' | 'reader'
  /** HMAC-SHA256, 32 bytes; see volume-proof.ts. */
  readonly proof: Buffer
  /** 32 bytes in the first HELLO of a volume that the store may not know; null otherwise. */
  readonly volumeKey: Buffer | null
}

/**
 * One batch, as its owner sealed it, in an envelope: header without the zeros at its end, payload without its padding,
 * perhaps compressed. The envelope is no part of the batch's identity, which is its headerHash; a store keeps it as it
 * came and sends it on as it is.
 */
export interface BatchEnvelope {
  /** 0 raw, 1 LZ4 block, 2 zstd frame. */
  readonly codec: number
  /** Length of the payload as the header names it, before compression; a multiple of 512. */
  readonly rawPayloadBytes: Bytes
  /** Fixed part and descriptors of the batch header: the zeros behind them, up to the end of its blocks, stay away. */
  readonly header: Buffer
  /** As sent: `rawPayloadBytes` long where the codec is 0. */
  readonly payload: Buffer
}

/** Where the bytes of an envelope stand: the body of an APPEND or BATCH frame is buffer[start, start+length). */
export interface BodyInMemory {
  readonly buffer: Buffer
  readonly start: number
  readonly length: Bytes
  /** xxHash64 of these bytes, as in the frame header. */
  readonly hash: bigint
}

export type BatchMessage = { readonly type: 'APPEND' | 'BATCH' } & BatchEnvelope

export type EngineMessage =
  | Hello
  | (BatchMessage & { readonly type: 'APPEND' })
  /** Everything up to and including `batchSeq` is destaged, flushed, checkpointed. */
  | { readonly type: 'TRIM'; readonly batchSeq: BatchSeq }
  | { readonly type: 'HEARTBEAT'; readonly number: number }
  /** The engine reads and acknowledges nothing more under the lease. */
  | { readonly type: 'RELEASE' }
  | {
      readonly type: 'LEARN'
      readonly lineage: readonly LogName[]
      readonly begin: LogBegin
      /** Space of the owner's log; as much is reserved. */
      readonly logBytes: Bytes
    }
  | { readonly type: 'SEAL'; readonly predecessorOff: boolean }
  | { readonly type: 'FETCH'; readonly fromBatchSeq: BatchSeq; readonly bytesMax: Bytes }
  | {
      readonly type: 'PREPARE'
      readonly authoritativeLogUuid: string
      readonly newLogUuid: string
      readonly lastBatchSeq: BatchSeq
      readonly lastHash: bigint
    }
  | { readonly type: 'PROMOTE'; readonly logUuid: string }
  | { readonly type: 'STATE' }
  /** Is the cache here that was left behind when the register had this version? */
  | { readonly type: 'CACHE'; readonly registerRv: number }
  | { readonly type: 'READ'; readonly number: number; readonly firstBlock: BlockNumber; readonly count: number }

export type StoreMessage =
  | {
      readonly type: 'WELCOME'
      readonly version: number
      readonly node: string
      readonly storeUuid: string
      readonly incarnation: number
      readonly resource: 'flash' | 'memory'
      readonly freeBytes: Bytes
      readonly state: VolumeState
    }
  | { readonly type: 'REFUSED'; readonly code: RefusalCode; readonly message: string }
  /** Every batch up to it is durable (memory: held). */
  | { readonly type: 'APPENDED'; readonly batchSeq: BatchSeq }
  | { readonly type: 'TRIMMED'; readonly batchSeq: BatchSeq }
  | { readonly type: 'ALIVE'; readonly number: number }
  | { readonly type: 'RELEASED' }
  | { readonly type: 'LEARNING' }
  | { readonly type: 'SEALED'; readonly state: VolumeState }
  | { readonly type: 'SEAL_WAIT'; readonly remainingMs: Ms }
  | (BatchMessage & { readonly type: 'BATCH' })
  | { readonly type: 'FETCH_END'; readonly lastBatchSeq: BatchSeq; readonly more: boolean }
  | { readonly type: 'PREPARED' }
  | { readonly type: 'PROMOTED' }
  | { readonly type: 'STATE_IS'; readonly state: VolumeState }
  | { readonly type: 'CACHE_IS'; readonly epochLeft: Epoch; readonly blocks: number; readonly remainingMs: Ms }
  | {
      readonly type: 'BLOCKS'
      readonly number: number
      /** Bit i: block firstBlock + i of the READ is here. */
      readonly held: number
      /** Of each block that is here, in order: xxHash64, its low 32 bits. */
      readonly hashes: readonly number[]
      /** 4096 bytes of each. */
      readonly data: Buffer
    }

export type WireMessage = EngineMessage | StoreMessage
export type MessageType = WireMessage['type']
export type MessageOf<Type extends MessageType> = Extract<WireMessage, { readonly type: Type }>

/** Who sends. */
export type Side = 'engine' | 'store'
/** What the other side gets to see: a batch comes with the place of its body, of which header and payload are views. */
export type Received<Message extends WireMessage> = Message extends { readonly type: 'APPEND' | 'BATCH' }
  ? Message & { readonly body: BodyInMemory }
  : Message
export type MessageFrom<From extends Side> = Received<From extends 'engine' ? EngineMessage : StoreMessage>
