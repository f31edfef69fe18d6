// An owner of one volume as a process of its own: real TLS to the stores that it is told, a log in memory, batch after
// batch. Each store begins as a learner and is waited for once it has joined. It prints one JSON object per line: what it
// hears of its stores, and each batch that all of them hold.
import { createPrng } from '../../../base/prng.ts'
import { SILENT_LOG } from '../../../base/log.ts'
import { BatchBuilder } from '../../../csi-driver/batch/batch-builder.ts'
import { BatchView } from '../../../csi-driver/batch/batch-view.ts'
import { SystemAlignedMemory } from '../../../csi-driver/io/real/aligned-memory.ts'
import { systemClock, systemTimers } from '../../../csi-driver/io/real/system-clock.ts'
import { TlsNetwork } from '../../../csi-driver/io/real/tls-network.ts'
import type { Member } from '../../../csi-driver/register/record.ts'
import {
  type BatchFrame,
  type BatchSource,
  Replicator,
  type ReplicatorEvent,
} from '../../../csi-driver/replica/replicator.ts'

export interface OwnerOrder {
  readonly tlsDir: string
  readonly node: string
  readonly peers: readonly { readonly node: string; readonly port: number }[]
  readonly volume: string
  /** 32 hexadecimal digits. */
  readonly volumeUuid: string
  readonly epoch: number
  readonly logBytes: number
  readonly payloadBytes: number
  /** Batches; then it goes on without any. */
  readonly batches: number
  /** Between two batches; 0: as fast as they are acknowledged. */
  readonly pauseMs: number
}

const order = JSON.parse(process.argv[2] ?? '') as OwnerOrder
const say = (line: object): boolean => process.stdout.write(`${JSON.stringify(line)}\n`)
const logUuid = `${order.epoch.toString(16).padStart(16, '0')}${'cd'.repeat(8)}`

/** Keeps every batch: nothing is ever trimmed. */
class KeptLog implements BatchSource {
  readonly lineage = [{ logUuid, firstBatchSeq: 1 }]
  readonly begin = { batchSeq: 1, seq: 1, previousHash: 0n }
  lastBatchSeq = 0
  lastHash = 0n
  private readonly frames = new Map<number, Buffer>()

  keep(batchSeq: number, frame: Buffer, hash: bigint): void {
    this.frames.set(batchSeq, Buffer.from(frame))
    this.lastBatchSeq = batchSeq
    this.lastHash = hash
  }

  readBatch(batchSeq: number, done: (error: Error | null, frame: BatchFrame | null) => void): void {
    const stored = this.frames.get(batchSeq)
    systemTimers.soon(() => done(null, stored === undefined ? null : frameAt(stored, 0, stored.length)))
  }
}

function frameAt(buffer: Buffer, start: number, length: number): BatchFrame {
  const view = new BatchView()
  view.parse(buffer, start, length)
  return { buffer, start, headerBytes: view.payloadOffset, payloadBytes: view.payloadBytes }
}

const network = new TlsNetwork({ tlsDir: order.tlsDir, clock: systemClock, log: SILENT_LOG })
const log = new KeptLog()
const replicator = new Replicator(
  {
    network,
    clock: systemClock,
    timers: systemTimers,
    prng: createPrng('owner'),
    log: SILENT_LOG,
    source: log,
  },
  {
    volume: order.volume,
    volumeUuid: order.volumeUuid,
    volumeKey: Buffer.alloc(32, order.volumeUuid.charCodeAt(0)),
    node: order.node,
    epoch: order.epoch,
    run: 1,
    logBytes: order.logBytes,
  },
)
const members = new Map<string, Member>()
let started = false

replicator.onChange = (event: ReplicatorEvent): void => {
  const { kind, node } = event
  say({ event: kind, node, reason: 'reason' in event ? event.reason : 'message' in event ? event.message : '' })
  if (kind === 'connected' && !members.has(node)) replicator.learn(node)
  if (kind !== 'joined') return
  const member = replicator.joinedMember(node)
  if (member === null) return
  members.set(node, member)
  replicator.waitFor([...members.values()])
  if (members.size === order.peers.length && !started) {
    started = true
    append()
  }
}
replicator.setPeers(
  order.peers.map(({ node, port }) => ({ node, address: { kind: 'tcp', host: '127.0.0.1', port }, domain: 'default' })),
)
replicator.start()
// A learner joins with a batch; and a timer keeps the process alive.
setInterval(() => {
  if (!started) append()
}, 50)

const memory = new SystemAlignedMemory()
const builders = [new BatchBuilder(memory), new BatchBuilder(memory)]
const payload = Buffer.alloc(order.payloadBytes)
const chance = createPrng('payload')
for (let i = 0; i < payload.length; i += 4) payload.writeUInt32LE(chance.u32(), i)
let inFlight = false

function append(): void {
  if (inFlight || log.lastBatchSeq >= order.batches) return
  inFlight = true
  const batchSeq = log.lastBatchSeq + 1
  const builder = builders[batchSeq % 2] as BatchBuilder
  builder.reset()
  builder.addWrite({ sector: batchSeq, buffer: payload, start: 0, length: payload.length, uniqueLow: 1, uniqueHigh: 0 })
  const hash = builder.seal({
    volumeUuid: Buffer.from(order.volumeUuid, 'hex'),
    logUuid: Buffer.from(logUuid, 'hex'),
    epoch: order.epoch,
    run: 1,
    batchSeq,
    firstSeq: batchSeq,
    ackedSeq: batchSeq - 1,
    trimSeq: 0,
    previousHash: log.lastHash,
    wallMs: Date.now(),
    session: 1n,
  })
  const start = builder.frameStart
  log.keep(batchSeq, builder.buffer.subarray(start, start + builder.frameBytes), hash)
  replicator.append(frameAt(builder.buffer, start, builder.frameBytes), batchSeq, () => {
    inFlight = false
    if (started) say({ event: 'acked', batchSeq, members: members.size })
    if (!started) return
    if (order.pauseMs > 0) setTimeout(append, order.pauseMs)
    else setImmediate(append)
  })
}
