// One volume in the replica store: a synchronous machine between the connections of its engines and the store. What may
// be done is decided by protocol/store-table.ts; here stands in which order.
//   - One engine at a time. A HELLO that is not refused ends every other connection before anything else of the volume
//     is processed; what the store is writing for the old one completes first, what waited is dropped (3.3).
//   - Promise, epoch and run are durable before the engine is welcomed (S2, 3.3); of a volume that the store does not
//     know yet, before its LEARN is answered (unsaved-volume.ts).
//   - Orders are carried out one after the other, in the order of their arrival; heartbeats and releases are answered at
//     once, past everything that waits.
//   - A batch is acknowledged when the store's write has ended well, not before. After a failed write the volume refuses
//     everybody until the process starts anew: what is durable is no longer known.
//   - Bounded: orders by ORDERS_WAITING_MAX, bytes by its share (byte-shares.ts); above either its stream is not read.
import { assert } from '../../../base/assert.ts'
import { BoundedQueue } from '../../../base/bounded-queue.ts'
import type { Bytes, Epoch, Ms, Run } from '../../../base/units.ts'
import type { HelloFacts } from '../../protocol/store-rows.ts'
import { heartbeatDecision, helloDecision, orderDecision } from '../../protocol/store-table.ts'
import type { VolumeState } from '../../protocol/stored-log.ts'
import { BatchCheck } from './batch-check.ts'
import type { ShareAccount } from './byte-shares.ts'
import type { EngineLink, Refusal } from './engine-link.ts'
import type { Writer } from './fair-writes.ts'
import { ORDERS_WAITING_MAX } from './limits.ts'
import { makeOrder } from './orders.ts'
import { refusalOf, storeRefusal } from './refusals.ts'
import type { HeldVolume, NewVolume } from './store-port.ts'
import { UnsavedVolume } from './unsaved-volume.ts'
import { countWrite, zeroCounters } from './volume-counters.ts'
import type { AppendOrder, Order, OrderedVolume, RunningOrder, VolumeHost } from './volume-host.ts'

/** Orders that may wait at most; a stream that is not read may still deliver what was on its way. */
const ORDERS_MAX = 4 * ORDERS_WAITING_MAX

export class VolumeReplica implements Writer, OrderedVolume {
  readonly host: VolumeHost
  readonly identity: NewVolume
  readonly share: ShareAccount
  readonly counters = zeroCounters()
  /** Why everybody is refused; null: nobody is. */
  failure: Refusal | null = null
  /** The engine that orders. */
  link: EngineLink | null = null
  /** The last heartbeat that was answered, on the boot clock; null: none in this life of the store. */
  lastHeartbeatAtMs: Ms | null = null
  /** RELEASE came after that heartbeat. */
  released = false
  /** null: nobody was welcomed yet, and the store does not know it. */
  private stored: HeldVolume | null
  /** An engine whose HELLO was accepted and whose promise and run are not yet durable. */
  private arrival: EngineLink | null = null
  /** Of the newest HELLO that was accepted, perhaps not yet durable, also when its engine has gone again. */
  private newest: { readonly epoch: Epoch; readonly run: Run } | null = null
  private readonly orders = new BoundedQueue<Order>(ORDERS_MAX)
  private readonly check: BatchCheck
  /** An order of the store is in flight, or `running` is. */
  private busy = false
  private running: RunningOrder | null = null
  private waitsForTurn = false
  private paused = false
  private pumping = false
  private onIdle: (() => void) | null = null

  constructor(host: VolumeHost, identity: NewVolume, held: HeldVolume | null) {
    this.host = host
    this.identity = identity
    this.stored = held
    this.share = host.shares.open()
    this.check = new BatchCheck(identity.volumeUuid, host.headerScratch)
  }

  get connected(): boolean {
    return this.link !== null || this.arrival !== null
  }

  /** Nothing of it is in flight in the store. */
  get isIdle(): boolean {
    return !this.busy
  }

  get waitingOrders(): number {
    return this.orders.size
  }

  get isStored(): boolean {
    return this.stored !== null && !(this.stored instanceof UnsavedVolume)
  }

  /** Only where the volume is in the store, or an engine was welcomed. */
  get held(): HeldVolume {
    assert(this.stored !== null, 'the volume is known')
    return this.stored
  }

