// The engine's only way to the register: one change at a time, each carried through until its outcome is settled.
//   beforeSend(intent) → compare-and-swap, repeated while unknown → afterSettled(record) → the caller acts
// Rules 1.1, 1.3 and 1.4 of the replication protocol hold for every caller, since no other path exists. What the engine freezes while a
// change is open (rule 1.2) it reads from `unsettled`. Decisions are in settlement.ts; this file waits and repeats.
import { assert } from '../../base/assert.ts'
import { CacheError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import type { Prng } from '../../base/prng.ts'
import type { Timers } from '../../base/clock.ts'
import type { Ms } from '../../base/units.ts'
import type { RegisterRecord } from './record.ts'
import type { Register } from './register.ts'
import {
  isOlder,
  type RegisterIntent,
  settleByRead,
  settleByReply,
  type Settlement,
  type WhileUnsettled,
  whileUnsettled,
} from './settlement.ts'

/** Waits between attempts: doubled from the first to the last. */
const RETRY_FIRST_MS: Ms = 100
const RETRY_LAST_MS: Ms = 5_000
/** A read, a creation and a claim give up after this many attempts: their caller can report and start again. */
export const OPENING_ATTEMPTS_MAX = 5
/** More changes of the own epoch by somebody else than this cannot be; something else is wrong. */
const SUPERSEDED_MAX = 8
const CHANGES_WAITING_MAX = 16

export interface RegisterHooks {
  /** Makes the intent durable in the superblock; nothing is sent before it resolves. A rejection refuses the change. */
  beforeSend(intent: RegisterIntent): Promise<void>
  /**
   * Stores the settled record and clears the intent in one durable write; nothing acts on the record before it
   * resolves. After a rejection the intent counts as open: only a restart of the engine goes on.
   */
  afterSettled(record: RegisterRecord): Promise<void>
}

export interface RegisterClientPorts {
  readonly register: Register
  readonly hooks: RegisterHooks
  readonly timers: Timers
  readonly prng: Prng
  readonly log: EventLog
}

/** The fields of the next record; the client itself sets `rv` and `changeId`. */
export type Mutation = (record: RegisterRecord) => RegisterRecord

/**
 * fenced: a newer epoch exists, or (a claim, a creation) somebody else was faster. The own change does not hold now;
 * it may have held for a moment before the newer epoch replaced it.
 */
export type ChangeResult = 'applied' | 'fenced'

/** A creation is proposed on top of nothing. */
type Proposal = (record: RegisterRecord | null) => RegisterRecord

interface Sent {
  readonly settlement: Exclude<Settlement, 'unsettled'>
  /** The register's record that settled it; the own one when it was applied. */
  readonly record: RegisterRecord | null
}

const NO_ERROR = 'none'
const OLDER = 'the register shows no record of the volume, or an older one than before; is its file system mounted?'

export class RegisterClient {
  readonly #ports: RegisterClientPorts
  #record: RegisterRecord | null = null
  #intent: RegisterIntent | null = null
  #unsettled: WhileUnsettled | null = null
  #waiting = 0
  #last: Promise<unknown> = Promise.resolve()
  #lastError = NO_ERROR
  #stopped = false
  /** Rejects each call that is waited for, when the client is stopped. */
  readonly #aborts = new Set<(reason: CacheError) => void>()

  constructor(ports: RegisterClientPorts) {
    this.#ports = ports
  }

  /** The last settled record that this client has read, written or been given. */
  get record(): RegisterRecord | null {
    return this.#record
  }

  /** The change whose outcome is open, as it stands in the superblock. */
  get intent(): RegisterIntent | null {
    return this.#intent
  }

  /** What holds while a change is open; null when none is. */
  get unsettled(): WhileUnsettled | null {
    return this.#unsettled
  }

  /** Why the change under way, or the last read, has got no answer; `none` where nothing is wrong. For status. */
  get lastError(): string {
    return this.#lastError
  }

  /** A restarted engine without an open intent goes on from the record in its superblock, without the register. */
  adopt(record: RegisterRecord): void {
    assert(this.#intent === null && this.#waiting === 0, 'a record is adopted only before any change')
    this.#record = record
  }

  /** Throws `retry` when the register does not answer OPENING_ATTEMPTS_MAX times. */
  async read(): Promise<RegisterRecord | null> {
    for (let attempt = 1; ; attempt++) {
      try {
        this.#record = await this.#unlessStopped(this.#ports.register.read())
        this.#lastError = NO_ERROR
        return this.#record
      } catch (error) {
        if (!isRetry(error) || attempt === OPENING_ATTEMPTS_MAX) throw error
        this.#lastError = error.message
      }
      await this.#pause(attempt)
    }
  }

  /** Whether the register, looked at once, has a newer epoch of this volume; false where it does not answer. */
  async isOvertaken(): Promise<boolean> {
    const own = this.#record
    const seen = await this.#unlessStopped(this.#ports.register.read()).catch(() => null)
    return own !== null && seen !== null && seen.volumeUuid === own.volumeUuid && seen.epoch > own.epoch
  }

  /** The first record of a volume; its `rv` and `changeId` are set here. */
  create(record: RegisterRecord): Promise<ChangeResult> {
    return this.#enqueue(() => {
      assert(this.#record === null, 'a volume is created only where the register has no record')
      return this.#change('create', () => record, OPENING_ATTEMPTS_MAX)
    })
  }

  /**
   * A change that was decided on by looking at `record`: any other change in between makes it `fenced`, and the caller
   * reads and decides again. Throws `unknown-outcome` after OPENING_ATTEMPTS_MAX attempts.
   */
  claim(mutate: Mutation): Promise<ChangeResult> {
    return this.#enqueue(() => this.#change('claim', onRecord(mutate), OPENING_ATTEMPTS_MAX))
  }

  /**
   * A change by the owner, repeated until it is settled, however long that takes. `mutate` may run again on a newer
   * record of the same epoch. Rejects when a hook does, when the register is another one (`corrupt`), and after `stop`.
   */
  change(change: string, mutate: Mutation): Promise<ChangeResult> {
    return this.#enqueue(() => this.#change(change, onRecord(mutate), Number.POSITIVE_INFINITY))
  }

  /**
   * Settles the intent that a restarted engine has found in its superblock: the version is moved by a change that
   * changes nothing, unless it has moved already; then the intent has taken effect or never will, and `record` says
   * which. An open creation is not settled but created again: nothing was acknowledged before it.
   */
  settle(intent: RegisterIntent): Promise<'settled' | 'fenced'> {
    assert(intent.expectedRv > 0, 'a creation is not settled but tried again')
    return this.#enqueue(() => this.#settleFound(intent))
  }

  /** Gives up waiting: pending and later calls reject with `unknown-outcome`. Intents stay open. */
  stop(): void {
    this.#stopped = true
    for (const abort of this.#aborts) abort(stoppedError())
  }

  async #enqueue<T>(run: () => Promise<T>): Promise<T> {
    assert(this.#waiting < CHANGES_WAITING_MAX, `too many changes of the register wait limit=${CHANGES_WAITING_MAX}`)
    this.#waiting++
    const before = this.#last
    const turn = before.then(run)
    this.#last = turn.catch(() => undefined)
    try {
      return await turn
    } finally {
      this.#waiting--
    }
  }

  async #change(change: string, mutate: Proposal, attemptsMax: number): Promise<ChangeResult> {
    for (let superseded = 0; superseded <= SUPERSEDED_MAX; superseded++) {
      const sent = await this.#propose(change, mutate, attemptsMax)
      if (sent.settlement === 'applied') return 'applied'
      if (sent.settlement === 'fenced' || change === 'claim') return 'fenced'
    }
    throw new CacheError(
      'unknown-outcome',
      'CACHE_REGISTER_CONTENDED',
      `the register keeps changing within one epoch change=${change}`,
    )
  }

  /** One version proposed, sent until it is settled, the outcome stored. */
  async #propose(change: string, mutate: Proposal, attemptsMax: number): Promise<Sent> {
    this.#throwUnlessReady()
    const base = this.#record
    const expectedRv = base?.rv ?? 0
    const { prng, hooks, log } = this.#ports
    const changeId = hex32(prng.u32()) + hex32(prng.u32())
    const next: RegisterRecord = { ...mutate(base), rv: expectedRv + 1, changeId }
    const intent: RegisterIntent = {
      change,
      expectedRv,
      baseEpoch: base?.epoch ?? 0,
      registerNonce: next.registerNonce,
      changeId,
    }
    this.#intent = intent
    this.#unsettled = whileUnsettled(base ?? next, next)
    try {
      await hooks.beforeSend(intent)
    } catch (error) {
      this.#close()
      throw error
    }
    const sent = await this.#sendUntilSettled(intent, next, attemptsMax)
    log.event('register.change.settled', { change, rv: next.rv, epoch: next.epoch, outcome: sent.settlement })
    await this.#store(sent)
    return sent
  }

  async #settleFound(intent: RegisterIntent): Promise<'settled' | 'fenced'> {
    assert(this.#intent === null || this.#intent.changeId === intent.changeId, 'another change is open')
    this.#intent = intent
    for (let attempt = 1; ; attempt++) {
      const seen = await this.#tryRead()
      const settlement = seen === undefined ? 'unsettled' : this.#settle(intent, seen)
      if (settlement !== 'unsettled') {
        await this.#store({ settlement, record: seen ?? null })
        return settlement === 'fenced' ? 'fenced' : 'settled'
      }
      if (seen && !isOlder(intent, seen)) await this.#moveVersion(intent, seen)
      await this.#pause(attempt)
    }
  }

  /** The version moves, the content stays. What became of it shows in the next read. */
  async #moveVersion(intent: RegisterIntent, seen: RegisterRecord): Promise<void> {
    const { prng, register } = this.#ports
    const changeId = hex32(prng.u32()) + hex32(prng.u32())
    try {
      await this.#unlessStopped(register.compareAndSwap(intent.expectedRv, { ...seen, rv: seen.rv + 1, changeId }))
    } catch (error) {
      this.#noteOrThrow(error)
    }
  }

  async #sendUntilSettled(intent: RegisterIntent, next: RegisterRecord, attemptsMax: number): Promise<Sent> {
    for (let attempt = 1; ; attempt++) {
      const sent = await this.#sendOnce(intent, next)
      if (sent !== null) return sent
      this.#ports.log.event(
        'register.change.unsettled',
        { change: intent.change, attempt, error: this.#lastError },
        'warning',
      )
      if (attempt >= attemptsMax) throw this.#unsettledError(intent.change)
      await this.#pause(attempt)
    }
  }

  async #sendOnce(intent: RegisterIntent, next: RegisterRecord): Promise<Sent | null> {
    try {
      // What stands on an older state was perhaps written by somebody who knew no better: nothing is sent on top unseen.
      if (this.#lastError === OLDER && !(await this.#isBack(intent))) return null
      const reply = await this.#unlessStopped(this.#ports.register.compareAndSwap(intent.expectedRv, next))
      const byReply = settleByReply(reply)
      if (byReply === 'applied') return { settlement: 'applied', record: next }
      if (byReply === 'unsettled') return null
      const seen = await this.#unlessStopped(this.#ports.register.read())
      const settlement = this.#settle(intent, seen)
      return settlement === 'unsettled' ? null : { settlement, record: seen }
    } catch (error) {
      this.#noteOrThrow(error)
      return null
    }
  }

  /** After an older state was seen: whether the very one that the change replaces, or a later one, is there again. */
  async #isBack(intent: RegisterIntent): Promise<boolean> {
    const seen = await this.#unlessStopped(this.#ports.register.read())
    if (seen === null || isOlder(intent, seen)) return false
    return seen.rv !== intent.expectedRv || seen.changeId === this.#record?.changeId
  }

  #settle(intent: RegisterIntent, seen: RegisterRecord | null): Settlement {
    if (isOlder(intent, seen)) this.#lastError = OLDER
    return settleByRead(intent, seen)
  }

  /** Takes over what is settled. A fenced outcome is not stored: the own record stays the last of the own epoch. */
  async #store(sent: Sent): Promise<void> {
    if (sent.settlement === 'replaced') {
      throw new CacheError(
        'corrupt',
        'CACHE_REGISTER_REPLACED',
        'the register is another one than this volume was in',
        {
          remedy: 'Restore the register that the volume was created in; a new one of the same name cannot be used.',
        },
      )
    }
    if (sent.settlement === 'fenced') {
      this.#close()
      return
    }
    assert(sent.record !== null, 'a settled change has a record')
    await this.#ports.hooks.afterSettled(sent.record)
    this.#record = sent.record
    this.#close()
  }

  #close(): void {
    this.#intent = null
    this.#unsettled = null
    this.#lastError = NO_ERROR
  }

  async #tryRead(): Promise<RegisterRecord | null | undefined> {
    try {
      return await this.#unlessStopped(this.#ports.register.read())
    } catch (error) {
      this.#noteOrThrow(error)
      return undefined
    }
  }

  #noteOrThrow(error: unknown): void {
    if (!isRetry(error)) throw error
    this.#lastError = error.message
  }

  /** The call may hang for ever on a dead mount; a stopped client does not wait for it. */
  async #unlessStopped<T>(call: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    if (this.#stopped) reject(stoppedError())
    this.#aborts.add(reject)
    call.then(resolve, reject)
    try {
      return await promise
    } finally {
      this.#aborts.delete(reject)
    }
  }

  async #pause(attempt: number): Promise<void> {
    const delayMs = Math.min(RETRY_FIRST_MS * 2 ** (attempt - 1), RETRY_LAST_MS)
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#ports.timers.after(delayMs, resolve)
    try {
      await this.#unlessStopped(promise)
    } finally {
      timer.cancel()
    }
  }

  /** One change at a time, also after one whose outcome stayed open: rule 1.2 knows only one. */
  #throwUnlessReady(): void {
    if (this.#stopped) throw stoppedError()
    if (this.#intent !== null) throw this.#unsettledError(this.#intent.change)
  }

  #unsettledError(change: string): CacheError {
    return new CacheError(
      'unknown-outcome',
      'CACHE_REGISTER_UNSETTLED',
      `the register does not answer change=${change} error=${this.#lastError}`,
      { remedy: 'Check the directory of the registers (--register, --state-dir) and start again.' },
    )
  }
}

function onRecord(mutate: Mutation): Proposal {
  return (record) => {
    assert(record !== null, 'a change needs a record that was read or adopted')
    return mutate(record)
  }
}

function isRetry(error: unknown): error is CacheError {
  return error instanceof CacheError && error.kind === 'retry'
}

function stoppedError(): CacheError {
  return new CacheError('unknown-outcome', 'CACHE_REGISTER_STOPPED', 'the register client was stopped')
}

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0')
}
