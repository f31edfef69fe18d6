// The run directory of a volume: small files through which a holder, its engines and whoever cleans up after them talk.
// It exists exactly while a holder lives, or after one was killed. It stands under /run, which is empty after a boot;
// where it is not, the clean-up finds that nothing of it is true any more and removes it. One value per file, ended by
// a newline, so that a shell can read it.
//
//   attach.json  engine   what is set up on the host (frontend/loop/attach-state.ts); there is something to clean up
//   mount/       engine   where the FUSE file system is mounted while the device is attached
//   ready        engine   empty; I/O is possible. From now on an engine that dies is started again
//   no-resend    engine   empty; the kernel cannot send requests again, so a crash must not be answered by a restart
//   build        engine   root directory of the build whose engine is started next (`forebay upgrade --build`)
//   settings.json engine  what the words of `serve` do not say, for the next engine; cli/kept-settings.ts
//   doubt-*      engine   empty; what the next engine must not rely on (engine/volume-settings.ts, Doubt)
//   session.json engine   what its successor needs to go on with the same connection; engine-process/session-file.ts
import { createHash } from 'node:crypto'

/** Everything that only lives as long as the boot. */
export const RUNTIME_DIRECTORY = '/run/forebay'
/** Stable names of the devices: /dev/forebay/VOLUME. */
export const DEVICE_DIRECTORY = '/dev/forebay'

export const RUN_READY = 'ready'
export const RUN_NO_RESEND = 'no-resend'
export const RUN_BUILD = 'build'
export const RUN_SETTINGS = 'settings.json'
export const RUN_DOUBT_PREFIX = 'doubt-'
export const RUN_SESSION = 'session.json'

export function runDirectory(volume: string): string {
  return `${RUNTIME_DIRECTORY}/volumes/${volume}`
}

/** Locks are taken with flock(2) and their files never removed: a removed one could be locked twice. */
export function lockFile(name: string): string {
  return `${RUNTIME_DIRECTORY}/locks/${name}.lock`
}

export function volumeLockFile(volume: string): string {
  return lockFile(`volume-${volume}`)
}

/** One `forebay peer` for one control socket. */
export function peerLockFile(controlSocket: string): string {
  return lockFile(`peer-${digest(controlSocket)}`)
}

/** One export for one path of a socket, whose directories have been resolved. */
export function nbdSocketLockFile(socket: string): string {
  return lockFile(`socket-${digest(socket)}`)
}

/** Where a storage is, so that two names of one thing get one lock. */
export type StorageIdentity =
  | { readonly kind: 'block'; readonly major: number; readonly minor: number }
  /** A file by its directory, since it may not exist yet; `name` is its last path component. */
  | { readonly kind: 'file'; readonly directoryDevice: number; readonly directoryInode: number; readonly name: string }

/** Caches and backings share one name space: the cache of one volume cannot be the backing of another. */
export function storageLockFile(identity: StorageIdentity): string {
  if (identity.kind === 'block') return lockFile(`storage-block-${identity.major}-${identity.minor}`)
  const { directoryDevice, directoryInode, name } = identity
  return lockFile(`storage-file-${directoryDevice}-${directoryInode}-${PLAIN_NAME.test(name) ? name : digest(name)}`)
}

/** Names that may stand in a lock's name as they are. A digest begins with a character that none of them has. */
const PLAIN_NAME = /^[A-Za-z0-9._-]{1,128}$/

function digest(name: string): string {
  return `~${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
}
