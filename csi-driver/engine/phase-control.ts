// Carries out the moves of protocol/phase-table.ts: freezes what rule 1.2 freezes, lets the register settle, and only
// then acts by the new phase. One move at a time.
import { CacheError } from '../../base/errors.ts'
import type { Bytes } from '../../base/units.ts'
import { MIB } from '../../base/units.ts'
import { movePhase, type PhaseEvent } from '../protocol/phase-table.ts'
import { closeClean, setPhase } from '../protocol/register-transitions.ts'
import type { Mutation, RegisterClient } from '../register/register-client.ts'
import { type Destager, DirtyUnreadableError } from './destager.ts'
import type { EdgeHashes } from './edge-hashes.ts'
import type { EngineCore } from './engine-core.ts'
import { once } from './generation.ts'
import { policyMet } from './replication/copies-wanted.ts'
import { NoDeviceYet, type WritePolicy } from './volume-settings.ts'

/** With so little left, the last generation is short enough to hold writers for. */
const LAST_DRAIN_BYTES: Bytes = MIB
/** Generations at full rate before writers are held in any case. */
const DRAIN_ROUNDS_MAX = 8

export interface PhaseHost {
  readonly core: EngineCore
  readonly client: RegisterClient
  readonly destager: Destager
  readonly edges: EdgeHashes
  /** New writes wait from now on until the returned function is called. Reads go on. */
  holdWrites(): () => void
  /** Resolves when no write is on its way: nothing in a batch, nothing at the backing for a user. */
  writesQuiet(): Promise<void>
  /** Requests that waited for the end of a freeze may go on. */
  release(): void
  /** Another owner exists: this engine serves nothing any more, ever. */
  fenced(reason: string): void
  /** A superblock could not be written: what follows from that begins now. */
  cacheDeviceFailed(message: string): void
}

export class PhaseControl {
  /** What the user wants; the phase may lag behind or be unable to follow (core.reason says why). */
  policy: WritePolicy
  /** Why there is no write-back although the policy asks for it: too few copies. Null: there are enough. */
  degraded: string | null = null
  private readonly host: PhaseHost
  private readonly core: EngineCore
  private turn: Promise<unknown> = Promise.resolve()
  private readonly waiting = new Set<'degrade' | 'restore'>()
  /** Lets writes go on that wait since the cache device failed; null while it has not. */
  private cacheFailureHold: (() => void) | null = null

  constructor(host: PhaseHost, policy: WritePolicy) {
    this.host = host
    this.core = host.core
    this.policy = policy
    this.core.mayReadCache = this.mayReadCache()
  }

  /** Resolves when the policy is in force (DESIGN.md §7.8). Throws CacheError `invalid` where it cannot be. */
  setPolicy(policy: WritePolicy): Promise<void> {
    return this.inTurn(async () => {
      if (policy === 'write-back' && this.core.cacheFailure !== null) throw cacheFailedError(this.core.cacheFailure)
      this.policy = policy
      await this.rememberPolicy(policy)
      if (policy === 'write-back' && this.degraded !== null) {
        this.core.reason = this.degraded
        return
      }
      await (policy === 'write-through' ? this.toWriteThrough('policy write-through') : this.toWriteBack())
    })
  }

  /** For an engine after this one. Where it cannot be left, that one goes by the settings. */
  private async rememberPolicy(policy: WritePolicy): Promise<void> {
    const { doubts, log } = this.core.ports
    try {
      await doubts.raise(policy)
      await doubts.clear(policy === 'write-back' ? 'write-through' : 'write-back')
    } catch (error) {
      log.event('engine.policy_not_left', { policy, reason: String(error) }, 'warning')
    }
  }

  /** A drain that an earlier engine began, or that the open asks for, goes on by itself; or it is given up. */
  goOn(): Promise<void> {
    if (this.policy === 'write-through') return this.setPolicy('write-through')
    return this.degraded === null ? this.restore() : this.degrade()
  }

  /** The membership misses the policy, and why: no write-back until `restore`. */
  tooFewCopies(reason: string): void {
    this.degraded = reason
    const { core } = this
    const through = core.phase === 'DrainWT' || core.phase === 'WriteThrough'
    if (through && this.policy === 'write-back' && core.cacheFailure === null) core.reason = reason
  }

