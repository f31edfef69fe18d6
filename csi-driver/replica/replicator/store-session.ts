// A conversation with one store on the cold path: opening, takeover, restart (rules S2 to S5 and 3.2 of the replication
// protocol). One call at a time, each with a time limit; after any rejection the session is over, since nobody knows what
// the store still does of what it was asked.
import { assert } from '../../../base/assert.ts'
import type { Clock, Timer, Timers } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { BatchSeq, Bytes, Ms } from '../../../base/units.ts'
import type { NetworkAddress } from '../../io/network.ts'
import type { PeerNetwork } from '../../io/peer-network.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import type { Member } from '../../register/record.ts'
import type { BatchFrame } from '../wire/envelope.ts'
import { EnvelopeBuffer } from '../wire/envelope-buffer.ts'
import type { EngineMessage, MessageFrom, MessageOf } from '../wire/messages.ts'
import { BatchMark } from './batch-mark.ts'
import type { Resource } from './events.ts'
import { type BatchTaker, Fetch, type FetchFrom } from './fetch.ts'
import { decompressPayload } from './payloads.ts'
import { type ConnectionEnd, PeerConnection } from './peer-connection.ts'
import type { VolumeIdentity } from './ports.ts'
import { lost, ReplicaCorruptError, StoreRefusedError, unreachable } from './store-errors.ts'

/** For any answer; a store may have to write its state, or to wait for its disk. */
export const ANSWER_LIMIT_MS: Ms = 10_000
/** A store that goes on asking for patience with a seal is given up after this: leases last seconds. */
export const SEAL_LIMIT_MS: Ms = 120_000

export interface SessionPorts {
  readonly network: PeerNetwork
  readonly clock: Clock
  readonly timers: Timers
  readonly log: EventLog
}

export interface SessionPeer {
  readonly node: string
  readonly address: NetworkAddress
}

type StoreMessage = MessageFrom<'store'>
type Answer = StoreMessage['type']

/** Who waits for the next message. */
interface Waiter {
  resolve(message: StoreMessage): void
  reject(error: Error): void
  readonly timer: Timer
}

export class StoreSession {
  readonly store: Member
  readonly resource: Resource
  readonly freeBytes: Bytes
  private readonly ports: SessionPorts
  private readonly identity: VolumeIdentity
  private readonly line: Line
  private readonly envelope = new EnvelopeBuffer()
  private readonly mark = new BatchMark()
  private known: VolumeState
  private isBusy = false

  private constructor(ports: SessionPorts, identity: VolumeIdentity, line: Line, welcome: MessageOf<'WELCOME'>) {
    const { node, storeUuid, incarnation, resource, freeBytes, state } = welcome
    this.ports = ports
    this.identity = identity
    this.line = line
    this.store = { node, storeUuid, incarnation }
    this.resource = resource
    this.freeBytes = freeBytes
    this.known = state
  }

  /**
   * Connects and says HELLO, which ends every older connection of the volume to that store. Shows the volume's key where
   * the store does not know the volume. Rejects with StoreRefusedError, or CACHE_STORE_UNREACHABLE.
   */
  static async connect(
    ports: SessionPorts,
    identity: VolumeIdentity,
    peer: SessionPeer,
    purpose: 'owner' | 'opener',
  ): Promise<StoreSession> {
    const line = new Line(ports, peer.node)
    const request = { identity, node: peer.node, address: peer.address, purpose }
    try {
      return new StoreSession(ports, identity, line, await line.open({ ...request, withKey: false }))
    } catch (error) {
      if (!(error instanceof StoreRefusedError && error.refusal === 'proof')) throw error
    }
    const second = new Line(ports, peer.node)
    return new StoreSession(ports, identity, second, await second.open({ ...request, withKey: true }))
  }

  /** What the store holds: as of WELCOME, or of the newest seal or refresh. */
  get state(): VolumeState {
    return this.known
  }

