// A new owner's connection to the cache that the owner before has left behind on another node (rule 9): HELLO as a reader,
// the question which cache it is, then reads. One connection in its life: when it is over, so is the cache.
import type { Clock, Timer } from '../../../base/clock.ts'
import type { BlockNumber, Epoch, Ms } from '../../../base/units.ts'
import type { NetworkAddress } from '../../io/network.ts'
import type { MessageFrom, MessageOf } from '../wire/messages.ts'
import { type ConnectionPorts, PeerConnection } from './peer-connection.ts'
import type { VolumeIdentity } from './ports.ts'

const HEARTBEAT_MS: Ms = 2_000
/** Nothing heard for so long: the cache is gone. */
const DEAD_MS: Ms = 10_000
/** For the answer to a release. */
const RELEASE_LIMIT_MS: Ms = 1_000

export interface CacheLinkPorts extends ConnectionPorts {
  readonly clock: Clock
}

export interface CacheLinkRequest {
  readonly identity: VolumeIdentity
  readonly node: string
  readonly address: NetworkAddress
  /** Version of the register record that the volume was opened from. */
  readonly registerRv: number
}

export interface LeftCacheFound {
  readonly epochLeft: Epoch
  readonly blocks: number
  readonly remainingMs: Ms
}

export type BlocksAnswer = MessageOf<'BLOCKS'>

export interface CacheLinkHandlers {
  ready(found: LeftCacheFound): void
  blocks(answer: BlocksAnswer): void
  /** Once, and nothing after it; not after `close`. */
  over(reason: string): void
}

export class CacheLink {
  readonly node: string
  private readonly ports: CacheLinkPorts
  private readonly request: CacheLinkRequest
  private readonly handlers: CacheLinkHandlers
  private readonly connection: PeerConnection
  private phase: 'connecting' | 'asking' | 'open' | 'releasing' | 'over' = 'connecting'
  private timer: Timer | null = null
  private heardMs: Ms = 0
  private beats = 0

  constructor(ports: CacheLinkPorts, request: CacheLinkRequest, handlers: CacheLinkHandlers) {
    const { identity, node, address } = request
    this.node = node
    this.ports = ports
    this.request = request
    this.handlers = handlers
    this.connection = new PeerConnection(
      ports,
      { identity, node, address, purpose: 'reader', withKey: false },
      {
        welcome: () => this.welcomed(),
        message: (message) => this.received(message),
        over: ({ message }) => this.end(message),
      },
    )
  }

  /** Begins; called once. */
  open(): void {
    this.connection.open()
  }

  /** Only after `ready`. Answered by `blocks`, or by `over`. */
  read(number: number, firstBlock: BlockNumber, count: number): void {
    this.connection.send({ type: 'READ', number, firstBlock, count })
  }

  /** The cache is not needed any more: says so, and nothing is told to the handlers from now on. Idempotent. */
  close(): void {
    if (this.phase === 'over' || this.phase === 'releasing') return
    if (this.phase === 'connecting') return this.finish()
    this.phase = 'releasing'
    this.timer?.cancel()
    this.connection.send({ type: 'RELEASE' })
    this.timer = this.ports.timers.after(RELEASE_LIMIT_MS, () => this.finish())
  }

  private welcomed(): void {
    this.phase = 'asking'
    this.connection.send({ type: 'CACHE', registerRv: this.request.registerRv })
    this.heardMs = this.ports.clock.monotonicMs()
    this.beat()
  }

  private received(message: MessageFrom<'store'>): void {
    this.heardMs = this.ports.clock.monotonicMs()
    if (this.phase === 'releasing') {
      if (message.type === 'RELEASED') this.finish()
      return
    }
    if (message.type === 'ALIVE') return
    if (message.type === 'CACHE_IS' && this.phase === 'asking') {
      this.phase = 'open'
      this.handlers.ready(message)
    } else if (message.type === 'BLOCKS' && this.phase === 'open') this.handlers.blocks(message)
    else this.end(`unexpected message type=${message.type}`)
  }

  private beat(): void {
    if (this.ports.clock.monotonicMs() - this.heardMs > DEAD_MS) {
      this.end(`nothing heard for ${DEAD_MS} ms`)
      return
    }
    this.beats += 1
    this.connection.send({ type: 'HEARTBEAT', number: this.beats })
    this.timer = this.ports.timers.after(HEARTBEAT_MS, () => this.beat())
  }

  private end(reason: string): void {
    const tells = this.phase !== 'releasing' && this.phase !== 'over'
    this.finish()
    if (tells) this.handlers.over(reason)
  }

  private finish(): void {
    this.phase = 'over'
    this.timer?.cancel()
    this.connection.destroy()
  }
}
