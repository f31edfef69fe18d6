// A volume as a block device: FUSE connection, loop device and front end, begun afresh or taken over from the
// engine before. fd 3 is the connection; the holder keeps it open between engines.
import { randomBytes } from 'node:crypto'
import type { Volume } from '../engine/volume.ts'
import { NoDeviceYet } from '../engine/volume-settings.ts'
import { FuseFrontend } from '../frontend/fuse/fuse-frontend.ts'
import type { FuseSession } from '../frontend/fuse/negotiate.ts'
import { TRANSFER_BYTES_MAX } from '../frontend/fuse/negotiate.ts'
import { type AttachState, readAttachState } from '../frontend/loop/attach-state.ts'
import { attachLoop, attachStatePath, mountVolume, reattachLoop, volumeFileName } from '../frontend/loop/attach.ts'
import { abortConnection } from '../frontend/loop/connection.ts'
import { type DetachOutcome, detachVolume } from '../frontend/loop/detach.ts'
import type { DeviceHolder } from '../frontend/loop/holders.ts'
import { resizeLoop, setWriteCache, type WriteCache } from '../frontend/loop/loop-device.ts'
import { RUN_NO_RESEND } from '../holder/run-directory.ts'
import type { FuseChannelKind } from '../io/fuse-channel.ts'
import { bestChannelKind, createFuseDevices } from '../io/real/fuse-devices.ts'
import type { DeviceUser } from '../observe/status.ts'
import type { DeviceOptions, VolumeDevice } from './device.ts'
import { loadSession, saveSession } from './session-file.ts'
import { deviceUserOf } from './status-report.ts'

const FUSE_FD = 3

export class FuseDevice implements VolumeDevice {
  readonly sessionHex: string
  private readonly options: DeviceOptions
  private readonly inherited: { readonly session: FuseSession; readonly attached: AttachState } | null
  private readonly channelKind: FuseChannelKind
  private attached: AttachState | null = null
  private frontend: FuseFrontend | null = null
  /** The attach has set the write cache's mode; from here on the engine does. */
  private writeCacheIsOurs = false

  private constructor(options: DeviceOptions, inherited: FuseDevice['inherited'], channelKind: FuseChannelKind) {
    this.options = options
    this.inherited = inherited
    this.channelKind = channelKind
    this.attached = inherited?.attached ?? null
    this.sessionHex = inherited?.session.sessionHex ?? randomBytes(8).toString('hex')
  }

  static fresh(options: DeviceOptions): FuseDevice {
    const { fuseReader } = options.plan.settings
    const kind = fuseReader === 'auto' ? bestChannelKind() : fuseReader === 'pool' ? 'readers' : 'epoll'
    return new FuseDevice(options, null, kind)
  }

  /** The device that an earlier engine of this holder has set up; null when its records are gone. */
  static async inherit(options: DeviceOptions): Promise<FuseDevice | null> {
    const { runDirectory } = options.plan
    const saved = await loadSession(options.host.files, runDirectory)
    const attached = await readAttachState(options.host.files, attachStatePath(runDirectory))
    if (saved === null || attached?.loopDevice === undefined) return null
    return new FuseDevice(options, { session: saved.session, attached }, saved.channelKind)
  }

  /** /dev/loopN; null while there is none. */
  get name(): string | null {
    return this.attached?.loopDevice ?? null
  }

  get connections(): null {
    return null
  }

  get resends(): 'kernel' | 'nobody' {
    return (this.frontend?.negotiated?.resend ?? this.inherited?.session.resend) ? 'kernel' : 'nobody'
  }

  get requestsInFlight(): number {
    return this.frontend?.counters.inFlight ?? 0
  }

  /** Makes the device exist: I/O is possible when it resolves. */
  async attach(volume: Volume, writeCache: WriteCache): Promise<void> {
    if (this.inherited === null) await this.attachFresh(volume, writeCache)
    else {
      this.startFrontend(volume, { onSession: () => undefined, onRefused: () => undefined })
      await reattachLoop(this.options.host, this.inherited.attached, writeCache)
    }
    this.writeCacheIsOurs = true
    await volume.attached()
  }

