// One connection of an engine: a stream, the frames on it, and its HELLO; afterwards an EngineLink of its volume, or the
// reader of a cache that was left behind (left-caches.ts).
//
//   greeting ──HELLO──▶ arriving ──welcome──▶ open ──────────▶ closing (nothing is delivered any more) ──▶ closed
//      └──────────────── refuse, close, the other side's end, a deadline ──────────▲
//
// Whatever goes wrong with it ends it alone, with at most one REFUSED, and gives back what it holds. Its stream is not
// read while its volume is above its share or no buffer for a body is free; deadlines do not run then.
import { assert } from '../../../base/assert.ts'
import type { Timer } from '../../../base/clock.ts'
import type { IoError } from '../../../base/errors.ts'
import type { Bytes, Epoch, Ms, Run } from '../../../base/units.ts'
import type { PeerStream } from '../../io/peer-network.ts'
import type { Purpose } from '../../protocol/store-rows.ts'
import { STORED_HEADER_BYTES, storedBytesFor } from '../store/store-geometry.ts'
import { FIRST_SEQUENCE, nextSequence } from '../wire/frame.ts'
import { FrameReader, type RoomForBody } from '../wire/frame-reader.ts'
import { encodeBody, encodeMessage } from '../wire/message-codec.ts'
import type { BodyInMemory, Hello, MessageFrom, StoreMessage } from '../wire/messages.ts'
import { negotiate } from '../wire/versions.ts'
import type { ConnectionHost } from './connection-host.ts'
import type { EngineLink, Refusal } from './engine-link.ts'
import type { ServedCache } from './left-caches.ts'
import { FRAME_DEADLINE_MS, HELLO_DEADLINE_MS, IDLE_DEADLINE_MS, LINGER_MS, QUIET_DEADLINE_MS } from './limits.ts'
import type { HeldVolume } from './store-port.ts'
import type { VolumeReplica } from './volume-replica.ts'

type Phase = 'greeting' | 'arriving' | 'open' | 'closing' | 'closed'

/** What a reader is welcomed with: nothing of the store is meant. */
const NO_VOLUME = { incarnation: 1, state: { promise: 0, epoch: 0, run: 0, log: null } }

export class Connection implements EngineLink {
  readonly node: string
  readonly remote: string
  purpose: Purpose = 'opener'
  epoch: Epoch = 0
  run: Run = 0
  present = true
  /** Named by its HELLO; null before. */
  replica: VolumeReplica | null = null
  private leftCache: ServedCache | null = null
  private readonly host: ConnectionHost
  private readonly onOver: () => void
  private readonly stream: PeerStream
  private readonly reader: FrameReader<'engine'>
  private phase: Phase = 'greeting'
  private welcomed = false
  private version = 0
  private sequence = FIRST_SEQUENCE
  /** It has sent a heartbeat: more must come. */
  private beats = false
  /** Where the reader puts the body that it is in. */
  private room: Buffer | null = null
  private pausedByVolume = false
  private waitsForRoom = false
  /** When it began, and when the last whole frame had come, or reading was taken up again. */
  private heardMs: Ms
  /** First byte of the frame that is not whole; null between frames. */
  private frameBegunMs: Ms | null = null
  private linger: Timer | null = null

  /** `onOver`: the stream is closed; runs once, last of all. */
  constructor(host: ConnectionHost, stream: PeerStream, onOver: () => void) {
    this.host = host
    this.onOver = onOver
    this.stream = stream
    this.node = stream.peerNode
    this.remote = stream.remote
    this.heardMs = host.clock.monotonicMs()
    this.reader = new FrameReader({
      from: 'engine',
      versions: host.versions,
      onMessage: (message) => this.onMessage(message),
      onProblem: ({ refusal, message }) => this.refuse({ code: refusal, message }),
      bodyBuffer: (_type, bodyBytes) => this.roomFor(bodyBytes),
    })
  }

  start(): void {
    this.stream.start({
      data: (bytes) => this.onData(bytes),
      drain: () => this.replica?.drained(this),
      end: () => this.onEnd(),
      closed: (error) => this.onClosed(error),
    })
  }