  /** Too few copies for the policy: writes through, whatever the user wants; what he wants stays noted. */
  degrade(): Promise<void> {
    return this.onceInTurn('degrade', async () => {
      const { phase } = this.core
      // Copies may be back by the time that it is its turn.
      if (this.degraded !== null && (phase === 'WriteBack' || phase === 'DrainWT')) {
        await this.toWriteThrough(this.degraded)
      }
    })
  }

  /** There are copies enough: back to what the user wants. */
  restore(): Promise<void> {
    this.degraded = null
    return this.onceInTurn('restore', async () => {
      if (this.degraded !== null || this.policy !== 'write-back' || this.core.cacheFailure !== null) return
      if (this.core.phase === 'DrainWT' || this.core.phase === 'WriteThrough') await this.toWriteBack()
    })
  }

  /** Nothing is dirty when it resolves, at one moment; the phase stays. */
  drain(): Promise<void> {
    return this.inTurn(() => this.drainLog().then((release) => release()))
  }

  /** Drains, then writes the end of this ownership to the register. The caller submits nothing any more. */
  close(): Promise<void> {
    return this.inTurn(async () => {
      await this.toWriteThrough('closing')
      const release = this.host.holdWrites()
      await this.host.writesQuiet()
      const error = await once((done) => this.core.backing.flush(done))
      if (error !== null) {
        release()
        throw new CacheError(
          'retry',
          'CACHE_BACKING_FLUSH',
          `the backing could not be flushed reason=${error.message}`,
          {
            remedy: 'Mend the backing and stop the volume again; nothing is dirty in the cache.',
          },
        )
      }
      await this.host.destager.stop()
      await this.move('close')
      const lastSeq = this.core.committedSeq
      await this.changeRegister('close', (record) => closeClean(record, { lastSeq }))
      this.core.phase = 'Detached'
    })
  }

  /** The cache device failed a write: go on without it if everything can still be read (issue of invariant 9). */
  cacheFailed(message: string): Promise<void> {
    // The batch in flight, a checkpoint and a change of phase may all meet the same failure.
    if (this.cacheFailureHold !== null) return Promise.resolve()
    const release = this.host.holdWrites()
    this.cacheFailureHold = release
    return this.inTurn(async () => {
      this.core.reason = `cache device failed: ${message}`
      this.core.ports.log.event('engine.cache_failed', { reason: message, phase: this.core.phase }, 'error')
      if (this.core.phase === 'WriteThrough') {
        this.core.readCache.clear()
        release()
        return
      }
      try {
        await this.move('cache-failed')
        await this.leaveLog(release)
        this.core.readCache.clear()
      } catch (error) {
        if (!(error instanceof DirtyUnreadableError)) throw error
        await this.block(error.reason)
      }
    })
  }

  /** Acknowledged data can be read from nowhere: writes wait until it can, or until the user decides (invariant 9). */
  dirtyUnreadable(message: string): Promise<void> {
    return this.inTurn(() => this.block(message))
  }

  /** What could not be read has been read: the volume goes on where it was. */
  dirtyReadable(): Promise<void> {
    return this.inTurn(async () => {
      if (this.core.phase !== 'Blocked' || this.host.destager.stuck !== null) return
      await this.move('dirty-readable')
      this.core.reason = this.core.cacheFailure === null ? '' : `cache device failed: ${this.core.cacheFailure}`
      if (this.core.cacheFailure !== null) {
        await this.leaveLog(this.cacheFailureHold ?? this.host.holdWrites())
        this.core.readCache.clear()
      } else if (this.policy === 'write-back' && this.degraded === null) await this.toWriteBack()
      else await this.toWriteThrough(this.degraded ?? 'policy write-through')
    })
  }

  private async block(message: string): Promise<void> {
    if (this.core.phase === 'Blocked') return
    this.core.reason = `${message} dirtyBytes=${this.core.dirtyBytes} oldestDirtyMs=${Math.round(this.host.destager.oldestDirtyMs)}`
    this.core.ports.log.event('engine.blocked', { reason: this.core.reason }, 'error')
    await this.move('dirty-unreadable')
  }

