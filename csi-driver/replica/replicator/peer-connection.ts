// One connection to a replica store, from the connect to its end: HELLO, WELCOME, then messages both ways. It owns the
// stream, its frame numbers and the time limit of the greeting; what the messages mean is decided by its user (PeerLink,
// StoreSession). Wire: docs/formats/wire.md.
//
//   connecting ─▶ greeting ─▶ open ─▶ over
//        └───────────┴──────────┴──────▲
//
// `over` runs once, and nothing runs after it or after `destroy`. A destroyed stream sends nothing more, so that buffers
// which wait in it may be re-used.
import { assert } from '../../../base/assert.ts'
import type { Timer, Timers } from '../../../base/clock.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import type { NetworkAddress } from '../../io/network.ts'
import type { PeerNetwork, PeerStream } from '../../io/peer-network.ts'
import type { RefusalCode } from '../../protocol/stored-log.ts'
import type { EnvelopeBuffer } from '../wire/envelope-buffer.ts'
import { FIRST_SEQUENCE, nextSequence } from '../wire/frame.ts'
import { FrameReader, type RoomForBody } from '../wire/frame-reader.ts'
import { encodeBody, encodeMessage, type FrameMark } from '../wire/message-codec.ts'
import type { BodyInMemory, EngineMessage, MessageFrom, MessageOf } from '../wire/messages.ts'
import { WIRE_VERSION_MAX, WIRE_VERSION_MIN } from '../wire/versions.ts'
import { volumeProof } from '../wire/volume-proof.ts'
import type { VolumeIdentity } from './ports.ts'

/** From the connect to WELCOME, TLS handshake and the store's durable note of the new engine included. */
export const GREETING_LIMIT_MS: Ms = 3_000

export interface ConnectionPorts {
  readonly network: PeerNetwork
  readonly timers: Timers
}

export interface ConnectionRequest {
  readonly identity: VolumeIdentity
  readonly node: string
  readonly address: NetworkAddress
  readonly purpose: 'owner' | 'opener' | 'reader'
  /** Show the volume's key: the store has said that it does not know the volume. */
  readonly withKey: boolean
}

export type ConnectionEnd =
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly message: string }
  | { readonly kind: 'lost'; readonly message: string }

export interface ConnectionHandlers {
  welcome(message: MessageOf<'WELCOME'>): void
  /** Everything behind WELCOME but refusals. */
  message(message: MessageFrom<'store'>): void
  over(end: ConnectionEnd): void
  /** Where the body of a BATCH of so many bytes goes; absent: no batch is expected. */
  bodyBuffer?(bodyBytes: Bytes): RoomForBody | null
}

export class PeerConnection {
  private readonly request: ConnectionRequest
  private readonly handlers: ConnectionHandlers
  private readonly ports: ConnectionPorts
  private readonly reader: FrameReader<'store'>
  private limit: Timer | null = null
  private stream: PeerStream | null = null
  private phase: 'connecting' | 'greeting' | 'open' | 'over' = 'connecting'
  private version = WIRE_VERSION_MAX
  private sequence = FIRST_SEQUENCE

  constructor(ports: ConnectionPorts, request: ConnectionRequest, handlers: ConnectionHandlers) {
    this.ports = ports
    this.request = request
    this.handlers = handlers
    this.reader = new FrameReader({
      from: 'store',
      onMessage: (message) => this.received(message),
      onProblem: ({ message }) => this.finish({ kind: 'lost', message: `bad frame of the peer: ${message}` }),
      bodyBuffer: (_type, bodyBytes) => handlers.bodyBuffer?.(bodyBytes) ?? null,
    })
  }

  /** Begins; called once. */
  open(): void {
    const { network, timers } = this.ports
    this.limit = timers.after(GREETING_LIMIT_MS, () => {
      this.finish({ kind: 'lost', message: `no answer within ${GREETING_LIMIT_MS} ms while ${this.phase}` })
    })
    network.connect(this.request.address, this.request.node, (error, stream) => this.connected(error, stream))
  }

