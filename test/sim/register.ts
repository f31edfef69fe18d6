// The register as an engine in the simulator sees it: calls take time, replies get lost, changes land late or never.
// The record itself lives in the product's MemoryRegister and outlives every process.
import { CacheError } from '../../base/errors.ts'
import type { Prng } from '../../base/prng.ts'
import { type CasFate, MemoryRegister } from '../../csi-driver/register/memory-register.ts'
import type { RegisterRecord } from '../../csi-driver/register/record.ts'
import type { CasReply, Register } from '../../csi-driver/register/register.ts'
import type { Process, World } from './world.ts'

export interface RegisterWatcher {
  /** A version has become the register's. */
  onRegister?(record: RegisterRecord): void
}

export class SimulatedRegister {
  readonly store: MemoryRegister
  readonly watchers: RegisterWatcher[] = []
  /** Share of compare-and-swaps whose outcome the caller is not told. */
  unknownShare = 0
  /** Nothing answers before that time. */
  unreachableUntilMs = 0
  /** Hosts that do not reach it. */
  readonly cutFrom = new Set<string>()
  /** Changes that were sent and may still become the register's. */
  readonly proposals = new Set<RegisterRecord>()
  unknownReplies = 0
  failedCalls = 0
  private readonly world: World
  private readonly prng: Prng
  private versions = 0
  /** Host of the call that is being carried out. */
  private caller = ''
  /** The change that is being carried out. */
  private carried: RegisterRecord | null = null

  constructor(world: World) {
    this.world = world
    this.prng = world.prng.fork('register')
    this.store = new MemoryRegister({
      fate: () => this.drawFate(),
      later: (land) => {
        // One in five never arrives; the others may outlive the process that sent them.
        const sent = this.carried
        if (this.prng.chance(0.2)) return
        if (sent !== null) this.proposals.add(sent)
        world.schedule(this.prng.float() * 3000, 'register.lands', () => {
          land()
          if (sent !== null) this.proposals.delete(sent)
          this.announce()
        })
      },
      readFails: () => this.isUnreachable,
    })
  }

  /** For whose call is being carried out. */
  get isUnreachable(): boolean {
    return this.unreachableUntilMs > this.world.nowMs || this.cutFrom.has(this.caller)
  }

  heal(): void {
    this.unknownShare = 0
    this.unreachableUntilMs = 0
    this.cutFrom.clear()
  }

  attach(process: Process, host = ''): Register {
    const call = <T>(name: string, act: () => Promise<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        process.effect(() => {
          this.world.schedule(this.latencyMs(), name, () => {
            this.caller = host
            act().then(
              (value) => {
                this.announce()
                this.world.schedule(this.latencyMs(), `${name}.reply`, () => {
                  process.deliver(() => resolve(value))
                })
              },
              (error: unknown) => {
                this.failedCalls++
                process.deliver(() => reject(error))
              },
            )
          })
        })
      })
    return {
      read: () => call('register.read', () => this.store.read()),
      compareAndSwap: (expectedRv, next) => {
        this.proposals.add(next)
        return call('register.swap', () => this.compareAndSwap(expectedRv, next))
      },
    }
  }

  /** Tells the watchers of versions they have not seen. */
  private announce(): void {
    const record = this.readable()
    if (record === null || record.rv === this.versions) return
    this.versions = record.rv
    this.world.trace.add(this.world.nowMs, `register.${record.phase}`, record.rv, record.epoch, record.dirty ? 1 : 0)
    for (const watcher of this.watchers) watcher.onRegister?.(record)
  }

  /** The newest record; null where there is none or what stands there is not valid (its reader will say so). */
  private readable(): RegisterRecord | null {
    try {
      return this.store.current
    } catch {
      return null
    }
  }

  private async compareAndSwap(expectedRv: number, next: RegisterRecord): Promise<CasReply> {
    this.proposals.delete(next)
    if (this.isUnreachable && this.prng.chance(0.3)) {
      throw new CacheError('retry', 'CACHE_REGISTER_UNAVAILABLE', 'the register does not answer')
    }
    this.carried = next
    return this.store.compareAndSwap(expectedRv, next)
  }

  private drawFate(): CasFate {
    const unknown = this.isUnreachable ? 1 : this.unknownShare
    if (!this.prng.chance(unknown)) return 'answered'
    this.unknownReplies++
    return this.prng.chance(0.5) ? 'reply-lost' : 'lands-later'
  }

  private latencyMs(): number {
    return 0.2 + this.prng.float() * (this.prng.chance(0.05) ? 200 : 3)
  }
}
