// The words behind `forebay peer`, read to the end: flags, facts about the path of the store, and what follows from
// both. Changes nothing.
import os from 'node:os'
import path from 'node:path'
import {
  addressSetting,
  choiceSetting,
  pathSetting,
  requiredSetting,
  sizeSetting,
  switchSetting,
  textSetting,
} from '../../base/setting-kinds.ts'
import { readSettings, type SettingProblem, type SettingsOf, splitArguments } from '../../base/settings.ts'
import { type Bytes, GIB, MIB, roundDown } from '../../base/units.ts'
import { CACHE_BYTES_MAX, stateDirSetting } from '../config.ts'
import { NODE_NAME_ALLOWED, NODE_NAME_CHARACTERS_MAX, registerSetting, tlsDirSetting } from '../config-replication.ts'
import { peerLockFile, storageLockFile } from '../holder/run-directory.ts'
import { NODE_NAME_PATTERN } from '../io/peer-network.ts'
import { SOCKET_NEW_SUFFIX, SOCKET_PATH_BYTES_MAX } from '../observe/control-server.ts'
import { peerSocketPath } from '../observe/state-paths.ts'
import { positionalProblems } from './command.ts'
import { STORE_BYTES_MIN, storeProblems } from './path-checks.ts'
import { readHostTables, readPathFacts, type PathFacts } from './path-facts.ts'
import { stateDirectoryOf } from './volume-call.ts'

const STORE_BYTES_DEFAULT = 4 * GIB

export const nodeSetting = textSetting({
  default: null,
  maxLength: NODE_NAME_CHARACTERS_MAX,
  pattern: NODE_NAME_PATTERN,
  allowed: NODE_NAME_ALLOWED,
  defaultText: 'the host name',
  help: 'Name of this host, the one that its certificate names.',
  why: 'For hosts whose name changes or is not unique among those that replicate to one another.',
})

export const peerSchema = {
  store: requiredSetting(
    pathSetting({
      default: null,
      help: 'Where the copies are kept: a file (created if missing) or a partition. On tmpfs with --resource memory.',
      why: 'It holds the only other copy of acknowledged writes, so treat it as part of the volumes.',
    }),
  ),
  size: sizeSetting({
    default: null,
    min: STORE_BYTES_MIN,
    max: CACHE_BYTES_MAX,
    multipleOf: MIB,
    defaultText: 'that of the existing file or partition, otherwise 4GiB',
    help: 'Size of the store. It may be raised later, never lowered.',
    why: 'Each volume that has a copy here needs up to twice its log (the log is 2.5GiB for a cache of 4GiB or more).',
  }),
  listen: requiredSetting(
    addressSetting({
      default: null,
      help: 'Where engines of other hosts connect; port 0 lets the system choose.',
      why: 'Replication may have a network of its own: name the address there.',
    }),
  ),
  node: nodeSetting,
  tlsDir: requiredSetting(tlsDirSetting),
  resource: choiceSetting({
    choices: ['flash', 'memory'],
    default: 'flash',
    help: 'What the store is made of: flash survives a power loss, memory (tmpfs) does not.',
    why: 'It decides what a copy here is worth, and it is said to the engines and not guessed.',
  }),
  register: { ...registerSetting, fallbackText: 'none: nothing is given up by itself' },
  stateDir: stateDirSetting,
  metrics: addressSetting({
    default: null,
    defaultText: 'none',
    help: 'Serve /metrics (Prometheus) and /healthz there, over plain HTTP.',
    why: 'Off unless wanted: it is a socket that others may reach.',
  }),
  formatStore: switchSetting({
    help: 'Make a new, empty store where the old one is damaged beyond recognition. Never overwrites foreign content.',
    why: 'What it held would be gone for good, which no restart may decide.',
  }),
  logFormat: choiceSetting({
    choices: ['text', 'json'],
    default: 'text',
    help: 'Form of the event log on standard error.',
    why: 'Text for people, JSON lines for collectors.',
  }),
  output: choiceSetting({
    choices: ['text', 'json'],
    default: 'text',
    help: 'Form of the ready line on standard output.',
    why: 'Scripts wait for one line and want its fields.',
  }),
} as const

export type PeerSettings = SettingsOf<typeof peerSchema>

export interface PeerPlan {
  readonly settings: PeerSettings
  readonly node: string
  readonly store: PathFacts
  readonly sizeBytes: Bytes
  /** Absolute. */
  readonly stateDirectory: string
  /** Absolute; null: nothing is given up by itself. */
  readonly registerDirectory: string | null
  readonly controlSocket: string
  readonly storeLock: string
  /** One process of a node in one state directory. */
  readonly nodeLock: string
}

export type PeerReading =
  | { readonly plan: PeerPlan; readonly problems: readonly [] }
  | { readonly plan: null; readonly problems: readonly SettingProblem[] }

/** Reads and decides. Problems of the words come first: the path is looked at only when the words are right. */
export async function readPeer(words: readonly string[]): Promise<PeerReading> {
  const given = splitArguments(peerSchema, words)
  const { settings, problems: found } = readSettings(peerSchema, { flags: given.flags })
  const problems = [...given.problems, ...positionalProblems([], given.positionals, found), ...found]
  if (problems.length === 0) problems.push(...nameProblems(settings))
  if (problems.length > 0) return { plan: null, problems }
  const plan = await planOf(settings)
  const unfit = storeProblems(plan.store, settings.resource, plan.sizeBytes)
  return unfit.length > 0 ? { plan: null, problems: unfit } : { plan, problems: [] }
}

function nameProblems(settings: PeerSettings): SettingProblem[] {
  const node = settings.node ?? os.hostname()
  if (!NODE_NAME_PATTERN.test(node)) {
    const problem = `is needed: the host name is no usable name hostname=${JSON.stringify(node)}`
    return [{ where: '--node', problem }]
  }
  const socket = peerSocketPath(stateDirectoryOf(settings.stateDir), node) + SOCKET_NEW_SUFFIX
  const excess = Buffer.byteLength(socket) - SOCKET_PATH_BYTES_MAX
  if (excess <= 0) return []
  const problem = `is too long for a socket below it, by ${excess} characters; give a shorter path`
  return [{ where: '--state-dir', problem }]
}

async function planOf(settings: PeerSettings): Promise<PeerPlan> {
  const node = settings.node ?? os.hostname()
  const stateDirectory = stateDirectoryOf(settings.stateDir)
  const store = await readPathFacts(settings.store, await readHostTables())
  const controlSocket = peerSocketPath(stateDirectory, node)
  return {
    settings,
    node,
    store,
    sizeBytes: settings.size ?? (store.sizeBytes === 0 ? STORE_BYTES_DEFAULT : roundDown(store.sizeBytes, MIB)),
    stateDirectory,
    registerDirectory: settings.register === null ? null : path.resolve(settings.register),
    controlSocket,
    storeLock: store.identity === null ? '' : storageLockFile(store.identity),
    nodeLock: peerLockFile(controlSocket),
  }
}
