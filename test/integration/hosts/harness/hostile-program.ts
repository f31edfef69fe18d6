// A hostile peer: talks to a replica store in every way that it should not. Runs on a pretended host, with the certificate
// of that host, of another CA, or none. Says at the end in one JSON line how many of its connections the store has ended
// and with which refusals; one that it has not ended within the time given is `left`.
//
//   node hostile-program.ts JSON      HostileOrder
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { SILENT_LOG } from '../../../../base/log.ts'
import { createPrng } from '../../../../base/prng.ts'
import { systemClock } from '../../../../csi-driver/io/real/system-clock.ts'
import { TlsNetwork } from '../../../../csi-driver/io/real/tls-network.ts'
import type { PeerStream } from '../../../../csi-driver/io/peer-network.ts'
import { writeFrameHeader } from '../../../../csi-driver/replica/wire/frame.ts'
import { FrameReader } from '../../../../csi-driver/replica/wire/frame-reader.ts'
import { encodeMessage } from '../../../../csi-driver/replica/wire/message-codec.ts'
import type { Hello } from '../../../../csi-driver/replica/wire/messages.ts'
import { WIRE_VERSION_MAX, WIRE_VERSION_MIN } from '../../../../csi-driver/replica/wire/versions.ts'
import { volumeProof } from '../../../../csi-driver/replica/wire/volume-proof.ts'

export type Attack =
  /** Bytes of chance over plain TCP; and connections that say nothing at all. */
  | 'garbage'
  | 'silence'
  | 'no-certificate'
  | 'foreign-certificate'
  /** A HELLO of the newest owner, proven with another key. */
  | 'wrong-key'
  /** A good HELLO of an own volume, sent again over another connection, and twice over one. */
  | 'replayed-hello'
  | 'truncated'
  | 'huge'
  /** A HELLO byte by byte, slower than anybody needs. */
  | 'slow'

export interface HostileOrder {
  readonly attack: Attack
  readonly host: string
  readonly port: number
  /** Of the store. */
  readonly node: string
  /** Own name and certificate. */
  readonly as: string
  readonly tlsDir: string
  readonly volume: string
  readonly volumeUuid: string
  readonly connections: number
  readonly lastsMs: number
}

export interface HostileReport {
  readonly connections: number
  readonly ended: number
  readonly left: number
  /** Codes of REFUSED, and how often. */
  readonly refused: Readonly<Record<string, number>>
}

/** The largest that the field takes. */
const HUGE = 0xffff_ffff
const STAGGER_MS = 30
const APPEND = 2
const HELLO = 1

const order = JSON.parse(process.argv[2] ?? '') as HostileOrder
const network = new TlsNetwork({ tlsDir: order.tlsDir, clock: systemClock, log: SILENT_LOG })
const prng = createPrng(order.attack)
const refused: Record<string, number> = {}
let ended = 0

/** Resolves when the connection is over, or the time is. */
type Fight = () => Promise<void>

const timeIsOver = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, order.lastsMs).unref())

function plain(first: Buffer | null): Fight {
  return () => {
    const socket = connect(order.port, order.host, () => first !== null && socket.write(first))
    return closed(socket)
  }
}

function withTls(): Fight {
  return () => closed(connectTls({ host: order.host, port: order.port, rejectUnauthorized: false, servername: '' }))
}

function closed(socket: Socket): Promise<void> {
  socket.on('error', () => undefined)
  socket.on('data', () => undefined)
  const over = new Promise<void>((resolve) => {
    socket.on('close', () => {
      ended++
      resolve()
    })
  })
  return Promise.race([over, timeIsOver()])
}

function open(): Promise<PeerStream> {
  return new Promise((resolve, reject) => {
    network.connect({ kind: 'tcp', host: order.host, port: order.port }, order.node, (error, stream) => {
      if (stream === null) reject(error ?? new Error('no stream'))
      else resolve(stream)
    })
  })
}