  /** Bytes that were accepted and not sent yet. */
  get pendingBytes(): Bytes {
    return this.stream?.pendingBytes ?? 0
  }

  /** This and the next two only after `welcome`. */
  send(message: EngineMessage): void {
    this.write(encodeMessage(message, this.nextMark()))
  }

  /**
   * Sends an APPEND by reference: the envelope is not filled again until it is answered or the connection is over. It leaves
   * at once, for the write of the own log that follows may keep the thread: both disks work at the same time.
   */
  sendFlight(envelope: EnvelopeBuffer): void {
    this.write(envelope.append(this.nextMark()))
    this.stream?.push()
  }

  /** The same for an envelope that stands in memory. */
  sendBatch(body: BodyInMemory): void {
    this.write(encodeBody('APPEND', body, this.nextMark()))
  }

  /** Gives up at once; `over` will not run. */
  destroy(): void {
    if (this.phase === 'over') return
    this.phase = 'over'
    this.limit?.cancel()
    this.reader.end()
    this.stream?.destroy()
  }

  private connected(error: Error | null, stream: PeerStream | null): void {
    if (stream === null) {
      this.finish({ kind: 'lost', message: error?.message ?? 'connect failed' })
      return
    }
    if (this.phase === 'over') {
      // Too late: nobody waits for it any more.
      stream.start({ data() {}, closed() {} })
      stream.destroy()
      return
    }
    this.stream = stream
    stream.start({
      data: (bytes) => this.reader.push(bytes),
      end: () => this.finish({ kind: 'lost', message: 'the peer closed the connection' }),
      closed: (cause) => this.finish({ kind: 'lost', message: cause?.message ?? 'connection closed' }),
    })
    this.phase = 'greeting'
    this.write(encodeMessage(this.hello(stream), this.nextMark()))
  }

  private hello(stream: PeerStream): EngineMessage {
    const { identity, purpose, withKey } = this.request
    const { volume, volumeUuid, volumeKey, node, epoch, run } = identity
    return {
      type: 'HELLO',
      versionMin: WIRE_VERSION_MIN,
      versionMax: WIRE_VERSION_MAX,
      volume,
      volumeUuid,
      node,
      epoch,
      run,
      purpose,
      proof: volumeProof(volumeKey, stream.exporter(), volumeUuid),
      volumeKey: withKey ? volumeKey : null,
    }
  }

  private received(message: MessageFrom<'store'>): void {
    if (this.phase === 'over') return
    if (message.type === 'REFUSED') {
      this.finish({ kind: 'refused', code: message.code, message: message.message })
      return
    }
    if (this.phase === 'open' && message.type !== 'WELCOME') {
      this.handlers.message(message)
      return
    }
    if (this.phase !== 'greeting' || message.type !== 'WELCOME') {
      this.finish({ kind: 'lost', message: `unexpected message type=${message.type} phase=${this.phase}` })
      return
    }
    const problem = this.welcomeProblem(message)
    if (problem !== null) {
      this.finish({ kind: 'lost', message: problem })
      return
    }
    this.version = message.version
    this.reader.agree(message.version)
    this.phase = 'open'
    this.limit?.cancel()
    this.handlers.welcome(message)
  }

  private welcomeProblem({ node, version }: MessageOf<'WELCOME'>): string | null {
    if (node !== this.request.node) return `the store is that of another node found=${node}`
    if (version < WIRE_VERSION_MIN || version > WIRE_VERSION_MAX) return `version was not offered version=${version}`
    return null
  }

  private nextMark(): FrameMark {
    const { stream, version, sequence } = this
    assert(stream !== null && this.phase !== 'over', `there is a stream phase=${this.phase}`)
    this.sequence = nextSequence(sequence)
    return { version, sequence }
  }

  private write(parts: readonly Buffer[]): void {
    for (const bytes of parts) this.stream?.write(bytes)
  }

  private finish(end: ConnectionEnd): void {
    if (this.phase === 'over') return
    this.destroy()
    this.handlers.over(end)
  }
}
