// From a FUSE connection to a block device: record, mount, loop, settings, stable name, and away with the mount, which
// nobody needs once loop holds the file. Each step is recorded before it happens (attach-state.ts); a step that fails
// undoes what it has begun. The front end must be reading between `mountVolume` and the end of `attachLoop`: losetup
// opens the file and waits for our answers.
import { CacheError } from '../../../base/errors.ts'
import type { Bytes } from '../../../base/units.ts'
import type { AttachState } from './attach-state.ts'
import { writeAttachState } from './attach-state.ts'
import { mountConnection, mountControlFileSystem, unmountLazily } from './connection.ts'
import type { LoopHost } from './host.ts'
import { complaintOf, delay, tryRun } from './host.ts'
import type { WriteCache } from './loop-device.ts'
import { applySettings, isBoundTo, nameOf, restoreSettings } from './loop-device.ts'

const DEVICE_DIRECTORY = '/dev/forebay'
/** losetup looks for a free device and then takes it; somebody else may be faster. */
const LOOP_ATTEMPTS_MAX = 10
const LOOP_RETRY_MS = 50

export interface AttachPlan {
  readonly volume: string
  /** Directory of this volume for what lives no longer than a boot; holds the mount point and the state file. */
  readonly runDirectory: string
  readonly sessionHex: string
  readonly sectorBytes: Bytes
}

/** Where the state file of a volume stands. */
export function attachStatePath(runDirectory: string): string {
  return `${runDirectory}/attach.json`
}

/** Name of the file in the mount. Unique, so that a loop device can be told from that of any other connection. */
export function volumeFileName(volume: string, sessionHex: string): string {
  return `${volume}-${sessionHex}`
}

/** Mounts the connection behind `fd`. The front end may start to read when it has returned. Throws CacheError. */
export async function mountVolume(host: LoopHost, plan: AttachPlan, fd: number): Promise<AttachState> {
  const mountPoint = `${plan.runDirectory}/mount`
  const planned: AttachState = {
    volume: plan.volume,
    fileName: volumeFileName(plan.volume, plan.sessionHex),
    mountPoint,
    link: `${DEVICE_DIRECTORY}/${plan.volume}`,
    connectionId: null,
    loopDevice: null,
  }
  const statePath = attachStatePath(plan.runDirectory)
  await mountControlFileSystem(host)
  await host.files.makeDirectory(plan.runDirectory)
  await writeAttachState(host.files, statePath, planned)
  const connectionId = await mountConnection(host, { fd, mountPoint, source: `forebay-${plan.volume}` })
  const mounted = { ...planned, connectionId }
  await writeAttachState(host.files, statePath, mounted)
  return mounted
}

/** Attaches a loop device with direct I/O to `path`. Returns its name; throws CacheError. */
export async function setUpLoop(host: LoopHost, path: string, sectorBytes: Bytes): Promise<string> {
  const command = ['losetup', '--find', '--show', '--direct-io=on', '--sector-size', String(sectorBytes), path]
  for (let attempt = 1; ; attempt++) {
    const result = await tryRun(host, command)
    const device = result.stdout.trim()
    if (result.exitCode === 0 && /^\/dev\/loop\d+$/.test(device)) return device
    const raced = /busy|failed to set up loop device|No such device/i.test(result.stderr)
    if (!raced || attempt === LOOP_ATTEMPTS_MAX) {
      throw new CacheError('retry', 'CACHE_LOOP_SETUP', `losetup failed: ${complaintOf(result)}`, {
        remedy: 'Check that the loop module is loaded, /dev/loop-control exists and a loop device is free.',
      })
    }
    await delay(host.timers, LOOP_RETRY_MS * attempt)
  }
}

/** Direct I/O is a wish of losetup that the kernel may drop without a word; a page cache in between would be a lie. */
async function checkDirectIo(host: LoopHost, device: string): Promise<void> {
  if ((await host.files.read(`/sys/block/${nameOf(device)}/loop/dio`))?.trim() === '1') return
  throw new CacheError('invalid', 'CACHE_LOOP_NO_DIRECT_IO', `the loop device refuses direct I/O device=${device}`, {
    remedy: 'Use a kernel from 5.10 on.',
  })
}

/** Makes the mounted volume a block device with its settings and its name. Undoes the loop device on failure. */
export async function attachLoop(
  host: LoopHost,
  plan: AttachPlan,
  mounted: AttachState,
  writeCache: WriteCache,
): Promise<AttachState> {
  const device = await setUpLoop(host, `${mounted.mountPoint}/${mounted.fileName}`, plan.sectorBytes)
  const attached = { ...mounted, loopDevice: device }
  try {
    await writeAttachState(host.files, attachStatePath(plan.runDirectory), attached)
    await checkDirectIo(host, device)
    await applySettings(host, device, writeCache)
    await host.files.makeDirectory(DEVICE_DIRECTORY)
    await host.files.replaceLink(mounted.link, device)
    await unmountLazily(host, mounted.mountPoint)
  } catch (error) {
    await abandonLoop(host, device)
    throw error
  }
  host.log.event('loop.attached', { device, connection: attached.connectionId ?? -1, sectorBytes: plan.sectorBytes })
  return attached
}

/** Settings again, after a restart of the engine or a crash between two of them. Throws when the device is not ours. */
export async function reattachLoop(host: LoopHost, state: AttachState, writeCache: WriteCache): Promise<void> {
  const { loopDevice, fileName } = state
  if (loopDevice === null || !(await isBoundTo(host, loopDevice, fileName))) {
    throw new CacheError(
      'invalid',
      'CACHE_LOOP_LOST',
      `the loop device is gone device=${loopDevice} file=${fileName}`,
      {
        remedy: 'Stop the volume and serve it again.',
      },
    )
  }
  await applySettings(host, loopDevice, writeCache)
}

async function abandonLoop(host: LoopHost, device: string): Promise<void> {
  try {
    await restoreSettings(host, device)
  } catch (error) {
    host.log.event('loop.restore_failed', { device, error: String(error) }, 'warning')
  }
  await tryRun(host, ['losetup', '-d', device])
}
