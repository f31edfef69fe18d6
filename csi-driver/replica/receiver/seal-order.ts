// SEAL: an opener asks that no older engine be served any more (rule S2, 8.1, 8.2). Its HELLO has made the promise
// durable and ended the owner's connection; what remains is to end older engines of this node and to wait until the
// lease that the store gave is over. While it waits the opener hears how long, once a second.
import type { Timer } from '../../../base/clock.ts'
import { assert } from '../../../base/assert.ts'
import type { Ms } from '../../../base/units.ts'
import type { SealFacts } from '../../protocol/store-rows.ts'
import { type SealDecision, sealDecision } from '../../protocol/store-table.ts'
import type { EngineLink } from './engine-link.ts'
import { LOCAL_ENGINES_DEADLINE_MS, SEAL_REPORT_MS } from './limits.ts'
import { refusalOf } from './refusals.ts'
import type { OrderedVolume, RunningOrder } from './volume-host.ts'

export class SealOrder implements RunningOrder {
  private readonly volume: OrderedVolume
  private readonly link: EngineLink
  private readonly predecessorOff: boolean
  private ownEngine: SealFacts['ownEngine'] = 'unasked'
  /** Since when engines of this node are being ended; null: nobody was asked. */
  private askedAtMs: Ms | null = null
  private persisting = false
  private cancelled = false
  private ended = false
  private timer: Timer | null = null

  constructor(volume: OrderedVolume, link: EngineLink, predecessorOff: boolean) {
    this.volume = volume
    this.link = link
    this.predecessorOff = predecessorOff
    // Whoever opens the volume on this very node holds its lock here, which no older engine outlives (rule 5.3).
    if (link.node === volume.host.node) this.ownEngine = 'ended'
  }

  begin(): void {
    this.step()
  }

  cancel(): void {
    this.cancelled = true
    if (!this.persisting) this.end()
  }

  drained(): void {}

  private step(): void {
    this.timer?.cancel()
    this.timer = null
    const { label, then, remainingMs } = this.decision(this.ownEngine)
    if (typeof then === 'object') {
      const { volume, link } = this
      volume.host.log.event('replica.receiver.seal_refused', { ...this.fields(), row: label }, 'warning')
      // Refusing ends the connection, and with it this order.
      volume.refuse(link, refusalOf(then, `epoch=${link.epoch}`))
    } else if (then === 'persist-promise') this.persistPromise()
    else if (then === 'end-own-engine') this.awaitOwnEngine()
    else if (then === 'wait') this.report(remainingMs)
    else this.grant(label)
  }

  private decision(ownEngine: SealFacts['ownEngine']): SealDecision {
    const { host, held, lastHeartbeatAtMs, released } = this.volume
    const { startedAtMs } = host
    const nowMs = host.clock.bootMs()
    const input = { predecessorOff: this.predecessorOff, ownEngine, nowMs, startedAtMs, lastHeartbeatAtMs, released }
    return sealDecision(this.link, held.state, input)
  }

  private persistPromise(): void {
    this.persisting = true
    this.volume.held.update({ promise: this.link.epoch }, (error) => {
      this.persisting = false
      if (this.cancelled || error !== null) this.end(error)
      else this.step()
    })
  }

  private awaitOwnEngine(): void {
    const { host, held } = this.volume
    const nowMs = host.clock.bootMs()
    if (this.askedAtMs === null) {
      this.askedAtMs = nowMs
      host.engines.endOlder(held, this.link.epoch, (error) => {
        if (error !== null)
          host.log.event('replica.receiver.own_engine_stays', { ...this.fields(), reason: error.message })
        if (this.cancelled || this.ownEngine !== 'unasked') return
        this.ownEngine = error === null ? 'ended' : 'does-not-end'
        this.step()
      })
      if (this.ownEngine !== 'unasked' || this.cancelled) return
    } else if (nowMs - this.askedAtMs >= LOCAL_ENGINES_DEADLINE_MS) {
      this.ownEngine = 'does-not-end'
      this.step()
      return
    }
    // As long as the lease runs that is what the opener hears; the engine's end comes on top.
    this.report(Math.max(SEAL_REPORT_MS, this.decision('ended').remainingMs))
  }

  private report(remainingMs: Ms): void {
    this.link.send({ type: 'SEAL_WAIT', remainingMs: Math.ceil(remainingMs) })
    this.timer = this.volume.host.timers.after(Math.min(remainingMs, SEAL_REPORT_MS), () => this.step())
  }

  private grant(row: string): void {
    this.volume.host.log.event('replica.receiver.sealed', { ...this.fields(), row })
    this.link.send({ type: 'SEALED', state: this.volume.held.state })
    this.end()
  }

  private end(error: Error | null = null): void {
    assert(!this.persisting, 'nothing is in flight')
    if (this.ended) return
    this.ended = true
    this.cancelled = true
    this.timer?.cancel()
    this.volume.orderEnded(this.link, error)
  }

  private fields(): { volume: string; node: string; epoch: number } {
    return { volume: this.volume.held.volume, node: this.link.node, epoch: this.link.epoch }
  }
}
