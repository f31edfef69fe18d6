// The two ends of a replication over several connections, for measuring whether they are worth having: the sender keeps
// one batch in flight, cut into equal stripes, one a connection, and the receiver acknowledges each stripe. Its batch
// counts as acknowledged with its last stripe.
//
//     node connections-peers.ts receive ADDRESS PORT TLS-DIRECTORY
//     node connections-peers.ts send    ADDRESS PORT TLS-DIRECTORY PLAN     one line of JSON per sample on stdout
//
//   stripe: length u32 │ bytes      acknowledgement: 32 bytes
import { randomFillSync } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { Patience } from './quiet.ts'
import { median } from './report.ts'
import { connectTls, listenTls } from './tls-ends.ts'

export interface ConnectionsPlan {
  readonly link: string
  readonly batchBytes: readonly number[]
  readonly connections: readonly number[]
  readonly rounds: number
  readonly secondsPerSample: number
  /** Spent on waiting for others on the machine. */
  readonly patienceSeconds: number
}

export interface ConnectionsSample {
  readonly link: string
  readonly batchBytes: number
  readonly connections: number
  readonly megabytesPerSecond: number
  readonly p50Micros: number
  /** CPU of the sending process per batch. */
  readonly cpuMicros: number
}

const HEADER_BYTES = 4
const ACKNOWLEDGEMENT_BYTES = 32
const WARM_UP_MS = 200

function receive(socket: TLSSocket): void {
  const header = Buffer.alloc(HEADER_BYTES)
  const acknowledgement = Buffer.alloc(ACKNOWLEDGEMENT_BYTES, 1)
  let filled = 0
  let missing = 0
  const take = (data: Buffer, from: number): number => {
    if (filled < HEADER_BYTES) {
      const taken = data.copy(header, filled, from)
      filled += taken
      if (filled === HEADER_BYTES) missing = header.readUInt32LE(0)
      return taken
    }
    const taken = Math.min(missing, data.length - from)
    missing -= taken
    if (missing === 0) {
      filled = 0
      socket.write(acknowledgement)
    }
    return taken
  }
  socket.on('data', (data: Buffer) => {
    for (let at = 0; at < data.length; ) at += take(data, at)
  })
}

/** Sends one batch after the other over the first `count` of its connections. */
class Sender {
  private readonly sockets: readonly TLSSocket[]
  private readonly headers: readonly Buffer[]
  private missingBytes = 0
  private acknowledged: () => void = () => undefined

  constructor(sockets: readonly TLSSocket[]) {
    this.sockets = sockets
    this.headers = sockets.map(() => Buffer.alloc(HEADER_BYTES))
    for (const socket of sockets) {
      socket.on('data', (data: Buffer) => {
        this.missingBytes -= data.length
        if (this.missingBytes === 0) this.acknowledged()
      })
    }
  }

  send(batch: Buffer, count: number, done: () => void): void {
    const stripeBytes = batch.length / count
    this.missingBytes = count * ACKNOWLEDGEMENT_BYTES
    this.acknowledged = done
    for (let index = 0; index < count; index++) {
      const socket = this.sockets[index] as TLSSocket
      const header = this.headers[index] as Buffer
      header.writeUInt32LE(stripeBytes, 0)
      socket.cork()
      socket.write(header)
      socket.write(batch.subarray(index * stripeBytes, (index + 1) * stripeBytes))
      socket.uncork()
    }
  }
}

type Figures = Pick<ConnectionsSample, 'megabytesPerSecond' | 'p50Micros' | 'cpuMicros'>

function measure(sender: Sender, batch: Buffer, count: number, ms: number): Promise<Figures> {
  return new Promise((resolve) => {
    const latencies: number[] = []
    const cpuBefore = process.cpuUsage()
    const begunMs = performance.now()
    const next = (): void => {
      const batchBegunMs = performance.now()
      sender.send(batch, count, () => {
        const nowMs = performance.now()
        latencies.push(nowMs - batchBegunMs)
        if (nowMs - begunMs < ms) return next()
        const cpu = process.cpuUsage(cpuBefore)
        resolve({
          megabytesPerSecond: (latencies.length * batch.length) / 1000 / (nowMs - begunMs),
          p50Micros: median(latencies) * 1000,
          cpuMicros: (cpu.user + cpu.system) / latencies.length,
        })
      })
    }
    next()
  })
}

async function runPlan(sender: Sender, plan: ConnectionsPlan): Promise<void> {
  const patience = new Patience(plan.patienceSeconds * 1000)
  const cases = plan.batchBytes.flatMap((batchBytes) =>
    plan.connections.map((connections) => ({ connections, batch: randomFillSync(Buffer.alloc(batchBytes)) })),
  )
  for (let round = 0; round < plan.rounds; round++) {
    for (const { batch, connections } of cases) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- they take turns
      const { sample } = await patience.measureInQuiet(async () => {
        await measure(sender, batch, connections, WARM_UP_MS)
        return measure(sender, batch, connections, plan.secondsPerSample * 1000)
      })
      const line: ConnectionsSample = { link: plan.link, batchBytes: batch.length, connections, ...sample }
      process.stdout.write(`${JSON.stringify(line)}\n`)
    }
  }
}

async function main([role, address = '', port = '', directory = '', text = '']: readonly string[]): Promise<void> {
  const end = { address, port: Number(port), directory }
  if (role === 'receive') {
    await listenTls(end, receive)
    process.stdout.write('listening\n')
    return
  }
  const plan = JSON.parse(text) as ConnectionsPlan
  const sockets = await Promise.all(Array.from({ length: Math.max(...plan.connections) }, () => connectTls(end)))
  await runPlan(new Sender(sockets), plan)
  for (const socket of sockets) socket.destroy()
}

if (import.meta.main) await main(process.argv.slice(2))
