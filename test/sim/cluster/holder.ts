// One holder of the volume on one host: starts the engine, starts it again when it has died, and keeps the users'
// connection meanwhile; when it ends, its users get errors. Several may exist at once, on different hosts, each of which
// believes that the volume is its own: that is what the protocol is for.
import { CacheError, IoError } from '../../../base/errors.ts'
import type { Prng } from '../../../base/prng.ts'
import type { Ms } from '../../../base/units.ts'
import type { LeftBehind } from '../../../csi-driver/engine/previous-cache/leave-behind.ts'
import type { VolumePorts, VolumeSettings } from '../../../csi-driver/engine/volume-settings.ts'
import { FrontEnd } from '../front-end.ts'
import type { SimulatedVolume } from '../machine.ts'
import { RememberedDoubts } from '../remembered-doubts.ts'
import { describeError } from '../run-result.ts'
import { Workload } from '../workload.ts'
import type { Cluster } from './cluster.ts'
import type { Host, Life } from './host.ts'

/** What the simulator uses of a volume with copies. */
export interface ClusterVolume extends SimulatedVolume {
  readonly fenced: Promise<string>
  prepareMove(to: string, limitMs: Ms): Promise<'close' | 'hand-over'>
  moveTo(to: string): Promise<void>
  leaveBehind(to: string): LeftBehind | null
}

export type OpenClusterVolume = (ports: VolumePorts, settings: VolumeSettings) => Promise<ClusterVolume>

/** A restart that is refused for a reason that may pass is tried that often. */
const RESTART_TRIES_MAX = 4
const RETRY_MS = 400
const REAP_POLL_MS = 20
/** A device whose users do not leave by then is not moved. */
const MOVE_POLLS_MAX = 200
/** An engine that was told to stop and does not is killed after that. */
const SUSPEND_MS_MAX = 2_000

export type HolderState = 'opening' | 'serving' | 'restarting' | 'ended'

export class Holder {
  readonly host: Host
  readonly number: number
  readonly frontEnd: FrontEnd
  readonly workload: Workload
  state: HolderState = 'opening'
  volume: ClusterVolume | null = null
  life: Life | null = null
  epoch = 0
  run = 0
  /** Why it ended before it served, or at all. */
  error: unknown = null
  /** Times that an engine of it began to serve. */
  served = 0
  /** The engine after the present one dies at this step of it; 0: no. */
  dieAtStep = 0
  private readonly cluster: Cluster
  private readonly prng: Prng
  private readonly doubts = new RememberedDoubts()
  private readonly over = Promise.withResolvers<void>()
  private readonly acceptsLoss: boolean
  private session = 0n

  constructor(cluster: Cluster, host: Host, { number, acceptsLoss }: { number: number; acceptsLoss: boolean }) {
    this.cluster = cluster
    this.host = host
    this.number = number
    this.acceptsLoss = acceptsLoss
    this.prng = cluster.world.prng.fork(`holder.${number}`)
    const { world, report, oracle, scenario } = cluster
    this.frontEnd = new FrontEnd({
      world,
      report,
      oracle,
      checkers: [
        {
          name: 'cluster',
          rule: '',
          onAcknowledge: (operation) => {
            for (const checker of cluster.checkers) checker.onAcknowledge?.(this, operation)
          },
        },
      ],
      failedSince: (ms) => cluster.failedSince(this.host, ms),
      nextId: () => ++cluster.lastOperation,
      payloadBytesMax: scenario.workload.largestBytes,
    })
    // Users of all owners like the same places.
    const spots = world.prng.fork('hot-spots')
    this.workload = new Workload(world, this.frontEnd, scenario.workload, this.prng.fork('workload'), spots)
    this.workload.slowness = cluster.slowness
    const { onAnswer } = this.frontEnd
    this.frontEnd.onAnswer = (operation) => {
      for (const checker of cluster.checkers) checker.onAnswer?.(this, operation)
      onAnswer(operation)
    }
  }