  async setWriteCache(mode: 'write-back' | 'write-through'): Promise<void> {
    const { name } = this
    // An attach under way would set its own mode afterwards; `volume.attached` asks again.
    if (name === null || !this.writeCacheIsOurs) throw new NoDeviceYet()
    await setWriteCache(this.options.host, name, mode === 'write-back' ? 'write back' : 'write through')
  }

  /** The volume has another size now. */
  async resized(sizeBytes: number): Promise<void> {
    this.frontend?.sizeChanged()
    if (this.name !== null) await resizeLoop(this.options.host, this.name, sizeBytes)
  }

  /** Takes the device off the host; waits for its users and says who they are. */
  async detach(onHeld: (users: readonly DeviceUser[]) => void, signal: AbortSignal): Promise<DetachOutcome> {
    if (this.attached === null) return 'gone'
    const { host, plan } = this.options
    const told = (holders: readonly DeviceHolder[]): void => onHeld(holders.map(deviceUserOf))
    return detachVolume(host, this.attached, { runDirectory: plan.runDirectory, onHeld: told, signal })
  }

  /** Reads no further request; what is unanswered stays with the kernel. Resolves when all that was read is answered. */
  stopReading(): Promise<void> {
    const { frontend } = this
    if (frontend === null) return Promise.resolve()
    return new Promise((resolve) => frontend.stop(resolve))
  }

  /** Ends the connection: whoever uses the device gets I/O errors. */
  async abort(): Promise<void> {
    const connection = this.attached?.connectionId ?? null
    if (connection !== null) await abortConnection(this.options.host.files, connection)
  }

  private async attachFresh(volume: Volume, writeCache: WriteCache): Promise<void> {
    const { plan, host, log } = this.options
    const attachPlan = {
      volume: plan.volume,
      runDirectory: plan.runDirectory,
      sessionHex: this.sessionHex,
      sectorBytes: plan.sectorBytes,
    }
    const mounted = await mountVolume(host, attachPlan, FUSE_FD)
    const { promise, resolve, reject } = Promise.withResolvers<FuseSession>()
    this.startFrontend(volume, { onSession: resolve, onRefused: reject })
    const session = await promise
    await saveSession(host.files, plan.runDirectory, { session, channelKind: this.channelKind })
    if (!session.resend) {
      log.event(
        'fuse.no_resend',
        { remedy: 'an engine crash ends in I/O errors on this kernel; 6.9 or newer goes on' },
        'warning',
      )
      await host.files.replace(`${plan.runDirectory}/${RUN_NO_RESEND}`, '\n')
    }
    this.attached = await attachLoop(host, attachPlan, mounted, writeCache)
  }

  private startFrontend(
    volume: Volume,
    events: { onSession: (session: FuseSession) => void; onRefused: (error: Error) => void },
  ): void {
    const { plan, memory, host, maskResend, onClosed } = this.options
    const channel = createFuseDevices(memory).channel(FUSE_FD, {
      kind: this.channelKind,
      maxWriteBytes: TRANSFER_BYTES_MAX,
      busyPollMicros: plan.settings.busyPoll === 'auto' ? 'auto' : Number(plan.settings.busyPoll),
    })
    this.frontend = new FuseFrontend({
      channel,
      sink: volume,
      memory,
      timers: host.timers,
      fileName: this.attached?.fileName ?? volumeFileName(plan.volume, this.sessionHex),
      sessionHex: this.sessionHex,
      maskResend,
      ...(this.inherited === null ? {} : { resume: this.inherited.session }),
      events: {
        onSession: events.onSession,
        onRefused: events.onRefused,
        onResendDrained: () => volume.resendDrained(),
        onClosed,
      },
    })
    this.frontend.start()
  }
}
