// The link to one peer, for as long as the peer is one: connects, greets, and connects again for ever. It keeps what
// outlives a connection (which life of the store answered last, its lease, the pause before the next attempt) and hands
// everything about the log to its role.
//
//   waiting ─▶ connecting ─▶ open ──▶ waiting …
import { assert } from '../../../base/assert.ts'
import type { Timer } from '../../../base/clock.ts'
import type { Bytes, Ms } from '../../../base/units.ts'
import type { NetworkAddress } from '../../io/network.ts'
import { HEARTBEAT_MS } from '../../protocol/lease-times.ts'
import { isOfNewerEngine } from '../../protocol/stored-log.ts'
import { type Member, sameMember } from '../../register/record.ts'
import type { EnvelopeBuffer } from '../wire/envelope-buffer.ts'
import type { BodyInMemory, EngineMessage, MessageFrom, MessageOf } from '../wire/messages.ts'
import { BatchFetches } from './batch-fetches.ts'
import type { CopyRole, RoleContext, RoleLink } from './copy-role.ts'
import type { PeerStatus, Resource } from './events.ts'
import { Learner } from './learner.ts'
import { MemberRole } from './member.ts'
import { type ConnectionEnd, PeerConnection } from './peer-connection.ts'
import { PeerLease } from './peer-lease.ts'
import type { Peer, ReplicatorPorts } from './ports.ts'
import { reconnectDelayMs } from './reconnect-delay.ts'

/** A connection on which nothing was heard for so long is dead, whatever TCP says. */
export const DEAD_MS: Ms = 6_000
/** A connection that lasted less counts as one more failure. */
export const STEADY_MS: Ms = 1_000

/** What a link needs of the replicator besides what its role needs. */
export interface LinkContext extends RoleContext {
  readonly ports: ReplicatorPorts
  /** False after a release: nothing renews a lease. */
  readonly heartbeatsOn: boolean
  fence(node: string, end: ConnectionEnd & { kind: 'refused' }): void
  /** RELEASED came, or can't come any more. */
  releaseAnswered(link: PeerLink): void
  /** Takes the learner's role away, not within this call. */
  removeLearner(link: PeerLink, reason: string): void
}

export class PeerLink implements RoleLink {
  readonly node: string
  /** Named by setPeers; otherwise here only because it is a member. */
  isPeer = false
  role: CopyRole | null = null
  store: Member | null = null
  heardAtMs: Ms = 0
  readonly lease = new PeerLease()
  /** Batches read back from this peer. */
  readonly fetches: BatchFetches
  private readonly context: LinkContext
  private address: NetworkAddress | null = null
  private domain = ''
  private connection: PeerConnection | null = null
  private opened = false
  private openedAtMs: Ms = 0
  private retry: Timer | null = null
  private failures = 0
  private isRefused = false
  private isClosed = true
  /** The store has said that it does not know the volume. */
  private withKey = false
  private beatAtMs: Ms = Number.NEGATIVE_INFINITY
  private resource: Resource | null = null
  private freeBytes: Bytes = 0
  private lastError: string | null = null
  private reportedError: string | null = null

  constructor(context: LinkContext, node: string) {
    this.context = context
    this.node = node
    this.fetches = new BatchFetches(context.identity.volumeUuid, (message) => this.open.send(message))
  }

  get isOpen(): boolean {
    return this.opened
  }

  get member(): MemberRole | null {
    return this.role instanceof MemberRole ? this.role : null
  }

  get learner(): Learner | null {
    return this.role instanceof Learner ? this.role : null
  }

  /** Where the peer is; another address ends the present connection. */
  setPeer({ address, domain }: Peer): void {
    this.isPeer = true
    this.domain = domain
    if (this.address !== null && sameAddress(this.address, address)) return
    const isFirst = this.address === null
    this.address = address
    if (!isFirst) this.reconnect('the peer has another address')
    else if (!this.isClosed) this.connect()
  }

  /** Begins to connect. */
  start(): void {
    this.isClosed = false
    this.connect()
  }

  /** Ends for good, or until start. */
  close(): void {
    this.isClosed = true
    this.retry?.cancel()
    this.retry = null
    this.disconnect()
  }

