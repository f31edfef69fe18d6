// Names of what a volume keeps under --state-dir, apart from the register's own files (register/register-paths.ts).

import { createHash } from 'node:crypto'

/** `stateDirectory` is absolute and without a slash at its end. */
export function stateRunDirectory(stateDirectory: string): string {
  return `${stateDirectory}/run`
}

export function controlSocketPath(stateDirectory: string, volume: string): string {
  return `${stateRunDirectory(stateDirectory)}/${volume}.sock`
}

/** Where the NBD export of a volume is, unless another path was asked for. */
export function nbdSocketPath(stateDirectory: string, volume: string): string {
  return `${stateRunDirectory(stateDirectory)}/${volume}.nbd`
}

/** Control sockets of the replica stores. */
export function statePeersDirectory(stateDirectory: string): string {
  return `${stateDirectory}/peers`
}

/** Indexes of caches that were left behind, on their way from the engine to the replica store of the node. */
export function statePreviousDirectory(stateDirectory: string): string {
  return `${stateDirectory}/previous`
}

export function previousIndexPath(stateDirectory: string, volume: string): string {
  return `${statePreviousDirectory(stateDirectory)}/${volume}.index`
}

/** Names of nodes may be longer than a path of a socket: what is cut off is told apart by a digest. */
export function peerSocketPath(stateDirectory: string, node: string): string {
  const name = node.length <= NODE_CHARACTERS_MAX ? node : `${node.slice(0, 16)}~${digest(node)}`
  return `${statePeersDirectory(stateDirectory)}/${name}.sock`
}

const NODE_CHARACTERS_MAX = 32

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

export const LAST_STATUS_SUFFIX = '.last.json'

export function lastStatusPath(stateDirectory: string, volume: string): string {
  return `${stateRunDirectory(stateDirectory)}/${volume}${LAST_STATUS_SUFFIX}`
}
