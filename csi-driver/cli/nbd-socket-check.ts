// Whether the socket of an NBD export can be made where it is wanted. Looks only, for a moment as a client.
import { constants } from 'node:fs'
import { access, lstat, stat } from 'node:fs/promises'
import path from 'node:path'
import type { SettingProblem } from '../../base/settings.ts'
import { StreamNetwork } from '../io/real/stream-network.ts'
import { UNIX_PATH_BYTES_MAX } from '../io/network.ts'
import type { ServePlan } from './serve-settings.ts'

const MAY_BE_WRITTEN_BY_OTHERS = 0o002
const STICKY = 0o1000

/** The path in the state directory is ours, and its directory is made later. What a killed engine left is no problem. */
export async function nbdSocketProblems({ settings, nbdSocket }: ServePlan): Promise<SettingProblem[]> {
  if (nbdSocket === null || settings.nbdSocket === null) return []
  const problem = await socketProblem(nbdSocket)
  return problem === null ? [] : [{ where: '--nbd-socket', problem: `${problem} path=${settings.nbdSocket}` }]
}

async function socketProblem(socket: string): Promise<string | null> {
  const excess = Buffer.byteLength(socket) - UNIX_PATH_BYTES_MAX
  if (excess > 0) return `is too long for a socket, by ${excess} bytes; give a shorter path`
  if (socket.includes('\n')) return 'has a line break in its name; give another path'
  const directory = path.dirname(socket)
  const stats = await stat(directory).catch(() => null)
  if (stats === null) return 'is in a directory that does not exist; make it, or give another path'
  if (!stats.isDirectory()) return 'is not in a directory; give another path'
  // With the sticky bit nobody can put another socket in the place of ours.
  if ((stats.mode & (STICKY | MAY_BE_WRITTEN_BY_OTHERS)) === MAY_BE_WRITTEN_BY_OTHERS) {
    return 'is in a directory where everybody can replace it, and so pose as the volume; give another path'
  }
  const mayWrite = await access(directory, constants.W_OK | constants.X_OK)
    .then(() => true)
    .catch(() => false)
  if (!mayWrite) return 'is in a directory that cannot be written to; give another path'
  const there = await lstat(socket).catch(() => null)
  if (there === null) return null
  if (!there.isSocket()) return 'exists and is no socket; give another path, or remove it'
  return (await somebodyListens(socket)) ? 'is in use: somebody listens there; give another path' : null
}

function somebodyListens(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    new StreamNetwork().connect({ kind: 'unix', path: socket }, (error, stream) => {
      stream?.start({ data: () => {}, closed: () => {} })
      stream?.destroy()
      resolve(error?.code !== 'ECONNREFUSED')
    })
  })
}