  /** No answer so far counts as a lease; heartbeats begin at once, if they are sent. */
  voidLease(): void {
    this.lease.void()
    this.beatAtMs = Number.NEGATIVE_INFINITY
  }

  send(message: EngineMessage): void {
    this.open.send(message)
  }

  sendFlight(envelope: EnvelopeBuffer): void {
    this.open.sendFlight(envelope)
  }

  sendBatch(body: BodyInMemory): void {
    this.open.sendBatch(body)
  }

  /** Ends the connection (its queue is dropped) and makes a new one. */
  reconnect(reason: string): void {
    this.context.log.event('replica.reconnect', { node: this.node, reason }, 'debug')
    this.disconnect()
    this.failures = 0
    this.retry?.cancel()
    this.retry = null
    this.connectLater(false)
  }

  dropLearner(reason: string): void {
    this.lastError = reason
    this.disconnect()
    this.connectLater(false)
    this.context.removeLearner(this, reason)
  }

  /** Heartbeats and deadlines; each TICK_MS. */
  tick(): void {
    const { time, clock } = this.context
    if (this.opened && time.isOver(this.heardAtMs, DEAD_MS)) {
      this.connectionOver({ kind: 'lost', message: `nothing heard for ${DEAD_MS} ms` })
    }
    if (this.opened && clock.monotonicMs() - this.beatAtMs >= HEARTBEAT_MS) this.beat()
    this.role?.tick()
  }

  status(): PeerStatus {
    const { store, role, context } = this
    const counts = role !== null && role.ackedSeq >= 0
    return {
      node: this.node,
      address: this.address,
      domain: this.domain,
      state: this.stateOf(),
      storeUuid: store?.storeUuid ?? '',
      incarnation: store?.incarnation ?? 0,
      resource: this.resource,
      freeBytes: this.freeBytes,
      lagBatches: counts ? context.progress.appendedSeq - role.ackedSeq : 0,
      lagBytes: role?.lagBytes ?? 0,
      trimmedBatchSeq: Math.max(0, role?.trimmedSeq ?? 0),
      leaseUntilMs: this.lease.untilMs,
      lastError: this.lastError,
    }
  }

  private stateOf(): PeerStatus['state'] {
    if (this.role !== null) return this.role.state
    if (this.opened) return 'candidate'
    return this.isRefused ? 'refused' : 'offline'
  }

  private get open(): PeerConnection {
    const { connection } = this
    assert(connection !== null && this.opened, `link is open node=${this.node}`)
    return connection
  }

  private connect(): void {
    const { address, context } = this
    if (this.isClosed || address === null || this.connection !== null || this.retry !== null) return
    const { ports, identity } = context
    const { node, withKey } = this
    const connection = new PeerConnection(
      ports,
      { identity, node, address, withKey, purpose: 'owner' },
      {
        welcome: (message) => this.welcome(message),
        message: (message) => this.received(message),
        over: (end) => this.connectionOver(end),
        bodyBuffer: (bodyBytes) => this.fetches.room(bodyBytes),
      },
    )
    this.connection = connection
    connection.open()
  }

  private connectLater(refused: boolean): void {
    if (this.isClosed || this.retry !== null) return
    const { timers, prng } = this.context.ports
    this.retry = timers.after(reconnectDelayMs(this.failures, refused, prng), () => {
      this.retry = null
      this.connect()
    })
  }

  /** Ends the connection: what waits in it is never sent. */
  private disconnect(): void {
    const { connection, opened } = this
    this.connection = null
    this.opened = false
    connection?.destroy()
    if (!opened) return
    this.fetches.fail('the connection to the peer was lost')
    this.context.releaseAnswered(this)
    this.role?.closed()
  }

