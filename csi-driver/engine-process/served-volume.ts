// One volume as this process serves it: opens it, makes its device, answers the control socket, and takes both down in
// order. The holder starts it and reads its exit status (holder/exit-status.ts).
//
//   first signal   write-through at once, drain, wait until nobody has the device open, detach, close clean: exit 0
//   second signal  stop at once: open users get I/O errors, dirty data stays in the cache: exit 3
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { CacheError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import { keepSettings } from '../cli/kept-settings.ts'
import { productVersion } from '../cli/product.ts'
import type { ServePlan } from '../cli/serve-settings.ts'
import { openVolume, type Volume } from '../engine/volume.ts'
import { NoDeviceYet } from '../engine/volume-settings.ts'
import { runSelfTest } from '../frontend/fuse/self-test.ts'
import type { LoopHost } from '../frontend/loop/host.ts'
import { EXIT_CLEAN, EXIT_DIRTY, EXIT_NO_RESTART, EXIT_REPLACE } from '../holder/exit-status.ts'
import { RUN_BUILD, RUN_READY } from '../holder/run-directory.ts'
import type { FuseChannelEnd } from '../io/fuse-channel.ts'
import { SystemAlignedMemory } from '../io/real/aligned-memory.ts'
import { bestChannelKind, createFuseDevices } from '../io/real/fuse-devices.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { leaveProcess } from '../io/real/leave-process.ts'
import { systemFiles } from '../io/real/small-files.ts'
import { systemClock, systemTimers } from '../io/real/system-clock.ts'
import { ControlServer } from '../observe/control-server.ts'
import { EngineMetrics } from '../observe/engine-metrics.ts'
import { ObserveServer } from '../observe/http.ts'
import { LastStatusWriter } from '../observe/last-status.ts'
import { lastStatusPath } from '../observe/state-paths.ts'
import type { DeviceUser, PolicyName, VolumeState, VolumeStatus } from '../observe/status.ts'
import type { EndOlder } from '../observe/control-protocol.ts'
import type {
  EndOlderResult,
  MoveResult,
  Progress,
  ResizeResult,
  UpgradeRequest,
  VolumeControl,
  Waiting,
} from '../observe/volume-control.ts'
import type { DeviceOptions, VolumeDevice } from './device.ts'
import { EarlySignals } from './early-signals.ts'
import { FuseDevice } from './fuse-device.ts'
import { whoIsMeant } from './end-older.ts'
import { leaveCache } from './leave-cache.ts'
import { NbdDevice } from './nbd-device.ts'
import { lastStatusOf, peerViews, volumeStatus } from './status-report.ts'
import { openPorts, type OpenedPorts } from './volume-ports.ts'

const TICK_MS = 1_000
/** A move drains for so long while the volume goes on, and once more when its users have gone. */
const MOVE_DRAIN_MS = 10_000
/** How often an upgrade without RESEND looks for a moment without requests. */
const QUIET_POLL_MS = 1

export interface ServeEnvironment {
  readonly start: 'first' | 'restart'
  readonly holderPid: number | null
  /** Behaves as on a kernel before 6.9 (tests). */
  readonly maskResend: boolean
}

export class ServedVolume implements VolumeControl {
  private readonly plan: ServePlan
  private readonly environment: ServeEnvironment
  private readonly log: EventLog
  private readonly version = productVersion()
  private readonly lastStatus: LastStatusWriter
  private readonly exit = Promise.withResolvers<number>()
  private readonly early: EarlySignals
  private state: VolumeState = 'starting'
  private opened: OpenedPorts | null = null
  private volume: Volume | null = null
  private device: VolumeDevice | null = null
  private control: ControlServer | null = null
  private http: ObserveServer | null = null
  private stopping: Promise<void> | null = null
  private moving: Promise<MoveResult> | null = null
  private openBy: readonly DeviceUser[] = []
  private readonly stopWaiters = new Set<(progress: Progress) => void>()
  /** Exit status that this process is about to end with, once everything is taken down. */
  private ending: number | null = null

  constructor(plan: ServePlan, environment: ServeEnvironment, log: EventLog) {
    this.plan = plan
    this.environment = environment
    this.log = log
    this.early = new EarlySignals(environment.start, log)
    this.lastStatus = new LastStatusWriter(systemFiles, lastStatusPath(plan.stateDirectory, plan.volume))
  }

  /** Serves until the volume is stopped or replaced; resolves with the exit status. Throws CacheError where it cannot. */
  async run(onReady: (device: string) => void): Promise<number> {
    const { plan } = this
    await systemFiles.makeDirectory(`${plan.stateDirectory}/run`)
    const endedEarly = await Promise.race([this.open().then(() => null), this.early.ended])
    if (endedEarly !== null) return endedEarly
    this.control = new ControlServer({ path: plan.controlSocket, control: this, log: this.log })
    await this.control.listen()
    await this.listenForMetrics()
    const volume = this.volume as Volume
    const device = this.device as VolumeDevice
    await device.attach(volume, volume.status().phase === 'WriteThrough' ? 'write back' : 'write through')
    if (this.state === 'starting') this.state = 'serving'
    void volume.fenced.then((reason) => this.onFenced(reason))
    if (this.environment.start === 'first') await keepSettings(systemFiles, plan.runDirectory, plan)
    await systemFiles.replace(`${plan.runDirectory}/${RUN_READY}`, '\n')
    onReady(device.name as string)
    this.early.passOn(() => this.signal())
    this.tick()
    return this.exit.promise
  }

  private async open(): Promise<void> {
    const { plan, environment, log } = this
    const host: LoopHost = { processes: new RealProcesses(), files: systemFiles, timers: systemTimers, log }
    if (environment.start === 'first' && plan.nbdSocket === null) await this.selfTest(host)
    const memoryOwner: { device: VolumeDevice | null } = { device: null }
    const opened = await openPorts({
      plan,
      start: environment.start,
      session: 0n,
      log,
      writeCache: {
        setWriteCache: (mode) => memoryOwner.device?.setWriteCache(mode) ?? Promise.reject(new NoDeviceYet()),
      },
      onCacheProgress: cacheProgress(log),
    })
    this.opened = opened
    const options = {
      plan,
      host,
      memory: opened.memory,
      log,
      maskResend: environment.maskResend,
      onClosed: (end: FuseChannelEnd) => this.onDeviceClosed(end),
    }
    const device = plan.nbdSocket === null ? await this.fuseDevice(options) : new NbdDevice(options, plan.nbdSocket)
    memoryOwner.device = device
    this.device = device
    try {
      this.volume = await openVolume(opened.ports, { ...opened.settings, session: BigInt(`0x${device.sessionHex}`) })
    } catch (error) {
      await opened.undo()
      throw error
    }
  }

  private async fuseDevice(options: DeviceOptions): Promise<FuseDevice> {
    const inherited = this.environment.start === 'restart' ? await FuseDevice.inherit(options) : null
    return inherited ?? FuseDevice.fresh(options)
  }

  /** The switches of FUSE that lose data without a word when they are wrong, on this kernel and with this build. */
  private async selfTest(host: LoopHost): Promise<void> {
    const { plan, environment, log } = this
    const ports = { host, devices: createFuseDevices(new SystemAlignedMemory()), clock: systemClock }
    const report = await runSelfTest(ports, {
      runDirectory: `${plan.runDirectory}-self-test`,
      kind: bestChannelKind(),
      sessionHex: randomBytes(8).toString('hex'),
      maskResend: environment.maskResend,
    })
    log.event('serve.self_test_passed', { durationMs: Math.round(report.durationMs), resend: report.session.resend })
  }

  status(): VolumeStatus {
    const { plan, environment, opened } = this
    const volume = this.volume as Volume
    return volumeStatus({
      plan,
      engine: volume.status(),
      state: this.state,
      device: this.device?.name ?? null,
      connections: this.device?.connections ?? null,
      holderPid: environment.holderPid,
      enginePid: process.pid,
      version: this.version,
      volumeBytes: volume.sizeBytes,
      inSync: volume.record?.members ?? [],
      peers: peerViews(volume.peers()),
      openBy: this.openBy,
      nowWallMs: opened?.ports.clock.wallMs() ?? systemClock.wallMs(),
    })
  }

  async setPolicy(policy: PolicyName, waiting: Waiting): Promise<void> {
    this.refuseWhileStopping()
    await this.reporting('draining', waiting, (this.volume as Volume).setPolicy(policy))
  }

  async drain(waiting: Waiting): Promise<void> {
    await this.reporting('draining', waiting, (this.volume as Volume).drain())
  }

  async stop(waiting: Waiting): Promise<void> {
    this.stopWaiters.add(waiting.onProgress)
    try {
      await Promise.race([this.beginStop(), aborted(waiting.signal)])
    } finally {
      this.stopWaiters.delete(waiting.onProgress)
    }
  }

  async move(to: string, waiting: Waiting): Promise<MoveResult> {
    this.refuseWhileStopping()
    const volume = this.volume as Volume
    if (to === this.plan.node) {
      throw new CacheError('invalid', 'CACHE_MOVE_HERE', `the volume is served by this very node node=${to}`)
    }
    await this.reporting(
      'draining',
      waiting,
      volume.prepareMove(to, MOVE_DRAIN_MS).then(() => undefined),
    )
    this.stopWaiters.add(waiting.onProgress)
    try {
      return await (this.moving ??= this.moveInOrder(volume, to))
    } finally {
      this.stopWaiters.delete(waiting.onProgress)
    }
  }

  /** Like a stop, but what is not drained by now goes to the new owner as it is. */
  private async moveInOrder(volume: Volume, to: string): Promise<MoveResult> {
    this.state = 'stopping'
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.stopping = promise
    try {
      if ((await this.detach(volume)) === 'held') throw new CacheError('retry', 'CACHE_IN_USE', 'the device is in use')
    } catch (error) {
      this.state = 'serving'
      this.stopping = null
      this.moving = null
      throw error
    }
    try {
      const how = await volume.prepareMove(to, MOVE_DRAIN_MS)
      await (how === 'close' ? volume.close() : volume.moveTo(to))
      await leaveCache(this.plan, volume.leaveBehind(to), this.log)
      this.state = 'stopped'
      void this.end(EXIT_CLEAN, () => Promise.resolve())
      return { moved: how === 'close' ? 'closed' : 'handed-over' }
    } catch (error) {
      // The device is gone: what is dirty stays safe here until the volume is served again.
      void this.end(EXIT_DIRTY, () => volume.suspend())
      throw error
    } finally {
      resolve(undefined)
    }
  }

  async resize(): Promise<ResizeResult> {
    const volume = this.volume as Volume
    const oldBytes = volume.sizeBytes
    const newBytes = await volume.resize()
    if (newBytes !== oldBytes) await this.device?.resized(newBytes)
    return { oldBytes, newBytes }
  }

  async upgrade(request: UpgradeRequest, waiting: Waiting): Promise<void> {
    this.refuseWhileStopping()
    const device = this.device as VolumeDevice
    const { resends } = device
    if (resends === 'nobody') await this.untilQuiet(device, request.quiesceMs, waiting)
    const stopped = device.stopReading()
    if (resends === 'nobody') await stopped
    // What is not answered by then its client sends again, to the next engine.
    if (resends === 'client') await Promise.race([stopped, pause(request.quiesceMs)])
    if (request.build !== null)
      await systemFiles.replace(`${this.plan.runDirectory}/${RUN_BUILD}`, `${request.build}\n`)
    this.log.event('engine.replaced', { build: request.build ?? 'same', resend: resends === 'kernel' })
    void this.end(EXIT_REPLACE, () => (this.volume as Volume).suspend())
  }

  /** A store of this node is asked to seal its copy for another owner, and waits until this one has ended (rule S2). */
  async endOlder(asked: EndOlder): Promise<EndOlderResult> {
    if (this.volume === null) throw new CacheError('retry', 'CACHE_STARTING', 'the volume is being opened')
    const { volumeUuid = '', volumeKey = '' } = this.volume.record ?? {}
    const { epoch } = this.volume.status()
    const engine = whoIsMeant({ volumeUuid, volumeKey: Buffer.from(volumeKey, 'hex'), epoch }, asked)
    if (engine !== 'this') return { engine }
    await this.onFenced(`another node has claimed the volume epoch=${asked.epoch}`)
    return { engine: 'ended' }
  }

  /** A signal of the holder: the first begins an orderly stop, every later one stops at once. */
  signal(): void {
    if (this.volume === null) {
      this.early.take()
      return
    }
    // What is being taken down waits for I/O that perhaps never ends. Who is replaced leaves signals to the next engine.
    if (this.ending === EXIT_DIRTY || this.ending === EXIT_NO_RESTART) leaveProcess(this.ending)
    if (this.ending !== null) return
    if (this.stopping === null) {
      void this.beginStop().catch((error: unknown) =>
        this.log.event('serve.stop_failed', { reason: String(error) }, 'error'),
      )
      return
    }
    this.log.event('serve.stopping_at_once', { dirtyBytes: this.volume.status().dirtyBytes }, 'warning')
    void this.end(EXIT_DIRTY, async () => {
      await this.device?.abort()
      await (this.volume as Volume).suspend()
    })
  }

  private beginStop(): Promise<void> {
    this.stopping ??= this.stopInOrder()
    return this.stopping
  }

  private async stopInOrder(): Promise<void> {
    const volume = this.volume as Volume
    this.state = 'stopping'
    try {
      await this.reporting(
        'draining',
        { onProgress: (p) => this.tellStop(p), signal: new AbortController().signal },
        volume.prepareClose(),
      )
      if ((await this.detach(volume)) === 'held') return
      await volume.close()
    } catch (error) {
      this.state = 'serving'
      this.stopping = null
      throw error
    }
    this.state = 'stopped'
    void this.end(EXIT_CLEAN, () => Promise.resolve())
  }

  /** Takes the device off the host; says who has it open. */
  private async detach(volume: Volume): Promise<'held' | 'gone'> {
    const outcome = await this.device?.detach((users) => {
      this.openBy = users
      this.log.event(
        'serve.device_in_use',
        { device: this.device?.name ?? '', by: this.openBy.map((user) => user.name).join(', ') },
        'warning',
      )
      this.tellStop({
        step: 'waiting for the device to be released',
        dirtyBytes: volume.status().dirtyBytes,
        openBy: this.openBy,
      })
    }, new AbortController().signal)
    return outcome === 'held' ? 'held' : 'gone'
  }

  private tellStop(progress: Progress): void {
    for (const tell of this.stopWaiters) tell(progress)
  }

  /** Tells about progress every second until `work` ends or the caller has gone. */
  private async reporting(step: string, waiting: Waiting, work: Promise<void>): Promise<void> {
    const tell = (): void => waiting.onProgress({ step, dirtyBytes: this.volume?.status().dirtyBytes ?? 0 })
    tell()
    const timer = setInterval(tell, TICK_MS)
    try {
      await Promise.race([work, aborted(waiting.signal)])
    } finally {
      clearInterval(timer)
    }
  }

  /** Resolves at a moment at which no request is unanswered. Reading goes on until then: who gives up changes nothing. */
  private async untilQuiet(device: VolumeDevice, quiesceMs: number, waiting: Waiting): Promise<void> {
    const startedMs = systemClock.monotonicMs()
    while (device.requestsInFlight > 0) {
      if (waiting.signal.aborted || systemClock.monotonicMs() - startedMs > quiesceMs) {
        throw new CacheError('retry', 'CACHE_UPGRADE_BUSY', `requests stay unanswered waitedMs=${quiesceMs}`, {
          remedy: 'This kernel cannot send requests again (before 6.9); try when the volume is less busy.',
        })
      }
      // oxlint-disable-next-line eslint/no-await-in-loop -- looks again soon
      await pause(QUIET_POLL_MS)
    }
  }

  private refuseWhileStopping(): void {
    if (this.stopping === null) return
    throw new CacheError('invalid', 'CACHE_STOPPING', `the volume is being stopped volume=${this.plan.volume}`)
  }

  /** The device went away without us: detached by somebody, or the connection aborted. */
  private onDeviceClosed(end: FuseChannelEnd): void {
    if (this.ending !== null || this.stopping !== null) return
    this.log.event('serve.device_lost', { reason: end.reason }, 'warning')
    void this.beginStop().catch(() => this.end(EXIT_NO_RESTART, () => (this.volume as Volume).suspend()))
  }

  /** Another node owns the volume: users of the device here get errors, for nothing can ever be answered again. */
  private onFenced(reason: string): Promise<void> {
    this.log.event('serve.fenced', { reason }, 'error')
    return new Promise((resolve) => {
      void this.end(EXIT_NO_RESTART, async () => {
        await this.device?.abort()
        await (this.volume as Volume).suspend()
        resolve()
      })
    })
  }

  private async end(status: number, takeDown: () => Promise<void>): Promise<void> {
    if (this.ending !== null) return
    this.ending = status
    try {
      await takeDown()
      await this.writeLastStatus(true)
      await this.control?.close()
      await this.http?.close()
    } catch (error) {
      this.log.event('serve.take_down_failed', { reason: String(error) }, 'error')
    }
    this.exit.resolve(status)
  }

  private async listenForMetrics(): Promise<void> {
    const { metrics } = this.plan.settings
    if (metrics === null) return
    const engine = new EngineMetrics(this.plan.volume)
    engine.runtime.start()
    this.http = new ObserveServer(metrics, {
      metrics: () => engine.render((this.volume as Volume).status(), this.status()),
      health: () => {
        const { phase, reason } = (this.volume as Volume).status()
        return { ok: phase !== 'Blocked', text: reason === '' ? phase : `${phase}: ${reason}` }
      },
    })
    await this.http.listen()
  }

  private tick(): void {
    const timer = setInterval(() => {
      if (this.ending !== null) {
        clearInterval(timer)
        return
      }
      void this.writeLastStatus(false)
      const { holderPid } = this.environment
      if (holderPid === null || process.ppid === holderPid || this.stopping !== null) return
      // Without its holder nothing would restart the engine: stop in order while everything still works.
      this.log.event('serve.holder_lost', { holderPid }, 'error')
      this.signal()
    }, TICK_MS)
  }

  private async writeLastStatus(now: boolean): Promise<void> {
    if (this.volume === null) return
    await this.lastStatus.update(lastStatusOf(this.plan, this.volume.status(), systemClock.wallMs()), now)
  }
}

/** Resolves (never rejects) when the caller has gone away. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Laying a cache out takes a while: says how far it is, every tenth. */
function cacheProgress(log: EventLog): (doneBytes: number, totalBytes: number) => void {
  let told = 0
  return (doneBytes, totalBytes) => {
    const tenth = Math.floor((doneBytes * 10) / totalBytes)
    if (tenth <= told) return
    told = tenth
    log.event('cache.laying_out', { doneBytes, totalBytes })
  }
}