  get isServing(): boolean {
    return this.state === 'serving' && this.life?.process.alive === true
  }

  /** Opens the volume and serves until the holder ends. */
  async serve(): Promise<void> {
    this.session = BigInt(this.prng.u32()) * 0x1_0000_0000n + BigInt(this.prng.u32())
    await this.drained()
    let start: 'first' | 'restart' = 'first'
    for (let refusals = 0; this.state !== 'ended'; ) {
      const end = await this.live(start)
      if (end === 'served') refusals = 0
      else refusals++
      if (this.hasEnded()) return
      if (end === 'over' || (start === 'first' && end !== 'served') || refusals > RESTART_TRIES_MAX) break
      start = 'restart'
      this.state = 'restarting'
      await this.reaped()
      if (end === 'refused') await this.pause(RETRY_MS * refusals)
    }
    this.end('the holder gives up')
  }

  /** The engine ends now; its holder starts another. */
  crashEngine(): void {
    this.life?.process.die()
  }

  /** The holder and its engine are gone, and with them the users. */
  end(why: string): void {
    if (this.state === 'ended') return
    const { world, oracle } = this.cluster
    world.trace.note(world.nowMs, `holder ${this.number} on ${this.host.name} ends: ${why}`)
    this.state = 'ended'
    this.volume = null
    this.life?.process.die()
    this.frontEnd.detach()
    this.workload.pause()
    oracle.abandonedOnly(world.tick(), [...this.frontEnd.outstanding.keys()])
    this.frontEnd.abandon()
    this.over.resolve()
  }

  /** Somebody newer owns the volume: users get errors, then the engine stops. Resolves when it is gone with its I/O. */
  async endForNewer(epoch: number): Promise<void> {
    if (this.state !== 'ended' && this.epoch > 0 && this.epoch >= epoch) return
    if (this.state !== 'ended') await this.stop(`epoch ${epoch} is newer`)
    await this.reaped()
  }

  /** A clean close, by the volume itself. Rejects with what it rejects with. */
  async close(): Promise<void> {
    const { volume } = this
    if (volume === null) throw new Error('the volume is not open')
    await volume.close()
    this.end('closed')
  }

  /** A planned move, as `forebay move` does it: drains for a moment, takes the users away, gives the volume to `to`. */
  async move(to: string, drainMs: Ms): Promise<'close' | 'hand-over'> {
    const { volume } = this
    if (volume === null) throw new Error('the volume is not open')
    await volume.prepareMove(to, drainMs)
    this.workload.pause()
    for (let polls = 0; this.frontEnd.outstanding.size > 0; polls++) {
      if (this.state !== 'serving' || polls > MOVE_POLLS_MAX) {
        this.workload.resume()
        throw new Error('the device is in use')
      }
      await this.pause(REAP_POLL_MS)
    }
    try {
      const how = await volume.prepareMove(to, drainMs)
      await (how === 'close' ? volume.close() : volume.moveTo(to))
      const left = volume.leaveBehind(to)
      if (left !== null) this.cluster.peerOf(this.host).serveCache(left)
      this.end(`moved to ${to}: ${how}`)
      return how
    } catch (error) {
      // The device is gone: whoever opens the volume next finds what is dirty.
      await this.stop('a move has failed')
      throw error
    }
  }

  private async stop(why: string): Promise<void> {
    const { volume, life } = this
    this.frontEnd.detach()
    if (volume !== null && life?.process.alive === true) {
      await Promise.race([volume.suspend().catch(() => undefined), life.died, this.pause(SUSPEND_MS_MAX)])
    }
    this.end(why)
  }

