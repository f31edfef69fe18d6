// Takes a volume off the host. While somebody has the device open the kernel only remembers the wish (autoclear) and
// lets go at the last close: until then requests keep coming and must be answered, so detaching waits, says who it
// waits for, and can be called off by `signal`. Settings are restored before, not after: another user may get the
// device in the same moment.
import type { AttachState } from './attach-state.ts'
import { attachStatePath } from './attach.ts'
import { unmountLazily } from './connection.ts'
import type { DeviceHolder } from './holders.ts'
import { findHolders } from './holders.ts'
import type { LoopHost } from './host.ts'
import { complaintOf, delay, tryRun } from './host.ts'
import { isBoundTo, restoreSettings } from './loop-device.ts'

/** How often a device that is still open is looked at. The first looks are quicker. */
const POLL_MS_MAX = 500
const POLL_MS_MIN = 10

export interface DetachOptions {
  readonly runDirectory: string
  /** Runs when the set of holders has changed; empty when nobody can be seen although the device is still bound. */
  readonly onHeld: (holders: readonly DeviceHolder[]) => void
  /** Gives up waiting. The device goes away by itself at its last close. */
  readonly signal: AbortSignal
}

/** `held`: called off while somebody still had the device open. */
export type DetachOutcome = 'gone' | 'held'

/** Restores settings, detaches and waits until the device is really gone. Then removes the name and the records. */
export async function detachVolume(host: LoopHost, state: AttachState, options: DetachOptions): Promise<DetachOutcome> {
  if (state.loopDevice !== null) {
    await releaseLoop(host, state.loopDevice, state.fileName)
    if (!(await waitUntilGone(host, state.loopDevice, state.fileName, options))) return 'held'
    await removeLink(host, state.link, state.loopDevice)
  }
  await unmountLazily(host, state.mountPoint)
  await host.files.remove(attachStatePath(options.runDirectory))
  host.log.event('loop.detached', { device: state.loopDevice })
  return 'gone'
}

/** Restores the settings of a device that is still ours and asks the kernel to let go of it. */
export async function releaseLoop(host: LoopHost, device: string, fileName: string): Promise<void> {
  if (!(await isBoundTo(host, device, fileName))) return
  try {
    await restoreSettings(host, device)
  } catch (error) {
    // It may have gone between two calls; if it has not, say so loudly: the next user of it would lose flushes.
    const level = (await isBoundTo(host, device, fileName)) ? 'error' : 'debug'
    host.log.event('loop.restore_failed', { device, error: String(error) }, level)
  }
  const result = await tryRun(host, ['losetup', '-d', device])
  if (result.exitCode !== 0 && (await isBoundTo(host, device, fileName))) {
    host.log.event('loop.detach_failed', { device, error: complaintOf(result) }, 'warning')
  }
}

async function waitUntilGone(
  host: LoopHost,
  device: string,
  fileName: string,
  options: DetachOptions,
): Promise<boolean> {
  let pollMs = POLL_MS_MIN
  let told: string | null = null
  while (await isBoundTo(host, device, fileName)) {
    if (options.signal.aborted) return false
    // A release that is on its way needs a moment; only then is it worth a search.
    if (pollMs > POLL_MS_MIN * 4) {
      const holders = await findHolders(host.files, device)
      const description = JSON.stringify(holders)
      if (description !== told) options.onHeld(holders)
      told = description
    }
    await delay(host.timers, pollMs)
    pollMs = Math.min(POLL_MS_MAX, pollMs * 2)
  }
  return true
}

/** Removes the stable name unless it already leads to another device. */
export async function removeLink(host: LoopHost, link: string, device: string): Promise<void> {
  if ((await host.files.readLink(link)) === device) await host.files.remove(link)
}
