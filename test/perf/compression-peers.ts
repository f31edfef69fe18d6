// The two ends of a replication that does nothing else, for measuring compression apart from the engine: the sender keeps
// one batch in flight, as the replicator does, and the receiver acknowledges each when it has checked its hash.
//
//     node compression-peers.ts receive ADDRESS PORT TLS-DIRECTORY
//     node compression-peers.ts send    ADDRESS PORT TLS-DIRECTORY PLAN     one line of JSON per sample on stdout
//
//   batch: payloadBytes u32 │ codec u32 │ xxHash64 of the payload u64 │ payload as sent      acknowledgement: 32 bytes
import type { TLSSocket } from 'node:tls'
import { xxhash64 } from '../../base/xxhash64.ts'
import { systemClock } from '../../csi-driver/io/real/system-clock.ts'
import { AdaptivePayloads, type PayloadCoder, RAW_PAYLOADS } from '../../csi-driver/replica/replicator/payloads.ts'
import { type PayloadKind, payloadsOf } from './compression-payloads.ts'
import type { CompressionSample } from './compression-report.ts'
import { Patience } from './quiet.ts'
import { median } from './report.ts'
import { connectTls, listenTls } from './tls-ends.ts'

export interface CompressionPlan {
  readonly link: string
  readonly payloads: readonly PayloadKind[]
  readonly batchBytes: readonly number[]
  readonly rounds: number
  readonly secondsPerSample: number
  /** Spent on waiting for others on the machine. */
  readonly patienceSeconds: number
}

const HEADER_BYTES = 16
const ACKNOWLEDGEMENT_BYTES = 32
/** Enough that no batch is met again while caches remember it. */
const POOL_BYTES = 24 * 1024 * 1024
/** Batches before a sample that warm up code and congestion window. */
const WARM_BATCHES = 30

function receive(socket: TLSSocket): void {
  const header = Buffer.alloc(HEADER_BYTES)
  const body = Buffer.alloc(4 * 1024 * 1024)
  const acknowledgement = Buffer.alloc(ACKNOWLEDGEMENT_BYTES, 1)
  let filled = 0
  const take = (data: Buffer, from: number): number => {
    if (filled < HEADER_BYTES) {
      const taken = data.copy(header, filled, from)
      filled += taken
      return taken
    }
    const length = header.readUInt32LE(0)
    const taken = data.copy(body, filled - HEADER_BYTES, from, from + HEADER_BYTES + length - filled)
    filled += taken
    if (filled === HEADER_BYTES + length) {
      if (xxhash64(body, 0, length) !== header.readBigUInt64LE(8)) throw new Error('a batch came damaged')
      filled = 0
      socket.write(acknowledgement)
    }
    return taken
  }
  socket.on('data', (data: Buffer) => {
    for (let at = 0; at < data.length; ) at += take(data, at)
  })
}

/** Sends one batch after the other over one connection. */
class Sender {
  private readonly socket: TLSSocket
  private readonly output = Buffer.alloc(2 * 1024 * 1024)
  private received = 0
  private acknowledged: () => void = () => undefined

  constructor(socket: TLSSocket) {
    this.socket = socket
    socket.on('data', (data: Buffer) => {
      this.received += data.length
      if (this.received < ACKNOWLEDGEMENT_BYTES) return
      this.received = 0
      this.acknowledged()
    })
  }

  /** Calls `done` with the payload's length as sent. */
  send(
    coder: PayloadCoder,
    pool: Buffer,
    range: { start: number; length: number },
    done: (sent: number) => void,
  ): void {
    const { start, length } = range
    const compressor = coder.choose(pool, start, length)
    const packed = compressor?.compress(pool, start, length, this.output.subarray(0, length - 1)) ?? -1
    const payload = packed < 0 ? pool.subarray(start, start + length) : this.output.subarray(0, packed)
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt32LE(payload.length, 0)
    header.writeUInt32LE(packed < 0 ? 0 : (compressor?.code ?? 0), 4)
    header.writeBigUInt64LE(xxhash64(payload, 0, payload.length), 8)
    const handedOverMs = systemClock.monotonicMs()
    this.acknowledged = () => {
      coder.sent(length, payload.length, systemClock.monotonicMs() - handedOverMs)
      done(payload.length)
    }
    this.socket.cork()
    this.socket.write(header)
    this.socket.write(payload)
    this.socket.uncork()
  }
}

