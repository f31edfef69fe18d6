// Finds the node that serves the cache of the owner before: asks every peer, some of them again a little later, since the old
// engine may not be done with leaving it. Whoever says that it was left behind at the very version of the register that this
// volume was opened from has it; nobody else can say so (rule 9).
import type { Timer } from '../../../base/clock.ts'
import type { Ms } from '../../../base/units.ts'
import {
  CacheLink,
  type CacheLinkHandlers,
  type CacheLinkPorts,
  type LeftCacheFound,
  type Peer,
  type VolumeIdentity,
} from '../../replica/replicator.ts'

/** After the open. */
const ATTEMPTS_AT_MS: readonly Ms[] = [0, 2_000, 5_000, 10_000]

export interface CacheSearchRequest {
  readonly identity: VolumeIdentity
  readonly peers: readonly Peer[]
  readonly registerRv: number
}

export interface CacheSearchHandlers extends Omit<CacheLinkHandlers, 'ready'> {
  found(link: CacheLink, found: LeftCacheFound): void
  nobody(): void
}

export class CacheSearch {
  private readonly ports: CacheLinkPorts
  private readonly request: CacheSearchRequest
  private readonly handlers: CacheSearchHandlers
  private readonly asked = new Set<CacheLink>()
  private link: CacheLink | null = null
  private timers: Timer[] = []
  private attemptsLeft = ATTEMPTS_AT_MS.length

  constructor(ports: CacheLinkPorts, request: CacheSearchRequest, handlers: CacheSearchHandlers) {
    this.ports = ports
    this.request = request
    this.handlers = handlers
  }

  begin(): void {
    this.timers = ATTEMPTS_AT_MS.map((ms) => this.ports.timers.after(ms, () => this.attempt()))
  }

  /** Nobody is asked any more, and a cache that was found is let go. */
  stop(): void {
    for (const timer of this.timers) timer.cancel()
    for (const link of this.asked) link.close()
    this.asked.clear()
    this.link?.close()
    this.link = null
  }

  private attempt(): void {
    this.attemptsLeft -= 1
    for (const peer of this.request.peers) {
      if (![...this.asked].some(({ node }) => node === peer.node)) this.ask(peer)
    }
    this.endIfDone()
  }

  private ask(peer: Peer): void {
    const { identity, registerRv } = this.request
    const { node, address } = peer
    const link: CacheLink = new CacheLink(
      this.ports,
      { identity, node, address, registerRv },
      {
        ready: (found) => this.ready(link, found),
        blocks: (message) => this.handlers.blocks(message),
        over: (reason) => this.over(link, reason),
      },
    )
    this.asked.add(link)
    link.open()
  }

  private ready(link: CacheLink, found: LeftCacheFound): void {
    this.asked.delete(link)
    this.stop()
    if (found.epochLeft >= this.request.identity.epoch) {
      link.close()
      this.handlers.nobody()
      return
    }
    this.link = link
    this.handlers.found(link, found)
  }

  private over(link: CacheLink, reason: string): void {
    this.asked.delete(link)
    if (link === this.link) {
      this.link = null
      this.handlers.over(reason)
    } else this.endIfDone()
  }

  private endIfDone(): void {
    if (this.link === null && this.attemptsLeft === 0 && this.asked.size === 0) this.handlers.nobody()
  }
}
