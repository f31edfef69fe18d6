// What a running volume can be told from outside, as a port: the control socket calls it, main.ts implements it.
// Calls that take time report progress and take a signal, which is aborted when the caller has gone away. An abort ends
// the waiting, never what has begun for safety: `stop` goes on, `drain` and `setPolicy` leave the policy as it then is.
import type { Bytes, Ms } from '../../base/units.ts'
import type { EndOlder } from './control-protocol.ts'
import type { DeviceUser, PolicyName, VolumeStatus } from './status.ts'

export interface Progress {
  /** What is waited for, in words for people: `draining`, `waiting for the device to be released`. */
  readonly step: string
  readonly dirtyBytes: Bytes
  /** Who keeps the device open, while that is what is waited for. */
  readonly openBy?: readonly DeviceUser[]
}

export interface Waiting {
  readonly onProgress: (progress: Progress) => void
  readonly signal: AbortSignal
}

/** closed: clean, any node may open it. handed-over: only `to` may, and gathers what is dirty from the copies. */
export interface MoveResult {
  readonly moved: 'closed' | 'handed-over'
}

export interface ResizeResult {
  readonly oldBytes: Bytes
  readonly newBytes: Bytes
}

/**
 * not-older: the epoch of this engine is the claimed one or a newer one. other: it serves another volume of that name.
 * ended: it reads and acknowledges nothing more, and none of its backing I/O is under way or will begin.
 */
export interface EndOlderResult {
  readonly engine: 'not-older' | 'other' | 'ended'
}

export interface UpgradeRequest {
  /** Root directory of the build whose engine takes over; null: the one that runs now, again. */
  readonly build: string | null
  /** How long requests may stay unanswered on a kernel that cannot send them again before the upgrade gives up. */
  readonly quiesceMs: Ms
}

/** Every call throws CacheError; its code, message and remedy reach the user. */
export interface VolumeControl {
  status(): VolumeStatus
  /** Resolves when the policy is in force (write-through: nothing dirty, later writes acknowledged by the backing). */
  setPolicy(policy: PolicyName, waiting: Waiting): Promise<void>
  /** Resolves when nothing is dirty. */
  drain(waiting: Waiting): Promise<void>
  /**
   * Resolves when the volume is drained, detached and closed clean. The process ends after the reply has been sent:
   * see ControlServer.close.
   */
  stop(waiting: Waiting): Promise<void>
  resize(): Promise<ResizeResult>
  /**
   * Resolves when the node `to` may serve the volume: closed clean, or handed over with what is dirty. The process ends
   * after the reply has been sent. Rejects where nothing was changed, or where it is not served here any more but still
   * belongs to this node; the error says which.
   */
  move(to: string, waiting: Waiting): Promise<MoveResult>
  /** Resolves when a successor may start; the process then ends with EXIT_REPLACE after the reply has been sent. */
  upgrade(request: UpgradeRequest, waiting: Waiting): Promise<void>
  /**
   * Another engine has claimed the volume (rule S2). Where this one's epoch is older, or the volume has another UUID,
   * see EndOlderResult. Resolves only when that is so; rejects where it cannot be brought about.
   */
  endOlder(request: EndOlder): Promise<EndOlderResult>
}
