// The caches that this node serves read-only for new owners of volumes after a planned move (rule 9). Each has one reader
// in its life: the node that the volume was moved to, under the epoch and run of its first HELLO. When that connection
// ends, for whatever reason, when the time is over, or when the peer's process says so, the cache is let go for good:
// `onLetGo` runs, its storage is closed. Who may read is decided by protocol/left-cache-table.ts.
import type { Clock, Timer, Timers } from '../../../base/clock.ts'
import type { EventLog } from '../../../base/log.ts'
import type { Ms } from '../../../base/units.ts'
import type { AlignedMemory } from '../../io/storage.ts'
import { decide } from '../../protocol/decision-table.ts'
import { LEFT_CACHE_ROWS, type LeftCacheFacts } from '../../protocol/left-cache-table.ts'
import type { Hello, MessageFrom, MessageOf } from '../wire/messages.ts'
import { proofMatches } from '../wire/volume-proof.ts'
import type { EngineLink, Refusal } from './engine-link.ts'
import { LEFT_CACHE_MS, LEFT_CACHES_MAX, type LeftCache, type LeftCacheStatus } from './left-cache.ts'
import { LeftCacheReads } from './left-cache-reads.ts'
import { refusalOf } from './refusals.ts'

export interface LeftCachePorts {
  readonly clock: Clock
  readonly timers: Timers
  readonly log: EventLog
  readonly memory: AlignedMemory
}

/** What a reader's connection is here. */
export type ReaderLink = Pick<EngineLink, 'node' | 'send' | 'refuse'>
type ReaderOrder = Exclude<MessageFrom<'engine'>, { readonly type: 'HELLO' }>

/** One cache while it is served. */
export class ServedCache {
  readonly cache: LeftCache
  reader: ReaderLink | null = null
  private readonly host: LeftCaches
  private readonly reads: LeftCacheReads
  private readonly untilBootMs: Ms
  private readonly onLetGo: (reason: string) => void
  private readonly timer: Timer
  private confirmed = false
  private gone = false

  constructor(host: LeftCaches, cache: LeftCache, onLetGo: (reason: string) => void) {
    const { clock, timers, memory } = host.ports
    this.host = host
    this.cache = cache
    this.onLetGo = onLetGo
    this.reads = new LeftCacheReads(cache, memory, (message) => this.reader?.send(message))
    this.untilBootMs = clock.bootMs() + LEFT_CACHE_MS
    this.timer = timers.after(LEFT_CACHE_MS, () => this.letGo('its time is over'))
  }

  /** An order of the reader that was welcomed. */
  receive(link: ReaderLink, order: ReaderOrder): void {
    if (this.gone) return
    if (order.type === 'CACHE') this.confirm(link, order.registerRv)
    else if (order.type === 'READ') this.read(link, order)
    else if (order.type === 'HEARTBEAT') link.send({ type: 'ALIVE', number: order.number })
    else if (order.type === 'RELEASE') {
      link.send({ type: 'RELEASED' })
      this.letGo('the new owner is warm')
    } else {
      if (order.type === 'APPEND') this.host.giveBody(order.body.buffer)
      link.refuse({ code: 'bad-message', message: `a reader orders nothing of a log type=${order.type}` })
    }
  }

  /** The reader's connection is over. */
  lost(): void {
    this.reader = null
    this.letGo('the connection of the new owner has ended')
  }

  letGo(reason: string): void {
    if (this.gone) return
    this.gone = true
    this.timer.cancel()
    this.reads.end()
    const { reader } = this
    this.reader = null
    this.host.forget(this)
    reader?.refuse({ code: 'not-held', message: `the cache is not served any more: ${reason}`, routine: true })
    const { askedBlocks, servedBlocks, badBlocks } = this.reads
    const { volume } = this.cache
    this.host.ports.log.event('replica.left_cache.let_go', { volume, reason, askedBlocks, servedBlocks, badBlocks })
    this.cache.storage.close(() => this.onLetGo(reason))
  }

  status(): LeftCacheStatus {
    const { volume, volumeUuid, movedTo, blocks } = this.cache
    const { askedBlocks, servedBlocks, badBlocks } = this.reads
    const reader = this.reader !== null
    const remainingMs = Math.max(0, this.remainingMs)
    return { volume, volumeUuid, movedTo, blocks, reader, askedBlocks, servedBlocks, badBlocks, remainingMs }
  }