interface Wanted {
  readonly coder: PayloadCoder
  readonly pool: Buffer
  readonly batchBytes: number
  /** Ends with the first batch after that many ms and that many batches. */
  readonly ms: number
  readonly batches: number
}

type Subject = Omit<CompressionSample, keyof Measured> & { readonly pool: Buffer; readonly coder: PayloadCoder }
type Measured = Pick<CompressionSample, 'megabytesPerSecond' | 'p50Micros' | 'cpuMicros' | 'sentShare'>

function measure(sender: Sender, { coder, pool, batchBytes, ms, batches }: Wanted): Promise<Measured> {
  return new Promise((resolve) => {
    const latencies: number[] = []
    const cpuBefore = process.cpuUsage()
    const begunMs = performance.now()
    let sentBytes = 0
    const next = (): void => {
      const batchBegunMs = performance.now()
      // Steps that meet every part of the pool in turn.
      const start = ((latencies.length * 7 * batchBytes) % (pool.length - batchBytes)) & ~511
      sender.send(coder, pool, { start, length: batchBytes }, (sent) => {
        const nowMs = performance.now()
        latencies.push(nowMs - batchBegunMs)
        sentBytes += sent
        if (nowMs - begunMs < ms || latencies.length < batches) return next()
        const rawBytes = latencies.length * batchBytes
        const cpu = process.cpuUsage(cpuBefore)
        resolve({
          megabytesPerSecond: rawBytes / 1000 / (nowMs - begunMs),
          p50Micros: median(latencies) * 1000,
          cpuMicros: (cpu.user + cpu.system) / latencies.length,
          sentShare: sentBytes / rawBytes,
        })
      })
    }
    next()
  })
}

/** One mode after the other, each warmed up. */
async function measurePair(
  sender: Sender,
  subjects: readonly Subject[],
  seconds: number,
): Promise<CompressionSample[]> {
  const samples: CompressionSample[] = []
  for (const { pool, coder, ...sample } of subjects) {
    const { batchBytes } = sample
    // oxlint-disable-next-line eslint/no-await-in-loop -- they take turns
    await measure(sender, { coder: RAW_PAYLOADS, pool, batchBytes, ms: 0, batches: WARM_BATCHES })
    // oxlint-disable-next-line eslint/no-await-in-loop -- they take turns
    samples.push({ ...sample, ...(await measure(sender, { coder, pool, batchBytes, ms: seconds * 1000, batches: 1 })) })
  }
  return samples
}

async function runPlan(sender: Sender, plan: CompressionPlan): Promise<void> {
  const { link, rounds, secondsPerSample, patienceSeconds } = plan
  const patience = new Patience(patienceSeconds * 1000)
  const pools = plan.payloads.map((payload) => ({ payload, pool: payloadsOf(payload, POOL_BYTES) }))
  // One volume for each pair, which begins to learn with its first round.
  const pairs = pools.flatMap((subject) =>
    plan.batchBytes.map((batchBytes) => ({ ...subject, batchBytes, auto: new AdaptivePayloads(systemClock) })),
  )
  for (let round = 1; round <= rounds; round++) {
    for (const { auto, ...subject } of pairs) {
      const subjects: Subject[] = [
        { ...subject, round, link, mode: 'off', coder: RAW_PAYLOADS },
        { ...subject, round, link, mode: 'auto', coder: auto },
      ]
      // Who comes second finds the machine as the first one left it: each is that in every other round.
      const turns = round % 2 === 0 ? subjects.toReversed() : subjects
      // oxlint-disable-next-line eslint/no-await-in-loop -- they take turns
      const { sample } = await patience.measureInQuiet(() => measurePair(sender, turns, secondsPerSample))
      for (const found of sample) process.stdout.write(`${JSON.stringify(found)}\n`)
    }
  }
}

async function main([role, address = '', port = '', directory = '', plan = '']: readonly string[]): Promise<void> {
  const end = { address, port: Number(port), directory }
  if (role === 'receive') {
    await listenTls(end, receive)
    process.stdout.write('listening\n')
    return
  }
  const socket = await connectTls(end)
  await runPlan(new Sender(socket), JSON.parse(plan) as CompressionPlan)
  socket.destroy()
}

if (import.meta.main) await main(process.argv.slice(2))
