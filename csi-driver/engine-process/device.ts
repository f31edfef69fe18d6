// What the users of a served volume see: a block device (fuse-device.ts) or an NBD export (nbd-device.ts).
import type { EventLog } from '../../base/log.ts'
import type { ServePlan } from '../cli/serve-settings.ts'
import type { Volume } from '../engine/volume.ts'
import type { WriteCacheSwitch } from '../engine/volume-settings.ts'
import type { DetachOutcome } from '../frontend/loop/detach.ts'
import type { LoopHost } from '../frontend/loop/host.ts'
import type { WriteCache } from '../frontend/loop/loop-device.ts'
import type { FuseChannelEnd } from '../io/fuse-channel.ts'
import type { AlignedMemory } from '../io/storage.ts'
import type { DeviceUser } from '../observe/status.ts'

export interface DeviceOptions {
  readonly plan: ServePlan
  readonly host: LoopHost
  readonly memory: AlignedMemory
  readonly log: EventLog
  readonly maskResend: boolean
  /** The device went away without us. */
  readonly onClosed: (end: FuseChannelEnd) => void
}

export interface VolumeDevice extends WriteCacheSwitch {
  /** Names the requests of this device in the log, 16 hexadecimal digits; zeros where requests have no names. */
  readonly sessionHex: string
  /** /dev/loopN, or the URI of the export; null while there is none. */
  readonly name: string | null
  /** Clients of the export; null where clients cannot be counted. */
  readonly connections: number | null
  /**
   * Who sends the requests again that this engine leaves unanswered. kernel: nobody notices. client: its connection ends
   * and it has to come back. nobody: the user gets I/O errors.
   */
  readonly resends: 'kernel' | 'client' | 'nobody'
  readonly requestsInFlight: number
  /** Makes the device exist: I/O is possible when it resolves. */
  attach(volume: Volume, writeCache: WriteCache): Promise<void>
  /** The volume has another size now. */
  resized(sizeBytes: number): Promise<void>
  /** Takes the device off the host; waits for its users and says who they are. */
  detach(onHeld: (users: readonly DeviceUser[]) => void, signal: AbortSignal): Promise<DetachOutcome>
  /** Reads no further request. Resolves when all that was read is answered. */
  stopReading(): Promise<void>
  /** Ends the device: whoever uses it gets I/O errors. */
  abort(): Promise<void>
}