  private get remainingMs(): Ms {
    return this.untilBootMs - this.host.ports.clock.bootMs()
  }

  private read(link: ReaderLink, order: MessageOf<'READ'>): void {
    // The timer stands still while the host sleeps.
    if (this.remainingMs <= 0) this.letGo('its time is over')
    else if (!this.confirmed) link.refuse({ code: 'bad-message', message: 'a reader says first which cache it means' })
    else if (!this.reads.take(order)) link.refuse({ code: 'too-many', message: 'too many reads wait' })
  }

  private confirm(link: ReaderLink, registerRv: number): void {
    const { epochLeft, blocks } = this.cache
    if (registerRv !== this.cache.registerRv) {
      // Somebody has had the volume in between: what is here may be old.
      this.letGo(`the volume was opened from another state of the register found=${registerRv}`)
      return
    }
    this.confirmed = true
    link.send({ type: 'CACHE_IS', epochLeft, blocks, remainingMs: Math.max(0, this.remainingMs) })
  }
}

export class LeftCaches {
  readonly ports: LeftCachePorts
  readonly giveBody: (buffer: Buffer) => void
  private readonly served = new Map<string, ServedCache>()

  constructor(ports: LeftCachePorts, giveBody: (buffer: Buffer) => void) {
    this.ports = ports
    this.giveBody = giveBody
  }

  /** Serves the cache from now on; one of the same volume that was served before is let go. `onLetGo` runs once. */
  offer(cache: LeftCache, onLetGo: (reason: string) => void): void {
    this.letGo(cache.volumeUuid, 'the volume has left a newer one')
    if (this.served.size >= LEFT_CACHES_MAX) {
      for (const oldest of this.served.values()) {
        oldest.letGo('too many caches are served')
        break
      }
    }
    this.served.set(cache.volumeUuid, new ServedCache(this, cache, onLetGo))
    const { volume, blocks, movedTo, epochLeft } = cache
    this.ports.log.event('replica.left_cache.served', { volume, blocks, movedTo, epochLeft })
  }

  letGo(volumeUuid: string, reason: string): void {
    this.served.get(volumeUuid)?.letGo(reason)
  }

  letGoAll(reason: string): void {
    for (const served of [...this.served.values()]) served.letGo(reason)
  }

  forget(served: ServedCache): void {
    const { volumeUuid } = served.cache
    if (this.served.get(volumeUuid) === served) this.served.delete(volumeUuid)
  }

  /** The cache that this HELLO may read, from now on bound to `link`; or why it may not. */
  meet(link: ReaderLink, hello: Hello, exporter: Buffer): ServedCache | Refusal {
    const served = this.served.get(hello.volumeUuid) ?? null
    const { label, then } = decide(LEFT_CACHE_ROWS, factsOf(served, hello, exporter))
    if (then === 'welcome' && served !== null) {
      served.reader = link
      return served
    }
    const refusal = typeof then === 'string' ? null : 'letGo' in then ? then.letGo : then
    if (typeof then === 'object' && 'letGo' in then) served?.letGo('the new owner has connected a second time')
    const routine = served === null
    const { refuse, text } = refusal ?? { refuse: 'not-held', text: 'no cache' }
    return { ...refusalOf({ refuse, text }, `epoch=${hello.epoch} row=${label}`), routine }
  }

  status(): LeftCacheStatus[] {
    return [...this.served.values()].map((served) => served.status())
  }
}

function factsOf(served: ServedCache | null, hello: Hello, exporter: Buffer): LeftCacheFacts {
  if (served === null) return { cache: 'none', proof: 'wrong', node: 'other', epoch: 'not-larger', before: 'nobody' }
  const { volumeUuid, volumeKey, movedTo, epochLeft } = served.cache
  return {
    cache: 'here',
    proof: proofMatches(hello.proof, volumeKey, exporter, volumeUuid) ? 'right' : 'wrong',
    node: hello.node === movedTo ? 'moved-to' : 'other',
    epoch: hello.epoch > epochLeft ? 'larger' : 'not-larger',
    before: served.reader === null ? 'nobody' : 'reader',
  }
}
