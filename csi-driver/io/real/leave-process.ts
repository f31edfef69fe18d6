// Ends this process with an exit status whatever its threads do. process.exit waits for the threads of libuv's pool,
// for ever if one of them blocks in a read of /dev/fuse or in a hung file system; replacing the process image does not.
import { CacheError } from '../../../base/errors.ts'

/** Like process.exit, without waiting for anybody. What is buffered and not yet written is lost. */
export function leaveProcess(status: number): never {
  if (process.execve === undefined) process.exit(status)
  process.execve('/bin/sh', ['sh', '-c', `exit ${status}`], {})
  throw new CacheError('retry', 'CACHE_LEAVE', `the process outlived its end status=${status}`)
}