  /** Refuses it if a deadline has passed. */
  checkDeadline(nowMs: Ms): void {
    const late = this.lateness(nowMs)
    if (late !== null) this.refuse({ code: 'bad-message', message: late })
  }

  welcome({ incarnation, state }: Pick<HeldVolume, 'incarnation' | 'state'>): void {
    if (this.phase !== 'arriving') return
    this.phase = 'open'
    this.welcomed = true
    this.heardMs = this.host.clock.monotonicMs()
    this.reader.agree(this.version)
    const { node, store } = this.host
    const { storeUuid, resource, freeBytes } = store
    const { version } = this
    this.send({ type: 'WELCOME', version, node, storeUuid, incarnation, resource, freeBytes, state })
    this.host.log.event('replica.receiver.engine', this.fields())
  }

  send(message: StoreMessage): void {
    if (this.isOver) return
    this.write(encodeMessage(message, this.mark(), this.host.versions))
  }

  sendBatch(body: BodyInMemory): boolean {
    if (this.isOver) return true
    return this.write(encodeBody('BATCH', body, this.mark(), this.host.versions))
  }

  refuse(refusal: Refusal): void {
    if (this.isOver) return
    this.note(refusal)
    const { code, message } = refusal
    this.write(encodeMessage({ type: 'REFUSED', code, message }, this.mark(), this.host.versions))
    this.leave()
    this.stream.end()
    // What still comes is read and dropped, so that the other side can get at the REFUSED.
    this.stream.resume()
    this.linger = this.host.timers.after(LINGER_MS, () => this.stream.destroy())
  }

  close(): void {
    if (this.isOver) return
    this.leave()
    this.stream.destroy()
  }

  pause(): void {
    this.pausedByVolume = true
    this.steer()
  }

  resume(): void {
    this.pausedByVolume = false
    this.steer()
  }

  private get isOver(): boolean {
    return this.phase === 'closing' || this.phase === 'closed'
  }

  private onData(bytes: Buffer): void {
    if (this.isOver) return
    this.reader.push(bytes)
    if (this.reader.isInsideFrame) this.frameBegunMs ??= this.host.clock.monotonicMs()
  }

  private onMessage(message: MessageFrom<'engine'>): void {
    this.heardMs = this.host.clock.monotonicMs()
    this.frameBegunMs = null
    if (message.type === 'HELLO') {
      this.greet(message)
      return
    }
    if (message.type === 'APPEND') this.bodyIsWhole()
    else if (message.type === 'HEARTBEAT') this.beats = true
    if (this.leftCache !== null) {
      this.leftCache.receive(this, message)
      return
    }
    if (message.type === 'CACHE' || message.type === 'READ') {
      this.refuse({ code: 'bad-message', message: `only a reader orders this type=${message.type}` })
      return
    }
    // The reader lets nothing but HELLO pass before a version is agreed on, which is at the welcome.
    assert(this.replica !== null && this.phase === 'open', `order in its place type=${message.type}`)
    this.replica.receive(this, message)
  }

  private greet(hello: Hello): void {
    const { versionMin, versionMax, node } = hello
    const version = negotiate(hello, this.host.versions)
    if (version === null) {
      this.refuse({ code: 'version', message: `no version in common offered=${versionMin}-${versionMax}` })
      return
    }
    if (node !== this.node) {
      this.refuse({ code: 'proof', message: `the certificate names another node node=${node}` })
      return
    }
    this.version = version
    this.epoch = hello.epoch
    this.run = hello.run
    this.phase = 'arriving'
    if (hello.purpose === 'reader') {
      this.greetReader(hello)
      return
    }
    this.purpose = hello.purpose
    const met = this.host.volumes.meet(hello, this.stream.exporter())
    if ('code' in met) {
      this.refuse(met)
      return
    }
    this.replica = met.replica
    this.host.volumes.greet(this, met)
  }

  private greetReader(hello: Hello): void {
    const met = this.host.leftCaches.meet(this, hello, this.stream.exporter())
    if ('code' in met) {
      this.refuse(met)
      return
    }
    this.leftCache = met
    this.welcome(NO_VOLUME)
  }

  private onEnd(): void {
    if (this.isOver) return
    this.leave()
    this.stream.end()
    this.linger = this.host.timers.after(LINGER_MS, () => this.stream.destroy())
  }

