// A volume as an NBD export on a unix socket. Nothing of it outlives the engine: when an engine dies or is replaced its
// clients lose their connections, and the next engine makes the socket anew for those that come back. Unanswered requests
// are theirs to send again.
import { setTimeout as pause } from 'node:timers/promises'
import { CacheError } from '../../base/errors.ts'
import type { Volume } from '../engine/volume.ts'
import type { DetachOutcome } from '../frontend/loop/detach.ts'
import { exportUri } from '../frontend/nbd/export-uri.ts'
import { NbdFrontend } from '../frontend/nbd/nbd-frontend.ts'
import { UnixSockets } from '../io/real/unix-sockets.ts'
import type { DeviceUser } from '../observe/status.ts'
import type { DeviceOptions, VolumeDevice } from './device.ts'

/** How often clients that a stop waits for are counted. */
const CLIENTS_POLL_MS = 50

export class NbdDevice implements VolumeDevice {
  readonly sessionHex = '0'.repeat(16)
  readonly resends = 'client'
  private readonly options: DeviceOptions
  private readonly path: string
  private frontend: NbdFrontend | null = null
  private stopped: Promise<void> | null = null

  constructor(options: DeviceOptions, path: string) {
    this.options = options
    this.path = path
  }

  get name(): string | null {
    return this.frontend === null ? null : exportUri(this.options.plan.volume, this.path)
  }

  get connections(): number {
    return this.frontend?.connectionCount ?? 0
  }

  get requestsInFlight(): number {
    return this.frontend?.counters.inFlight ?? 0
  }

  async attach(volume: Volume): Promise<void> {
    // No request comes again under its old name, so none is waited for.
    volume.resendDrained()
    const { plan, memory, host } = this.options
    const frontend = new NbdFrontend({
      sockets: new UnixSockets(),
      sink: volume,
      memory,
      timers: host.timers,
      exportName: plan.volume,
      sectorBytes: plan.sectorBytes,
    })
    await new Promise<void>((resolve, reject) => {
      frontend.listen(this.path, (error) => {
        if (error === null) resolve()
        else reject(socketError(this.path, error.message))
      })
    })
    this.frontend = frontend
    await volume.attached()
  }

  /** Clients are told at the handshake that they have to flush, whatever the policy is, and nothing changes for them. */
  setWriteCache(): Promise<void> {
    return Promise.resolve()
  }

  /** Clients that connect from now on see the new size. */
  resized(): Promise<void> {
    return Promise.resolve()
  }

  async detach(onHeld: (users: readonly DeviceUser[]) => void, signal: AbortSignal): Promise<DetachOutcome> {
    const { frontend } = this
    if (frontend === null) return 'gone'
    frontend.stopAccepting()
    for (let told = 0; frontend.connectionCount > 0; ) {
      if (signal.aborted) return 'held'
      const count = frontend.connectionCount
      if (count !== told)
        onHeld([{ kind: 'other', name: count === 1 ? '1 NBD client' : `${count} NBD clients`, pid: null }])
      told = count
      // oxlint-disable-next-line eslint/no-await-in-loop -- looks again soon
      await pause(CLIENTS_POLL_MS)
    }
    await this.stopReading()
    return 'gone'
  }

  stopReading(): Promise<void> {
    const { frontend } = this
    if (frontend === null) return Promise.resolve()
    // An upgrade waits for it, and meanwhile another one or a stop may ask again.
    this.stopped ??= new Promise((resolve) => frontend.stop(resolve))
    return this.stopped
  }

  abort(): Promise<void> {
    this.frontend?.abort()
    return Promise.resolve()
  }
}

/** To be tried again: a path that was wrong from the start is refused before any engine runs. */
function socketError(path: string, reason: string): CacheError {
  const message = `the socket for NBD cannot be made path=${path} reason="${reason}"`
  return new CacheError('retry', 'CACHE_NBD_SOCKET', message, {
    remedy: 'Remove what is there, or give another path with --nbd-socket, in a directory that only root may write to.',
  })
}
