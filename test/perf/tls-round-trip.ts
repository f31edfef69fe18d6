// The round trip of TLS on the loopback, as a floor for replication: a block of 4 KiB with a little header goes to another
// process, which answers with a few bytes once it has all of it. Nothing is stored, hashed or decided.
//
//     node tls-round-trip.ts TLS-DIRECTORY     the answering end; prints its port
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { FioResult } from './fio.ts'
import { percentile } from './report.ts'
import type { Scaffold } from './scaffold.ts'
import { connectTls, listenTls } from './tls-ends.ts'

const PROGRAM = fileURLToPath(import.meta.url)
/** A block, a frame header and the part of a batch's header that is sent (docs/formats/wire.md). */
const QUESTION_BYTES = 4096 + 256
const ANSWER_BYTES = 96
/** Compiles the code and opens the congestion window. */
const WARM_UP_MS = 300

const ADDRESS = '127.0.0.1'

function answer(socket: TLSSocket): void {
  const bytes = Buffer.alloc(ANSWER_BYTES, 1)
  let missing = QUESTION_BYTES
  socket.on('data', (data: Buffer) => {
    missing -= data.length
    if (missing > 0) return
    missing += QUESTION_BYTES
    socket.write(bytes)
  })
}

export class TlsRoundTrip {
  private readonly scaffold: Scaffold
  private readonly socket: TLSSocket
  private readonly question = Buffer.alloc(QUESTION_BYTES, 7)

  private constructor(scaffold: Scaffold, socket: TLSSocket) {
    this.scaffold = scaffold
    this.socket = socket
  }

  /** `directory` holds a certificate and its CA; both ends use it. */
  static async open(scaffold: Scaffold, directory: string): Promise<TlsRoundTrip> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    })
    const ended = once(child, 'close')
    scaffold.later('the answering end of TLS', async () => {
      child.kill('SIGKILL')
      await ended
    })
    const port = await portOf(child, ended)
    const socket = await connectTls({ address: ADDRESS, port, directory })
    scaffold.later('the asking end of TLS', async () => Promise.resolve(socket.destroy()))
    return new TlsRoundTrip(scaffold, socket)
  }

  /** Asks again and again, one question at a time. */
  async measure(seconds: number): Promise<FioResult> {
    await this.ask(WARM_UP_MS)
    const begunMs = performance.now()
    const micros = await this.ask(seconds * 1000)
    const at = (part: number): number => percentile(micros, part)
    const operations = micros.length
    const iops = (operations * 1000) / (performance.now() - begunMs)
    return { iops, operations, p50Micros: at(0.5), p99Micros: at(0.99), p999Micros: at(0.999) }
  }

  private ask(forMs: number): Promise<number[]> {
    const { socket, question, scaffold } = this
    return new Promise((resolve, reject) => {
      const micros: number[] = []
      const untilMs = performance.now() + forMs
      let askedMs = performance.now()
      let missing = ANSWER_BYTES
      const fail = (): void => reject(new Error('the answering end of TLS has gone'))
      const take = (data: Buffer): void => {
        missing -= data.length
        if (missing > 0) return
        const nowMs = performance.now()
        micros.push((nowMs - askedMs) * 1000)
        if (nowMs >= untilMs || scaffold.signal.aborted) {
          socket.off('data', take).off('close', fail)
          resolve(micros)
          return
        }
        missing = ANSWER_BYTES
        askedMs = performance.now()
        socket.write(question)
      }
      socket.on('data', take).once('close', fail)
      socket.write(question)
    })
  }
}

async function portOf(child: ChildProcess, ended: Promise<unknown>): Promise<number> {
  const said = once(child.stdout ?? child, 'data')
  const failed = ended.then(() => Promise.reject(new Error('the answering end of TLS did not start')))
  const [text] = (await Promise.race([said, failed])) as [Buffer]
  return Number(text.toString())
}

if (import.meta.main) {
  const port = await listenTls({ address: ADDRESS, port: 0, directory: process.argv[2] ?? '' }, answer)
  process.stdout.write(`${port}\n`)
}