  private async toWriteThrough(reason: string): Promise<void> {
    const { core } = this
    if (core.phase === 'Blocked') throw blockedError(core.reason)
    if (core.phase === 'WriteThrough') return
    core.reason = core.reason === '' ? reason : core.reason
    if (core.phase === 'WriteBack') await this.beginDrain()
    const release = await this.drainLog()
    try {
      await this.leaveLog(release)
    } catch (error) {
      release()
      throw error
    }
  }

  private async beginDrain(): Promise<void> {
    const { host } = this
    // From now on writes may go past the log, so the hashes of the last checkpoint stop being true.
    host.edges.paused = true
    const release = host.holdWrites()
    try {
      // No batch is in flight while the phase is open (1.2): whatever comes later is acknowledged by the new rule (2.2).
      await host.writesQuiet()
      await this.move('want-write-through')
    } finally {
      release()
    }
  }

  /** The log is empty and writes are held: dirty=false, then writes go to the backing. */
  private async leaveLog(release: () => void): Promise<void> {
    const { core } = this
    await this.host.writesQuiet()
    while (this.host.destager.logInUse) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- what was in flight at the hold needs one more generation
      await this.host.destager.destageOnce()
    }
    await this.move('log-empty')
    release()
    const passesFlushes = await this.announce('write-back')
    core.flushBeforeAck = !passesFlushes || core.phase !== 'WriteThrough'
  }

  private get isWriteBack(): boolean {
    return this.core.phase === 'WriteBack'
  }

  private async toWriteBack(): Promise<void> {
    const { core, host } = this
    if (core.phase === 'Blocked') throw blockedError(core.reason)
    if (core.phase === 'WriteBack') return
    const release = host.holdWrites()
    const { flushBeforeAck } = core
    core.flushBeforeAck = true
    try {
      await host.writesQuiet()
      // Every through-write is durable before the device stops passing flushes on.
      const error = await once((done) => core.unflushed.settle(done))
      if (error !== null)
        throw new CacheError('retry', 'CACHE_BACKING_FLUSH', `the backing could not be flushed reason=${error.message}`)
      host.edges.paused = false
      await this.move('want-write-back')
      if (this.isWriteBack) core.reason = ''
      else host.edges.paused = true
    } catch (error) {
      core.flushBeforeAck = flushBeforeAck
      throw error
    } finally {
      release()
    }
    if (this.isWriteBack) await this.announce('write-through')
    else core.flushBeforeAck = flushBeforeAck
  }

  /** Destages at full rate until nothing is dirty; writes are held when it resolves. */
  private async drainLog(): Promise<() => void> {
    const { core, host } = this
    if (core.phase === 'Blocked') throw blockedError(core.reason)
    const calm = host.destager.hurry()
    let release: (() => void) | null = null
    try {
      for (let round = 0; round < DRAIN_ROUNDS_MAX && core.dirtyBytes > LAST_DRAIN_BYTES; round += 1) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- generations follow one another
        await host.destager.destageOnce()
      }
      release = host.holdWrites()
      await host.writesQuiet()
      while (host.destager.logInUse) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- generations follow one another
        await host.destager.destageOnce()
      }
      return release
    } catch (error) {
      release?.()
      throw error
    } finally {
      calm()
    }
  }

  /** One row of the phase table: frozen while the register settles. */
  private async move(event: PhaseEvent): Promise<void> {
    const { core, host } = this
    const row = movePhase(core.phase, event)
    if (row === null || (row.to === core.phase && row.cas === undefined)) return
    core.frozen += 1
    try {
      if (row.cas !== undefined) {
        const { dirty } = row.cas
        const phase = row.to as Parameters<typeof setPhase>[1]['phase']
        const lastSeq = core.committedSeq
        await this.changeRegister(`phase-${row.to}`, (record) =>
          // Members that were removed meanwhile may have left too few for write-back.
          phase === 'WriteBack' && !policyMet(core.settings, record.members)
            ? record
            : setPhase(record, { phase, dirty, lastSeq }),
        )
      }
      const to = row.cas === undefined ? row.to : (host.client.record?.phase ?? row.to)
      core.ports.log.event('engine.phase', { from: core.phase, to, row: row.label, reason: core.reason })
      core.phase = to
    } finally {
      core.frozen -= 1
      host.release()
    }
  }

  /**
   * A settled change of the register. When it was sent and cannot be settled, or a newer owner exists, nothing is
   * answered any more (1.2): the freeze of it never ends.
   */
  async changeRegister(name: string, mutate: Mutation): Promise<void> {
    const { core, client } = this.host
    try {
      if ((await client.change(name, mutate)) === 'applied') return
      this.fence(`another owner has claimed the volume change=${name}`)
    } catch (error) {
      // Another register says nothing about this volume, and never will: nobody waits for it.
      if (error instanceof CacheError && error.kind === 'corrupt') this.fence(error.message)
      else if (client.intent !== null) this.stopServing(`the register is not settled change=${name}`)
      throw error
    } finally {
      core.mayReadCache = this.mayReadCache()
      const { failed } = core.journal
      if (failed !== null && core.cacheFailure === null) this.host.cacheDeviceFailed(failed.message)
    }
    throw new CacheError(
      'fenced',
      'CACHE_FENCED',
      `another owner has claimed the volume volume=${core.settings.volume}`,
      {
        remedy: 'This engine has stopped writing; look at the volume on its new node.',
      },
    )
  }

  /**
   * Rule 8.4: a volume that is surely dirty, or has members elsewhere, cannot be opened without our log or our lease. Any
   * other may be, by a node that shares the register and has taken the backing from us.
   */
  private mayReadCache(): boolean {
    const { core, client } = this.host
    const { replication, node } = core.settings
    const { record } = client
    if (replication === null || record === null) return true
    return record.dirty || record.members.some((member) => member.node !== node)
  }

  /** A newer owner was seen, in the register or by a store. */
  fence(reason: string): void {
    this.stopServing(reason)
    this.host.fenced(reason)
  }

  private stopServing(reason: string): void {
    const { core } = this
    core.frozen += 1
    // Whoever owns the volume now is the only one who may write to its backing (invariant 5).
    void this.host.destager.stop()
    core.reason = reason
    core.ports.log.event('engine.stopped_serving', { reason }, 'error')
  }

  /** False when the device could not be told: slower but safe, through-writes go on being flushed one by one. */
  private async announce(mode: 'write-back' | 'write-through'): Promise<boolean> {
    try {
      await this.core.ports.writeCache.setWriteCache(mode)
      return true
    } catch (error) {
      if (error instanceof NoDeviceYet) return false
      this.core.ports.log.event('engine.write_cache_switch_failed', { mode, reason: String(error) }, 'warning')
      return false
    }
  }

  /** The device exists now: tells it what the phase needs. Called once after it was attached, and after a restart. */
  attached(): Promise<void> {
    // The drain under way may take long and tells the device when it ends; until then it was attached in the right mode.
    if (this.core.phase === 'DrainWT') return Promise.resolve()
    return this.inTurn(async () => {
      if (this.core.phase !== 'WriteThrough') await this.announce('write-through')
      else this.core.flushBeforeAck = !(await this.announce('write-back'))
    })
  }

  /** The membership asks several times a second, and a drain may wait for its backing for hours: one of each waits. */
  private onceInTurn(move: 'degrade' | 'restore', run: () => Promise<void>): Promise<void> {
    if (this.waiting.has(move)) return Promise.resolve()
    this.waiting.add(move)
    return this.inTurn(() => {
      this.waiting.delete(move)
      return run()
    })
  }

  private inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.turn.then(run)
    this.turn = result.catch(() => undefined)
    return result
  }
}

function blockedError(reason: string): CacheError {
  return new DirtyUnreadableError(reason)
}

function cacheFailedError(reason: string): CacheError {
  return new CacheError('invalid', 'CACHE_DEVICE_FAILED', `the cache device failed reason=${reason}`, {
    remedy: 'Stop the volume, replace the cache device and serve it again.',
  })
}

/** A policy that was changed online lasts until the next serve (DESIGN.md §7.8); the phase may be that of a degrade. */
export function policyOf({ settings, phase, ports }: EngineCore): WritePolicy {
  if (settings.start === 'first' || phase === 'Blocked') return settings.writePolicy
  const { doubts } = ports
  if (doubts.has('write-through')) return 'write-through'
  return doubts.has('write-back') ? 'write-back' : settings.writePolicy
}