  /** One engine, from its start to its end. */
  private async live(start: 'first' | 'restart'): Promise<'served' | 'refused' | 'died' | 'over'> {
    const { cluster, host } = this
    const life = host.start('engine')
    this.life = life
    life.process.dieAtStep = this.dieAtStep
    life.process.dieAfterEffect = this.prng.chance(0.5)
    this.dieAtStep = 0
    if (start === 'first') {
      this.frontEnd.reconnect()
      cluster.backing.restore(host.name)
    }
    const settings = cluster.settingsFor(this, { start, session: this.session, acceptsLoss: this.acceptsLoss })
    const opened = cluster.openVolume(cluster.enginePorts(this, life, this.doubts), settings).then(
      (volume) => ({ volume }),
      (error: unknown) => ({ error }),
    )
    const outcome = await Promise.race([opened, life.died, this.over.promise])
    if (outcome === undefined) return this.hasEnded() ? 'over' : 'died'
    if ('error' in outcome) return this.refused(outcome.error, life)
    this.opened(outcome.volume, life, start)
    const fenced = outcome.volume.fenced.then((reason) => ({ reason }))
    const end = await Promise.race([fenced, life.died, this.over.promise])
    if (this.hasEnded()) return 'over'
    this.volume = null
    if (end === undefined) return 'served'
    cluster.count('fenced')
    this.volume = outcome.volume
    await this.stop(end.reason)
    return 'over'
  }

  private hasEnded(): boolean {
    return this.state === 'ended'
  }

  private refused(error: unknown, life: Life): 'refused' | 'over' {
    const { world } = this.cluster
    world.trace.note(world.nowMs, `OPEN REFUSED ${life.process.name} ${describeError(error)}`)
    this.cluster.count(error instanceof CacheError ? `refused-${error.code}` : 'refused')
    life.process.die()
    this.error = error
    this.cluster.needsOff = error instanceof CacheError && error.code === 'CACHE_NEEDS_OFF'
    if (!(error instanceof CacheError || error instanceof IoError)) {
      this.cluster.report.add('crash', 'no exception', describeError(error))
      return 'over'
    }
    return error instanceof CacheError && error.kind === 'fenced' ? 'over' : 'refused'
  }

  private opened(volume: ClusterVolume, life: Life, start: 'first' | 'restart'): void {
    const { cluster } = this
    const { process } = life
    const { epoch, run } = volume.status()
    this.volume = volume
    this.state = 'serving'
    this.epoch = epoch
    this.run = run
    this.served++
    cluster.count(start === 'first' ? 'opened' : 'restarted')
    cluster.world.trace.note(cluster.world.nowMs, `SERVING ${process.name} epoch=${epoch} run=${run}`)
    for (const checker of cluster.checkers) checker.onServing?.(this)
    this.frontEnd.attach(volume, process)
    if (start === 'restart') {
      this.frontEnd.resend(shuffled(this.frontEnd.unanswered, this.prng))
      process.effect(() => volume.resendDrained())
    }
    this.frontEnd.sendQueued()
    this.frontEnd.kick()
    this.workload.resume()
    volume.attached().catch((error: unknown) => {
      cluster.world.trace.note(cluster.world.nowMs, `attached failed: ${describeError(error)}`)
    })
  }

  /** The last engine's I/O has ended (rule 3.1). */
  private async reaped(): Promise<void> {
    const { life } = this
    while (life !== null && !this.host.isReaped(life)) await this.pause(REAP_POLL_MS)
  }

  /** Everything that engines of this host ever had in flight at the backing has ended (rule 5.3). */
  private async drained(): Promise<void> {
    while (!this.host.isDrained && this.state !== 'ended') await this.pause(REAP_POLL_MS)
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.cluster.world.schedule(ms, 'holder.waits', resolve))
  }
}

function shuffled(values: number[], prng: Prng): number[] {
  if (prng.chance(0.5)) return values
  for (let i = values.length - 1; i > 0; i--) {
    const j = prng.below(i + 1)
    const kept = values[i] as number
    values[i] = values[j] as number
    values[j] = kept
  }
  return values
}
