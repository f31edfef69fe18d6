// The replica stores that run on this host: those that answer on a control socket below the state directory.
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { CacheError } from '../../base/errors.ts'
import { parseAddress } from '../../base/setting-kinds.ts'
import type { NetworkAddress } from '../io/network.ts'
import { peerSocketPath, statePeersDirectory } from '../observe/state-paths.ts'
import type { PeerCall, PeerFinding, PeerStatus } from '../peer-process/control-protocol.ts'
import { ControlClient } from './control-client.ts'

const SOCKET_SUFFIX = '.sock'

export interface RunningPeer {
  readonly status: PeerStatus
  readonly client: ControlClient
}

/** By node. The caller closes the clients. Throws CacheError where one may not be asked. */
export async function runningPeers(stateDirectory: string): Promise<RunningPeer[]> {
  const directory = statePeersDirectory(stateDirectory)
  const names = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith(SOCKET_SUFFIX))
  const found = await Promise.all(names.map((name) => askPeer(path.join(directory, name))))
  return found.filter((one) => one !== null).toSorted((a, b) => (a.status.node < b.status.node ? -1 : 1))
}

/**
 * Where the replica store of this very node listens, as an engine beside it reaches it; null where none runs. It may
 * hold a copy of a volume from the time when another node owned it.
 */
export async function ownStoreAddress(stateDirectory: string, node: string): Promise<NetworkAddress | null> {
  const peer = await askPeer(peerSocketPath(stateDirectory, node)).catch(() => null)
  if (peer === null) return null
  peer.client.close()
  const parsed = parseAddress(peer.status.listen)
  if (!parsed.ok) return null
  const { host, port } = parsed.value
  return { kind: 'tcp', host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port }
}

/** Null when nobody answers: the socket of a process that was killed. */
async function askPeer(socket: string): Promise<RunningPeer | null> {
  const client = await ControlClient.connect(socket)
  if (client === null) return null
  try {
    return { status: (await client.call({ method: 'status' })) as PeerStatus, client }
  } catch (error) {
    client.close()
    if (error instanceof CacheError && error.code === 'CACHE_CONNECTION_LOST') return null
    throw error
  }
}

export async function discardLogs(peer: RunningPeer, call: PeerCall & { method: 'discard' }): Promise<PeerFinding[]> {
  return (await peer.client.call(call)) as PeerFinding[]
}