/** Says what `talk` says on a connection with a certificate, and listens for what comes back. */
function talking(talk: (stream: PeerStream) => void): Fight {
  return async () => {
    let stream: PeerStream
    try {
      stream = await open()
    } catch {
      // Refused before a word.
      ended++
      return
    }
    const reader = new FrameReader({
      from: 'store',
      onMessage: (message) => {
        if (message.type === 'REFUSED') refused[message.code] = (refused[message.code] ?? 0) + 1
      },
      onProblem: () => undefined,
    })
    const over = new Promise<void>((resolve) => {
      stream.start({
        data: (bytes) => reader.push(bytes),
        end: () => stream.end(),
        closed: () => {
          ended++
          resolve()
        },
      })
    })
    talk(stream)
    await Promise.race([over, timeIsOver()])
  }
}

function hello(exporter: Buffer, key: Buffer, given: Partial<Hello>): Buffer {
  const volumeUuid = given.volumeUuid ?? order.volumeUuid
  const message: Hello = {
    ...{ type: 'HELLO', versionMin: WIRE_VERSION_MIN, versionMax: WIRE_VERSION_MAX, volume: order.volume },
    ...{ node: order.as, epoch: 1_000_000, run: 1_000_000, purpose: 'owner', volumeKey: null, volumeUuid },
    ...given,
    proof: volumeProof(key, exporter, volumeUuid),
  }
  return Buffer.concat(encodeMessage(message, { version: 0, sequence: 1 }))
}

const OWN_UUID = 'ab'.repeat(16)
const OWN_KEY = Buffer.alloc(32, 7)
const ownHello = (exporter: Buffer): Buffer =>
  hello(exporter, OWN_KEY, { volume: 'hostile', volumeUuid: OWN_UUID, volumeKey: OWN_KEY })

function hugeFrame(type: number, version: number): Buffer {
  const frame = Buffer.alloc(4096)
  writeFrameHeader(frame, 0, { version, type, sequence: 1, bodyBytes: HUGE, bodyHash: 0n })
  return frame
}

function random(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  for (let i = 0; i < bytes; i++) buffer[i] = prng.below(256)
  return buffer
}

function dribble(stream: PeerStream, bytes: Buffer): void {
  let at = 0
  const timer = setInterval(() => {
    if (at < bytes.length) stream.write(bytes.subarray(at, ++at))
  }, 200)
  timer.unref()
}

async function fights(): Promise<readonly Fight[]> {
  const { attack, connections } = order
  const many = (fight: (index: number) => Fight): Fight[] => Array.from({ length: connections }, (_, i) => fight(i))
  switch (attack) {
    case 'garbage':
      return many((i) => plain(random(1 + i * 37)))
    case 'silence':
      return many(() => plain(null))
    case 'no-certificate':
      return many(() => withTls())
    case 'foreign-certificate':
      return many(() => talking(() => undefined))
    case 'wrong-key':
      return many((i) =>
        talking((stream) => {
          const purpose = i % 2 === 0 ? 'owner' : 'opener'
          stream.write(hello(stream.exporter(), OWN_KEY, { purpose, volumeKey: i % 3 === 0 ? OWN_KEY : null }))
        }),
      )
    case 'replayed-hello': {
      let recorded: Buffer = Buffer.alloc(0)
      await talking((stream) => {
        recorded = ownHello(stream.exporter())
        stream.write(recorded)
        setTimeout(() => stream.destroy(), 300)
      })()
      ended = 0
      return many((i) =>
        talking((stream) => {
          const own = i % 2 === 0 ? recorded : ownHello(stream.exporter())
          stream.write(own)
          stream.write(own)
        }),
      )
    }
    case 'truncated':
      return many((i) =>
        talking((stream) => {
          const whole = hello(stream.exporter(), OWN_KEY, {})
          stream.write(whole.subarray(0, 1 + ((i * 7) % (whole.length - 1))))
          if (i % 2 === 0) stream.end()
        }),
      )
    case 'huge':
      return many((i) => talking((stream) => stream.write(hugeFrame(i % 2 === 0 ? HELLO : APPEND, i % 4 < 2 ? 0 : 1))))
    case 'slow':
      return many(() => talking((stream) => dribble(stream, ownHello(stream.exporter()))))
  }
}

const all = await fights()
// Not all at once: what the store refuses for being too many tells nothing about the rest.
await Promise.all(
  all.map(async (fight, i) => {
    await new Promise((resolve) => setTimeout(resolve, i * STAGGER_MS))
    await fight()
  }),
)
const report: HostileReport = { connections: order.connections, ended, left: order.connections - ended, refused }
process.stdout.write(`${JSON.stringify(report)}\n`)
process.exit(0)