  /** A HELLO whose proof was looked at. Answered by welcome or refuse of the link, perhaps later. */
  greet(link: EngineLink, proof: HelloFacts['proof'], room: HelloFacts['room']): void {
    if (this.failure !== null) {
      link.refuse(this.failure)
      return
    }
    const { purpose, epoch, run } = link
    // Of what is not in the store an opener is told that nothing is here.
    const state = purpose === 'opener' && !this.isStored ? null : this.newestState()
    const { label, then } = helloDecision({ purpose, epoch, run, proof, room }, state)
    if (typeof then === 'object') {
      // An engine shows the key only where it has to: it comes back with it.
      link.refuse({ ...refusalOf(then, `epoch=${epoch} run=${run}`), routine: proof === 'no-key' })
      return
    }
    assert(then !== 'drop', `a HELLO is answered row=${label}`)
    this.endEngines(link)
    this.arrival = link
    this.newest = { epoch, run }
    this.pump()
  }

  /** An order of a welcomed engine. Takes over the body of an APPEND. */
  receive(link: EngineLink, order: Order): void {
    if (link !== this.link) {
      this.drop(order)
      return
    }
    if (order.type === 'HEARTBEAT') {
      this.heartbeat(link, order.number)
      return
    }
    if (order.type === 'RELEASE') {
      this.release(link)
      return
    }
    if (this.orders.isFull) {
      this.drop(order)
      this.refuse(link, { code: 'too-many', message: `too many orders wait limit=${ORDERS_MAX}` })
      return
    }
    if (order.type === 'APPEND') {
      // By what it takes in memory, which is the size of its buffer.
      this.host.shares.take(this.share, order.body.buffer.length)
      this.counters.receivedBytes += order.body.length
    }
    this.orders.push(order)
    this.throttle()
    this.pump()
  }

  /** What the link has sent is on its way; a FETCH may go on. */
  drained(link: EngineLink): void {
    if (link === this.link) this.running?.drained()
  }

  /** The connection is over, by whatever side. */
  lost(link: EngineLink): void {
    link.present = false
    if (link === this.arrival) this.arrival = null
    if (link !== this.link) return
    this.link = null
    this.dropOrders()
  }

  /** Refuses the engine and ends its connection; the volume stays. */
  refuse(link: EngineLink, refusal: Refusal): void {
    this.lost(link)
    link.refuse(refusal)
  }

  /** Refuses everybody from now on; resolves when nothing of the volume is in flight in the store any more. */
  stop(refusal: Refusal): Promise<void> {
    this.failure ??= refusal
    this.refuseAll(refusal)
    return new Promise((resolve) => {
      if (this.busy) this.onIdle = resolve
      else resolve()
    })
  }

  /** Removes the volume from the store; only where nobody is connected and nothing is in flight. */
  discard(): Promise<Error | null> {
    assert(!this.connected && !this.busy, 'nobody uses the volume')
    this.busy = true
    // Who comes meanwhile may come again, to a store that does not know the volume.
    this.failure ??= { code: 'stopping', message: 'the volume is being removed from this store' }
    return new Promise((resolve) => {
      this.held.discard((error) => {
        this.busy = false
        if (error === null) this.stored = null
        else this.failure = storeRefusal(error)
        this.onIdle?.()
        resolve(error)
      })
    })
  }

  get writeBytes(): Bytes {
    const order = this.orders.peek()
    return order?.type === 'APPEND' ? order.body.length : 0
  }

  /** Its turn among the volumes: decides about the batch that waits longest, and writes it. */
  beginWrite(): void {
    this.waitsForTurn = false
    const order = this.orders.take()
    assert(order?.type === 'APPEND', 'a batch waits for its turn')
    const { link, held } = this
    assert(link !== null, 'its engine is there')
    this.busy = true
    const decision = this.check.decide(link, held, order)
    const { batchSeq } = this.check.envelope
    if (decision === 'store') {
      const begunMs = this.host.clock.monotonicMs()
      held.append(order.body, (error) => {
        if (error === null) countWrite(this.counters, order.body.length, this.host.clock.monotonicMs() - begunMs)
        // A link that has been ended meanwhile hears nothing; the one that followed learns the end from its welcome.
        if (error === null && link.present) link.send({ type: 'APPENDED', batchSeq })
        this.endTurn(link, order, error)
      })
      return
    }
    if (decision === 'duplicate') {
      this.counters.duplicateBatches += 1
      link.send({ type: 'APPENDED', batchSeq })
    } else if (decision !== 'drop') this.refuse(link, decision)
    this.endTurn(link, order, null)
  }

  orderEnded(link: EngineLink, error: Error | null): void {
    this.running = null
    this.busy = false
    this.throttle()
    if (error !== null) this.storeFailed(link, error)
    this.onIdle?.()
    this.pump()
  }