  refresh(): Promise<VolumeState> {
    return this.call(async () => {
      this.line.send({ type: 'STATE' })
      const { state } = await this.answer('STATE_IS')
      this.known = state
      return state
    })
  }

  /** Resolves once no lease of an older engine runs and none of it will ever write here (S2). `onWait` says how long. */
  seal(
    { predecessorOff }: { readonly predecessorOff: boolean },
    onWait: (remainingMs: Ms) => void,
  ): Promise<VolumeState> {
    return this.call(async () => {
      const endMs = this.ports.clock.monotonicMs() + SEAL_LIMIT_MS
      this.line.send({ type: 'SEAL', predecessorOff })
      for (let limitMs = ANSWER_LIMIT_MS; ; ) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- one answer after the other
        const message = await this.line.next(Math.min(limitMs, endMs - this.ports.clock.monotonicMs()))
        if (message.type === 'SEALED') {
          this.known = message.state
          return message.state
        }
        if (message.type !== 'SEAL_WAIT') throw this.unexpected(message.type)
        onWait(message.remainingMs)
        limitMs = message.remainingMs + ANSWER_LIMIT_MS
      }
    })
  }

  /**
   * Gathers all batches from `from` on. Each is verified against header, payload and chain before `taker` gets it. A batch
   * that fails rejects with ReplicaCorruptError: those before it were taken.
   */
  fetch(
    from: FetchFrom,
    taker: BatchTaker,
  ): Promise<{ readonly lastBatchSeq: BatchSeq; readonly lastHash: bigint | null }> {
    return this.call(async () => {
      const fetch = new Fetch(
        {
          node: this.store.node,
          volumeUuid: this.identity.volumeUuid,
          decompress: decompressPayload,
          ask: (fromBatchSeq, bytesMax) => this.line.send({ type: 'FETCH', fromBatchSeq, bytesMax }),
          next: () => this.nextOfFetch(),
        },
        from,
        taker,
      )
      this.line.expectsBody = (bodyBytes) => fetch.expects(bodyBytes)
      await fetch.run()
      this.line.expectsBody = null
      this.checkEnd(fetch)
      return { lastBatchSeq: fetch.lastBatchSeq, lastHash: fetch.lastHash }
    })
  }

  /** Copies one sealed or verified batch to the store, byte for byte (3.3). Resolves when it is durable there. */
  append(frame: BatchFrame): Promise<void> {
    return this.call(async () => {
      this.mark.read(frame)
      this.envelope.fill(frame)
      this.line.append(this.envelope)
      const { batchSeq } = await this.answer('APPENDED')
      if (batchSeq !== this.mark.batchSeq) throw this.unexpected(`APPENDED batchSeq=${batchSeq}`)
    })
  }

  trim(batchSeq: BatchSeq): Promise<void> {
    return this.order({ type: 'TRIM', batchSeq }, 'TRIMMED')
  }

  /** The new name of the log, durable beside the one that the register names (S4). */
  prepare(names: Omit<MessageOf<'PREPARE'>, 'type'>): Promise<void> {
    return this.order({ type: 'PREPARE', ...names }, 'PREPARED')
  }

  /** The register names the pending log: it becomes the present one (5.1). */
  promote(logUuid: string): Promise<void> {
    return this.order({ type: 'PROMOTE', logUuid }, 'PROMOTED')
  }

  /** Idempotent. A call that is under way rejects. */
  close(): Promise<void> {
    this.line.close('the session was closed')
    return Promise.resolve()
  }

  /** What was gathered is all that the store has said to hold. */
  private checkEnd({ lastBatchSeq, lastHash }: Fetch): void {
    const { log } = this.known
    if (log === null || lastBatchSeq > log.lastBatchSeq) return
    const isAll = lastBatchSeq === log.lastBatchSeq && (lastHash === null || lastHash === log.lastHash)
    if (!isAll) throw new ReplicaCorruptError(this.store.node, lastBatchSeq + 1, 'the log does not end as was said')
  }

  private order(message: EngineMessage, answer: Answer): Promise<void> {
    return this.call(async () => {
      this.line.send(message)
      await this.answer(answer)
    })
  }

  private async call<T>(run: () => Promise<T>): Promise<T> {
    assert(!this.isBusy, 'one call of a session at a time')
    this.isBusy = true
    try {
      return await run()
    } catch (error) {
      this.line.close('a call failed')
      throw error
    } finally {
      this.isBusy = false
    }
  }

  private async answer<Type extends Answer>(type: Type): Promise<StoreMessage & { readonly type: Type }> {
    const message = await this.line.next(ANSWER_LIMIT_MS)
    if (message.type !== type) throw this.unexpected(message.type)
    return message as StoreMessage & { readonly type: Type }
  }

  private async nextOfFetch(): Promise<StoreMessage> {
    const message = await this.line.next(ANSWER_LIMIT_MS)
    if (message.type !== 'BATCH' && message.type !== 'FETCH_END') throw this.unexpected(message.type)
    return message
  }

  private unexpected(what: string): Error {
    return lost(this.store.node, `the store answered what was not asked: ${what}`)
  }
}