  private welcome({ storeUuid, incarnation, resource, freeBytes, state, version }: MessageOf<'WELCOME'>): void {
    const { context, node } = this
    const store = { node, storeUuid, incarnation }
    if (this.store === null || !sameMember(this.store, store)) {
      this.voidLease()
      this.store = store
      context.leasesChanged()
    }
    this.opened = true
    this.openedAtMs = context.time.nowMs
    this.heardAtMs = context.time.nowMs
    this.resource = resource
    this.freeBytes = freeBytes
    this.withKey = false
    this.isRefused = false
    this.lastError = null
    this.reportedError = null
    context.log.event('replica.connected', { node, storeUuid, incarnation, version })
    context.emit({ kind: 'connected', node, store, resource, freeBytes })
    this.beat()
    this.role?.opened(state)
  }

  /** Asks for the lease; after a release says that again, so that both sides go on hearing one another. */
  private beat(): void {
    this.beatAtMs = this.context.clock.monotonicMs()
    if (this.context.heartbeatsOn) this.send({ type: 'HEARTBEAT', number: this.lease.send(this.beatAtMs) })
    else this.send({ type: 'RELEASE' })
  }

  /** Hot: one call per acknowledged batch. */
  private received(message: MessageFrom<'store'>): void {
    this.heardAtMs = this.context.time.nowMs
    if (!this.understands(message)) {
      this.connectionOver({ kind: 'lost', message: `the peer answered what was not asked type=${message.type}` })
    }
  }

  private understands(message: MessageFrom<'store'>): boolean {
    const { role } = this
    if (message.type === 'APPENDED') return role?.appended(message.batchSeq) ?? false
    if (message.type === 'TRIMMED') return role?.trimmed(message.batchSeq) ?? false
    if (message.type === 'ALIVE') this.alive(message.number)
    else if (message.type === 'RELEASED') this.context.releaseAnswered(this)
    else if (!this.fetches.received(message)) return role !== null && roleUnderstands(role, message)
    return true
  }

  private alive(number: number): void {
    if (!this.lease.answered(number)) return
    this.context.leasesChanged()
    this.role?.leaseGrew()
  }

  private connectionOver(end: ConnectionEnd): void {
    const { context, node } = this
    const { message } = end
    const wasOpen = this.opened
    const wasSteady = wasOpen && context.time.nowMs - this.openedAtMs >= STEADY_MS
    this.failures = wasSteady ? 1 : this.failures + 1
    this.disconnect()
    // Only who holds a copy that counts is believed; anybody else's word sends the engine to the register.
    if (end.kind === 'refused' && isOfNewerEngine(end.code) && this.member !== null) {
      this.lastError = message
      context.fence(node, end)
      return
    }
    if (wasOpen) {
      context.log.event('replica.connection_lost', { node, reason: message }, 'warning')
      context.emit({ kind: 'lost', node, reason: message })
    }
    this.withKey = end.kind === 'refused' && end.code === 'proof' && !this.withKey
    if (this.withKey) {
      // The store does not know the volume: the next HELLO shows the key. That was no failure.
      this.failures -= 1
      this.isRefused = false
    } else {
      this.noteError(end)
      // A store that is being restarted says so, and is met again like one that just went away.
      this.isRefused = end.kind === 'refused' && end.code !== 'stopping'
    }
    this.connectLater(this.isRefused)
  }

  /** Each new reason is told once, not with every attempt. */
  private noteError(end: ConnectionEnd): void {
    const { context, node } = this
    const { message } = end
    this.lastError = end.kind === 'refused' ? `refused (${end.code}): ${message}` : message
    const key = end.kind === 'refused' ? end.code : 'lost'
    if (this.reportedError === key) return
    this.reportedError = key
    context.log.event('replica.unreachable', { node, reason: this.lastError }, 'warning')
    if (end.kind === 'refused') context.emit({ kind: 'refused', node, code: end.code, message })
  }
}

function roleUnderstands(role: CopyRole, message: MessageFrom<'store'>): boolean {
  if (message.type === 'LEARNING') return role.learning()
  if (message.type === 'PROMOTED') return role.promoted()
  return message.type === 'STATE_IS' && role.stateIs(message.state)
}

function sameAddress(a: NetworkAddress, b: NetworkAddress): boolean {
  if (a.kind === 'unix' || b.kind === 'unix')
    return a.kind === b.kind && 'path' in a && 'path' in b && a.path === b.path
  return a.host === b.host && a.port === b.port
}