  private endTurn(link: EngineLink, { body }: AppendOrder, error: Error | null): void {
    this.host.shares.give(this.share, body.buffer.length)
    this.host.bodies.give(body.buffer)
    this.orderEnded(link, error)
    this.host.writes.ended(body.length)
  }

  /** Begins what can begin. A loop and not a recursion: a store in memory ends each order within the call. */
  private pump(): void {
    if (this.pumping) return
    this.pumping = true
    while (!this.busy && this.beginNext());
    this.pumping = false
  }

  /** False: nothing is there that could begin now. */
  private beginNext(): boolean {
    if (this.arrival !== null) {
      this.admit(this.arrival)
      return true
    }
    const order = this.orders.peek()
    if (order === undefined || this.link === null || this.waitsForTurn) return false
    if (order.type === 'APPEND') {
      this.waitsForTurn = true
      this.host.writes.request(this)
      return true
    }
    this.orders.take()
    this.throttle()
    this.busy = true
    this.running = makeOrder(this, this.link, order)
    this.running.begin()
    return true
  }

  /** One step towards the welcome: promise and run in the store, where the volume is there; then the answer. */
  private admit(link: EngineLink): void {
    this.stored ??= new UnsavedVolume(this.host.store, this.identity, (saved) => {
      this.stored = saved
    })
    const held = this.stored
    const { promise, epoch, run } = held.state
    if (promise !== link.epoch || epoch !== link.epoch || run !== link.run) {
      this.busy = true
      held.update({ promise: link.epoch, epoch: link.epoch, run: link.run }, (error) => this.orderEnded(link, error))
      return
    }
    this.arrival = null
    this.link = link
    this.paused = false
    link.welcome(held)
  }

  /** The state with what the newest HELLO will make of it, or has made; null: the volume is unknown. */
  private newestState(): VolumeState | null {
    const { newest } = this
    const state = this.stored?.state ?? null
    if (newest === null) return state
    return { ...newest, promise: newest.epoch, log: state?.log ?? null }
  }

  /** Ends every connection in favour of `newer`. */
  private endEngines(newer: EngineLink): void {
    for (const link of [this.link, this.arrival]) {
      if (link === null) continue
      this.lost(link)
      if (link.epoch === newer.epoch && link.run === newer.run) link.close()
      else {
        const code = link.epoch === newer.epoch ? 'run-old' : 'epoch-old'
        link.refuse({ code, message: `a newer engine has come epoch=${newer.epoch} run=${newer.run}` })
      }
    }
  }

  private heartbeat(link: EngineLink, number: number): void {
    const { label, then } = heartbeatDecision(link, this.held.state)
    if (typeof then === 'object') return this.refuse(link, refusalOf(then, `row=${label}`))
    if (then === 'drop') return
    this.lastHeartbeatAtMs = this.host.clock.bootMs()
    this.released = false
    this.counters.heartbeats += 1
    link.send({ type: 'ALIVE', number })
  }

  private release(link: EngineLink): void {
    const { label, then } = orderDecision(link, 'RELEASE', this.held.state)
    if (typeof then === 'object') return this.refuse(link, refusalOf(then, `row=${label}`))
    if (then === 'drop') return
    this.released = true
    link.send({ type: 'RELEASED' })
  }

  private storeFailed(link: EngineLink, error: Error): void {
    const refusal = storeRefusal(error)
    if (refusal.code !== 'io') {
      if (link.present) this.refuse(link, refusal)
      return
    }
    this.failure ??= refusal
    const { volume } = this.identity
    this.host.log.event('replica.receiver.volume_failed', { volume, reason: error.message }, 'error')
    this.refuseAll(refusal)
  }

  private refuseAll(refusal: Refusal): void {
    for (const link of [this.link, this.arrival]) if (link !== null) this.refuse(link, refusal)
  }

  private dropOrders(): void {
    if (this.waitsForTurn) {
      this.waitsForTurn = false
      this.host.writes.withdraw(this)
    }
    for (let order = this.orders.take(); order !== undefined; order = this.orders.take()) {
      if (order.type === 'APPEND') this.host.shares.give(this.share, order.body.buffer.length)
      this.drop(order)
    }
    this.running?.cancel()
  }

  private drop(order: Order): void {
    if (order.type === 'APPEND') this.host.bodies.give(order.body.buffer)
  }

  private throttle(): void {
    const limit = this.paused ? ORDERS_WAITING_MAX / 2 : ORDERS_WAITING_MAX
    const full = this.share.isFull || this.orders.size >= limit
    if (full === this.paused || this.link === null) return
    this.paused = full
    if (full) {
      this.counters.pauses += 1
      this.link.pause()
    } else this.link.resume()
  }
}