/** Messages of the store that wait to be asked for; a fetch's portion and little else. */
const WAITING_MESSAGES_MAX = 100_000

/** A connection whose messages are asked for one by one. */
class Line {
  /** Set while batches are expected. */
  expectsBody: ((bodyBytes: Bytes) => boolean) | null = null
  private readonly ports: SessionPorts
  private readonly node: string
  private connection: PeerConnection | null = null
  private error: Error | null = null
  private messages: StoreMessage[] = []
  private waiter: Waiter | null = null

  constructor(ports: SessionPorts, node: string) {
    this.ports = ports
    this.node = node
  }

  open(request: ConstructorParameters<typeof PeerConnection>[1]): Promise<MessageOf<'WELCOME'>> {
    return new Promise((resolve, reject) => {
      const connection = new PeerConnection(this.ports, request, {
        welcome: resolve,
        message: (message) => this.received(message),
        over: (end) => {
          this.fail(this.errorOf(end))
          reject(end.kind === 'refused' ? this.errorOf(end) : unreachable(this.node, end.message))
        },
        bodyBuffer: (bodyBytes) =>
          this.expectsBody?.(bodyBytes) ? { buffer: Buffer.allocUnsafeSlow(bodyBytes), start: 0 } : null,
      })
      this.connection = connection
      connection.open()
    })
  }

  send(message: EngineMessage): void {
    if (this.error !== null) throw this.error
    this.connection?.send(message)
  }

  append(envelope: EnvelopeBuffer): void {
    if (this.error !== null) throw this.error
    this.connection?.sendFlight(envelope)
  }

  next(limitMs: Ms): Promise<StoreMessage> {
    assert(this.waiter === null, 'one waits at a time')
    const message = this.messages.shift()
    if (message !== undefined) return Promise.resolve(message)
    if (this.error !== null) return Promise.reject(this.error)
    return new Promise((resolve, reject) => {
      const timer = this.ports.timers.after(Math.max(0, limitMs), () => this.close(`no answer within ${limitMs} ms`))
      this.waiter = { resolve, reject, timer }
    })
  }

  close(reason: string): void {
    this.fail(lost(this.node, reason))
    this.connection?.destroy()
  }

  private received(message: StoreMessage): void {
    const { waiter } = this
    if (waiter === null) {
      this.messages.push(message)
      if (this.messages.length > WAITING_MESSAGES_MAX) this.close('the store sends more than it was asked for')
      return
    }
    this.waiter = null
    waiter.timer.cancel()
    waiter.resolve(message)
  }

  private errorOf(end: ConnectionEnd): Error {
    return end.kind === 'refused'
      ? new StoreRefusedError(this.node, end.code, end.message)
      : lost(this.node, end.message)
  }

  private fail(error: Error): void {
    this.error ??= error
    const { waiter } = this
    this.waiter = null
    waiter?.timer.cancel()
    waiter?.reject(error)
  }
}
