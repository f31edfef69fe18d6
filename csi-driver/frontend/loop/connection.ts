// A FUSE connection as the host sees it: its mount, its number, its switch. The number is the minor of the mount's
// device (0:N); /sys/fs/fuse/connections/N/abort ends it at once, which is how an engine fences itself.
import { CacheError } from '../../../base/errors.ts'
import type { SmallFiles } from '../../io/files.ts'
import type { LoopHost } from './host.ts'
import { run, tryRun } from './host.ts'
import { mountsOf } from './mount-table.ts'

export const CONNECTIONS_DIRECTORY = '/sys/fs/fuse/connections'
const FUSE_MAJOR_PREFIX = '0:'

export interface MountOptions {
  /** The descriptor of /dev/fuse; stays open here. */
  readonly fd: number
  /** Absolute; made if missing. Nothing else may be mounted there. */
  readonly mountPoint: string
  /** Shown by mount(8) as the source. */
  readonly source: string
}

/**
 * Mounts the connection and returns its number. INIT waits in the queue afterwards, so the front end must begin to
 * read before anybody looks at the mount point. Throws CacheError.
 */
export async function mountConnection(host: LoopHost, options: MountOptions): Promise<number> {
  const { fd, mountPoint, source } = options
  await host.files.makeDirectory(mountPoint)
  const flags = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other'
  await run(host, ['mount', '-i', '-t', 'fuse', '-o', flags, source, mountPoint], { passFds: [fd] })
  const connectionId = await connectionAt(host.files, mountPoint)
  if (connectionId !== null) return connectionId
  throw new CacheError('retry', 'CACHE_FUSE_MOUNT_LOST', `the mount vanished path=${mountPoint}`)
}

/** Number of the FUSE connection that is mounted at `mountPoint`; null when none is. */
export async function connectionAt(files: SmallFiles, mountPoint: string): Promise<number | null> {
  const found = (await mountsOf(files, 'self')).findLast((mount) => mount.mountPoint === mountPoint)
  if (found === undefined || !found.type.startsWith('fuse') || !found.device.startsWith(FUSE_MAJOR_PREFIX)) return null
  return Number(found.device.slice(FUSE_MAJOR_PREFIX.length))
}

/** Takes the mount out of the tree; who has the file open (the loop device) keeps it. One that is gone is fine. */
export async function unmountLazily(host: LoopHost, mountPoint: string): Promise<void> {
  const mounted = (await mountsOf(host.files, 'self')).some((mount) => mount.mountPoint === mountPoint)
  if (mounted) await run(host, ['umount', '-i', '-l', mountPoint])
  await host.files.remove(mountPoint)
}

/** Containers often lack the control file system. Where it cannot be mounted, abort is not available. */
export async function mountControlFileSystem(host: LoopHost): Promise<void> {
  const mounted = (await mountsOf(host.files, 'self')).some((mount) => mount.mountPoint === CONNECTIONS_DIRECTORY)
  if (mounted) return
  const result = await tryRun(host, ['mount', '-t', 'fusectl', 'fusectl', CONNECTIONS_DIRECTORY])
  if (result.exitCode !== 0) host.log.event('fuse.control_unavailable', { path: CONNECTIONS_DIRECTORY }, 'warning')
}

/** Ends a connection: all its requests fail with EIO. True if it was there. */
export async function abortConnection(files: SmallFiles, connectionId: number): Promise<boolean> {
  const path = `${CONNECTIONS_DIRECTORY}/${connectionId}/abort`
  if ((await files.list(`${CONNECTIONS_DIRECTORY}/${connectionId}`)).length === 0) return false
  await files.write(path, '1')
  return true
}

/** Requests that nobody has answered yet; null when the connection is gone. */
export async function waitingRequests(files: SmallFiles, connectionId: number): Promise<number | null> {
  const text = await files.read(`${CONNECTIONS_DIRECTORY}/${connectionId}/waiting`)
  return text === null ? null : Number(text.trim())
}