  private onClosed(error: IoError | null): void {
    if (!this.isOver) this.leave()
    this.phase = 'closed'
    this.linger?.cancel()
    if (this.welcomed) {
      this.host.log.event('replica.receiver.engine_gone', { ...this.fields(), reason: error?.message ?? '' })
    }
    this.onOver()
  }

  /** Nothing is delivered any more; what it holds goes back. */
  private leave(): void {
    this.phase = 'closing'
    this.present = false
    this.reader.end()
    if (this.room !== null) this.host.begun.givenUp(this.node, this.room)
    this.room = null
    if (this.replica !== null) {
      this.replica.lost(this)
      this.host.volumes.release(this.replica)
    }
    const { leftCache } = this
    this.leftCache = null
    leftCache?.lost()
  }

  private roomFor(bodyBytes: Bytes): RoomForBody | 'later' {
    const { begun } = this.host
    // The store writes it from where it is: its own header in front, zeros behind it up to the end of a block.
    const bytes = storedBytesFor(bodyBytes)
    const buffer = begun.take(this.node, bytes)
    if (buffer === null) {
      this.waitsForRoom = true
      this.steer()
      begun.wait(this.node, bytes, () => this.roomIsFree(bytes))
      return 'later'
    }
    this.room = buffer
    return { buffer, start: STORED_HEADER_BYTES }
  }

  /** Its buffer goes to the volume with it. */
  private bodyIsWhole(): void {
    if (this.room !== null) this.host.begun.ended(this.node, this.room)
    this.room = null
  }

  private roomIsFree(bytes: Bytes): void {
    if (this.isOver) {
      this.host.begun.passOn(this.node, bytes)
      return
    }
    this.waitsForRoom = false
    this.reader.resume()
    this.steer()
  }

  private steer(): void {
    if (this.isOver) return
    if (this.pausedByVolume || this.waitsForRoom) {
      this.stream.pause()
      return
    }
    this.heardMs = this.host.clock.monotonicMs()
    this.frameBegunMs = this.reader.isInsideFrame ? this.heardMs : null
    this.stream.resume()
  }

  private mark(): { version: number; sequence: number } {
    const { version, sequence } = this
    this.sequence = nextSequence(sequence)
    return { version, sequence }
  }

  private write(parts: Buffer[]): boolean {
    let flowing = true
    for (const part of parts) flowing = this.stream.write(part) && flowing
    const { pendingBytes } = this.stream
    if (pendingBytes <= this.host.unsentBytesMax) return flowing
    this.note({ code: 'too-many', message: `answers are not read pending=${pendingBytes}` })
    // Its end is told by `closed`, and not to somebody who is in the middle of sending.
    this.stream.destroy()
    return false
  }

  private note(refusal: Refusal): void {
    const volume = this.phase === 'open' ? this.volume : ''
    this.host.refusals.note({ node: this.node, remote: this.remote, volume }, refusal)
  }

  private lateness(nowMs: Ms): string | null {
    if (this.isOver || this.phase === 'arriving' || this.pausedByVolume || this.waitsForRoom) return null
    if (this.phase === 'greeting') {
      return nowMs - this.heardMs > HELLO_DEADLINE_MS ? `no HELLO within ${HELLO_DEADLINE_MS} ms` : null
    }
    if (this.frameBegunMs !== null && nowMs - this.frameBegunMs > FRAME_DEADLINE_MS) {
      return `a frame is not whole after ${FRAME_DEADLINE_MS} ms`
    }
    const idleMs = this.beats ? IDLE_DEADLINE_MS : QUIET_DEADLINE_MS
    const waits = this.frameBegunMs === null && nowMs - this.heardMs > idleMs
    return waits ? `nothing came for ${idleMs} ms` : null
  }

  private get volume(): string {
    return this.replica?.identity.volume ?? this.leftCache?.cache.volume ?? ''
  }

  private fields(): { volume: string; node: string; purpose: Hello['purpose']; epoch: Epoch; run: Run } {
    const { node, epoch, run, volume } = this
    return { volume, node, purpose: this.leftCache === null ? this.purpose : 'reader', epoch, run }
  }
}
