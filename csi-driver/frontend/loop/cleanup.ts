// What a predecessor left behind that had no time to take itself down: engine and holder killed, host's tools not. To be
// called with the volume's lock held: whatever is recorded then belongs to a dead process. The record is a hint, not
// the truth: device and connection numbers are used again by the kernel, so each is checked by the file's unique name
// before anything is done to it.
import type { AttachState } from './attach-state.ts'
import { readAttachState } from './attach-state.ts'
import { attachStatePath } from './attach.ts'
import { abortConnection, connectionAt, mountControlFileSystem, unmountLazily } from './connection.ts'
import { releaseLoop, removeLink } from './detach.ts'
import type { DeviceHolder } from './holders.ts'
import { findHolders } from './holders.ts'
import type { LoopHost } from './host.ts'
import { delay } from './host.ts'
import { devicesBoundTo, isBoundTo } from './loop-device.ts'

/** A device that nobody has open goes within this time. */
const RELEASE_CHECKS_MAX = 20
const RELEASE_CHECK_MS = 25

export interface CleanUpReport {
  /** Whether there was anything to clean. */
  readonly found: boolean
  readonly detached: readonly string[]
  /** Devices that somebody still has open; their I/O fails, and they go away at the last close. */
  readonly lingering: readonly { readonly device: string; readonly holders: readonly DeviceHolder[] }[]
}

const NOTHING: CleanUpReport = { found: false, detached: [], lingering: [] }

/** Aborts the connection, detaches its loop devices with settings restored, removes mount, name and record. */
export async function cleanUpPredecessor(host: LoopHost, runDirectory: string): Promise<CleanUpReport> {
  const statePath = attachStatePath(runDirectory)
  const state = await readAttachState(host.files, statePath)
  if (state === null) {
    await unmountLazily(host, `${runDirectory}/mount`)
    await host.files.remove(statePath)
    return NOTHING
  }
  await mountControlFileSystem(host)
  const devices = await devicesBoundTo(host, state.fileName)
  await abortIfOurs(host, state, devices)
  const detached: string[] = []
  const lingering: { device: string; holders: DeviceHolder[] }[] = []
  for (const device of devices) {
    await releaseLoop(host, device, state.fileName)
    if (await goesAway(host, device, state.fileName)) detached.push(device)
    else lingering.push({ device, holders: await findHolders(host.files, device) })
    await removeLink(host, state.link, device)
  }
  if (state.loopDevice !== null) await removeLink(host, state.link, state.loopDevice)
  await unmountLazily(host, state.mountPoint)
  await host.files.remove(statePath)
  host.log.event('loop.cleaned_up', { detached: detached.join(' '), lingering: lingering.length })
  return { found: true, detached, lingering }
}

/**
 * A connection without a process is aborted by the kernel; one that somebody still holds (a holder that survived its
 * engine) would hang its users for ever. The number is ours if its mount is there, or if a loop device with our
 * file's name pins it.
 */
async function abortIfOurs(host: LoopHost, state: AttachState, devices: readonly string[]): Promise<void> {
  const { connectionId } = state
  if (connectionId === null) return
  const mounted = (await connectionAt(host.files, state.mountPoint)) === connectionId
  if (!mounted && devices.length === 0) return
  if (await abortConnection(host.files, connectionId)) host.log.event('fuse.aborted', { connection: connectionId })
}

async function goesAway(host: LoopHost, device: string, fileName: string): Promise<boolean> {
  for (let check = 0; check < RELEASE_CHECKS_MAX; check++) {
    if (!(await isBoundTo(host, device, fileName))) return true
    await delay(host.timers, RELEASE_CHECK_MS)
  }
  return !(await isBoundTo(host, device, fileName))
}
