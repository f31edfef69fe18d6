// The orders of a volume that are not on the hot path: what the table allows is done in the store, then answered. Long
// ones have files of their own: seal-order.ts, fetch-order.ts.
import {
  learnDecision,
  orderDecision,
  prepareDecision,
  promoteDecision,
  type StoreDecision,
  trimDecision,
} from '../../protocol/store-table.ts'
import { assert } from '../../../base/assert.ts'
import type { MessageOf, StoreMessage } from '../wire/messages.ts'
import type { EngineLink } from './engine-link.ts'
import { FetchOrder } from './fetch-order.ts'
import { refusalOf } from './refusals.ts'
import { SealOrder } from './seal-order.ts'
import type { StoreDone } from './store-port.ts'
import type { Order, OrderedVolume, RunningOrder } from './volume-host.ts'

type QuickOrder = Extract<Order, { readonly type: 'TRIM' | 'LEARN' | 'PREPARE' | 'PROMOTE' | 'STATE' }>

export function makeOrder(volume: OrderedVolume, link: EngineLink, order: Order): RunningOrder {
  if (order.type === 'SEAL') return new SealOrder(volume, link, order.predecessorOff)
  if (order.type === 'FETCH') return new FetchOrder(volume, link, order)
  assert(order.type !== 'APPEND' && order.type !== 'HEARTBEAT' && order.type !== 'RELEASE', `order=${order.type}`)
  return new StoreOrder(volume, link, order)
}

/** An order that one or two calls of the store carry out. */
class StoreOrder implements RunningOrder {
  private readonly volume: OrderedVolume
  private readonly link: EngineLink
  private readonly order: QuickOrder

  constructor(volume: OrderedVolume, link: EngineLink, order: QuickOrder) {
    this.volume = volume
    this.link = link
    this.order = order
  }

  begin(): void {
    const { order } = this
    switch (order.type) {
      case 'TRIM':
        return this.trim(order)
      case 'LEARN':
        return this.learn(order)
      case 'PREPARE':
        return this.prepare(order)
      case 'PROMOTE':
        return this.promote(order)
      case 'STATE':
        return this.state()
    }
  }

  /** The store completes what it has begun; the answer is left out, since its link is no more. */
  cancel(): void {}
  drained(): void {}

  private trim({ batchSeq }: MessageOf<'TRIM'>): void {
    const { held } = this.volume
    const then = this.allowed(trimDecision(this.link, held.state, batchSeq), `batchSeq=${batchSeq}`)
    const answer: StoreMessage = { type: 'TRIMMED', batchSeq }
    if (then === 'trimmed-already') this.answer(answer)
    else if (then === 'trim') held.trim(batchSeq, this.answering(answer))
  }

  private learn({ lineage, begin, logBytes }: MessageOf<'LEARN'>): void {
    const { held, host } = this.volume
    const { epoch, run } = this.link
    // The log that stands here makes room for the new one (7.1c).
    const availableBytes = host.store.freeBytes + held.logBytesReserved
    const decision = learnDecision(this.link, held.state, { lineage, begin, logBytes, availableBytes })
    const then = this.allowed(decision, `logBytes=${logBytes} available=${availableBytes} begin=${begin.batchSeq}`)
    if (then !== 'start-empty') return
    host.log.event('replica.receiver.learn', { volume: held.volume, epoch, run, begin: begin.batchSeq, logBytes })
    held.learn({ lineage, begin, logBytes, epoch, run }, this.answering({ type: 'LEARNING' }))
  }

  private prepare(order: MessageOf<'PREPARE'>): void {
    const { held } = this.volume
    const { newLogUuid, lastBatchSeq, authoritativeLogUuid } = order
    const heldHash = held.headerHashOf(lastBatchSeq)
    const decision = prepareDecision(this.link, held.state, { ...order, heldHash })
    const then = this.allowed(decision, `logUuid=${authoritativeLogUuid} lastBatchSeq=${lastBatchSeq}`)
    const answer: StoreMessage = { type: 'PREPARED' }
    if (then === 'prepared-already') this.answer(answer)
    else if (then === 'write-pending') {
      const pending = { logUuid: newLogUuid, firstBatchSeq: lastBatchSeq + 1 }
      held.update({ pending }, this.answering(answer))
    } else if (then === 'promote-first') {
      held.promote(authoritativeLogUuid, (error) => {
        if (error === null && this.link.present) this.prepare(order)
        else this.volume.orderEnded(this.link, error)
      })
    }
  }

  private promote({ logUuid }: MessageOf<'PROMOTE'>): void {
    const { held, host } = this.volume
    const then = this.allowed(promoteDecision(this.link, held.state, logUuid), `logUuid=${logUuid}`)
    const answer: StoreMessage = { type: 'PROMOTED' }
    if (then === 'promoted-already') this.answer(answer)
    else if (then === 'promote') {
      host.log.event('replica.receiver.promote', { volume: held.volume, epoch: this.link.epoch, logUuid })
      held.promote(logUuid, this.answering(answer))
    }
  }

  private state(): void {
    const { state } = this.volume.held
    if (this.allowed(orderDecision(this.link, 'STATE', state), '') === 'go-on') this.answer({ type: 'STATE_IS', state })
  }

  /** The action; where it is refused, or nobody is there, the order has been ended and the answer is null. */
  private allowed<Action extends string>({ label, then }: StoreDecision<Action>, values: string): Action | null {
    if (typeof then === 'string' && then !== 'drop') return then
    if (typeof then === 'object') this.volume.refuse(this.link, refusalOf(then, `${values} row=${label}`))
    this.volume.orderEnded(this.link, null)
    return null
  }

  private answering(message: StoreMessage): StoreDone {
    return (error) => {
      if (error === null) this.answer(message)
      else this.volume.orderEnded(this.link, error)
    }
  }

  private answer(message: StoreMessage): void {
    if (this.link.present) this.link.send(message)
    this.volume.orderEnded(this.link, null)
  }
}
