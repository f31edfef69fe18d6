// The words behind `forebay serve`, read to the end: flags and configuration file, facts about the paths, and what
// follows from both. The engine process reads the same words in the same way, so that both always agree.
import { readFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { readSettings, type SettingProblem, splitArguments, type GivenFile } from '../../base/settings.ts'
import type { Bytes } from '../../base/units.ts'
import {
  cacheBytesFor,
  type CacheSplit,
  joinedProblems,
  serveSchema,
  type ServeSettings,
  splitCache,
  takeoverProblems,
  takeoverSchema,
  type TakeoverSettings,
} from '../config.ts'
import { replicationProblems } from '../config-replication.ts'
import { NODE_NAME_PATTERN } from '../io/peer-network.ts'
import { runDirectory, storageLockFile, volumeLockFile } from '../holder/run-directory.ts'
import { SOCKET_NEW_SUFFIX, SOCKET_PATH_BYTES_MAX } from '../observe/control-server.ts'
import { controlSocketPath, nbdSocketPath } from '../observe/state-paths.ts'
import { positionalProblems, volumePositional } from './command.ts'
import type { KeptSettings } from './kept-settings.ts'
import type { ServeFacts } from './path-checks.ts'
import { readHostTables, readPathFacts, type PathFacts } from './path-facts.ts'
import { stateDirectoryOf } from './volume-call.ts'

/** `takeover` is `serve` with a fence for the node that owns the volume. */
export type ServeCommand = 'serve' | 'takeover'

/** The holder tells its engines in this variable which of both it is. */
export const COMMAND_VARIABLE = 'FOREBAY_COMMAND'

export function serveCommandOf(environment: NodeJS.ProcessEnv): ServeCommand {
  return environment[COMMAND_VARIABLE] === 'takeover' ? 'takeover' : 'serve'
}

/** none: no other node is fenced. told: the user has done it. */
export type FencePlan = { readonly kind: 'none' | 'told' } | { readonly kind: 'command'; readonly command: string }

/** Everything that is decided before the volume is opened. */
export interface ServePlan {
  readonly command: ServeCommand
  readonly volume: string
  readonly fence: FencePlan
  /** Absolute: of this host alone, or shared. */
  readonly registerDirectory: string
  readonly settings: ServeSettings
  /** Of the configuration file as it was read; null: there is none. */
  readonly configText: string | null
  /** Name of this host in the register. */
  readonly node: string
  readonly backing: PathFacts
  readonly cache: PathFacts
  /** Absolute. */
  readonly stateDirectory: string
  readonly cacheBytes: Bytes
  readonly split: CacheSplit
  readonly sectorBytes: 512 | 4096
  readonly runDirectory: string
  readonly controlSocket: string
  /** Absolute; null: the volume becomes a block device. */
  readonly nbdSocket: string | null
  /** Volume, cache, backing. */
  readonly lockFiles: readonly [string, string, string]
}

export type ServeReading =
  | { readonly plan: ServePlan; readonly facts: ServeFacts; readonly problems: readonly [] }
  | { readonly plan: null; readonly facts: null; readonly problems: readonly SettingProblem[] }

/**
 * Reads and decides; opens nothing but files in /proc, /sys and the configuration. Problems of the words come first:
 * paths are looked at only when the words are right. `kept`: of the first engine of this holder.
 */
export async function readServe(
  words: readonly string[],
  command: ServeCommand,
  kept: KeptSettings | null = null,
): Promise<ServeReading> {
  const given = splitArguments(command === 'takeover' ? takeoverSchema : serveSchema, words)
  const file = await readConfigFile(given.flags.find(({ name }) => name === 'config')?.text, kept)
  const { asked, problems } = readWords(given, file, { command, hostName: kept?.node ?? os.hostname() })
  if (problems.length === 0) problems.push(...betweenSettings(asked))
  return problems.length > 0 ? refused(problems) : decide(asked)
}

function readWords(
  given: ReturnType<typeof splitArguments>,
  { file, problems }: ConfigReading,
  { command, hostName }: { readonly command: ServeCommand; readonly hostName: string },
): { readonly asked: Asked; readonly problems: SettingProblem[] } {
  const input = { flags: given.flags, file }
  const takeover = command === 'takeover' ? readSettings(takeoverSchema, input) : null
  const read = takeover ?? readSettings(serveSchema, input)
  const wrongWords = positionalProblems([volumePositional], given.positionals, read.problems)
  const [volume = ''] = given.positionals
  return {
    asked: {
      ...{ volume, node: read.settings.node ?? hostName, settings: read.settings },
      takeover: takeover?.settings ?? null,
      configText: file?.text ?? null,
    },
    problems: [...given.problems, ...wrongWords, ...problems, ...read.problems],
  }
}

/** What was asked for, in words that are right one by one. */
interface Asked {
  readonly volume: string
  /** What was named, else the name of this host. */
  readonly node: string
  readonly configText: string | null
  readonly settings: ServeSettings
  /** Null: it is `serve`. */
  readonly takeover: TakeoverSettings | null
}

function betweenSettings({ volume, node, settings, takeover }: Asked): SettingProblem[] {
  return [
    ...joinedProblems(volume, settings),
    ...nameProblems(volume, settings, node),
    ...replicationProblems(node, settings),
    ...(takeover === null ? [] : takeoverProblems(takeover)),
  ]
}

function fenceOf(takeover: TakeoverSettings | null): FencePlan {
  if (takeover === null) return { kind: 'none' }
  const { fenceCommand, fenced } = takeover
  return fenced ? { kind: 'told' } : { kind: 'command', command: fenceCommand }
}

const refused = (problems: readonly SettingProblem[]): ServeReading => ({ plan: null, facts: null, problems })

interface ConfigReading {
  /** Null: none is named, or it is of no use. */
  readonly file: (GivenFile & { readonly text: string }) | null
  readonly problems: readonly SettingProblem[]
}

async function readConfigFile(name: string | undefined, kept: KeptSettings | null): Promise<ConfigReading> {
  if (name === undefined) return { file: null, problems: [] }
  try {
    const text = kept?.configText ?? (await readFile(name, 'utf8'))
    // Only here: a volume without such a file has no use for YAML.
    const { readConfigText } = await import('../config-file.ts')
    const file = readConfigText(name, text)
    return 'where' in file ? { file: null, problems: [file] } : { file: { ...file, text }, problems: [] }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    const problem = { where: '--config', problem: `cannot be read file=${name} cause=${code}` }
    return { file: null, problems: [problem] }
  }
}

/** Problems of names that are made from the settings. */
function nameProblems(volume: string, settings: ServeSettings, node: string): SettingProblem[] {
  const problems: SettingProblem[] = []
  const socket = controlSocketPath(stateDirectoryOf(settings.stateDir), volume) + SOCKET_NEW_SUFFIX
  const excess = Buffer.byteLength(socket) - SOCKET_PATH_BYTES_MAX
  if (excess > 0) {
    problems.push({
      where: '--state-dir',
      problem: `is too long for a socket below it, by ${excess} characters; give a shorter path`,
    })
  }
  if (settings.node === null && !NODE_NAME_PATTERN.test(node)) {
    problems.push({
      where: '--node',
      problem: `is needed: the host name is no usable name hostname=${JSON.stringify(node)}`,
    })
  }
  return problems
}

async function decide({ volume, node, configText, settings, takeover }: Asked): Promise<ServeReading> {
  const tables = await readHostTables()
  const stateDirectory = stateDirectoryOf(settings.stateDir)
  const backing = await readPathFacts(settings.backing, tables)
  const cache = await readPathFacts(settings.cache, tables)
  const cacheBytes = cacheBytesOf(cache, settings)
  const split = splitCache(cacheBytes, settings.dirtyLimit)
  if ('where' in split) return refused([split])
  const plan: ServePlan = {
    command: takeover === null ? 'serve' : 'takeover',
    fence: fenceOf(takeover),
    volume,
    registerDirectory: settings.register === null ? `${stateDirectory}/registers` : path.resolve(settings.register),
    settings,
    configText,
    node,
    backing,
    cache,
    stateDirectory,
    cacheBytes,
    split,
    sectorBytes: sectorBytesOf(backing, settings),
    runDirectory: runDirectory(volume),
    controlSocket: controlSocketPath(stateDirectory, volume),
    nbdSocket: nbdSocketOf(settings, stateDirectory, volume),
    lockFiles: [volumeLockFile(volume), lockFileOf(cache), lockFileOf(backing)],
  }
  const facts = {
    volume,
    settings,
    backing,
    cache,
    cacheBytes,
    stateDirectory: await readPathFacts(stateDirectory, tables),
  }
  return { plan, facts, problems: [] }
}

function nbdSocketOf({ frontend, nbdSocket }: ServeSettings, stateDirectory: string, volume: string): string | null {
  if (frontend !== 'nbd') return null
  return nbdSocket === null ? nbdSocketPath(stateDirectory, volume) : path.resolve(nbdSocket)
}

function cacheBytesOf(cache: PathFacts, settings: ServeSettings): Bytes {
  const kind = cache.kind === 'block' || cache.kind === 'file' ? cache.kind : 'none'
  return cacheBytesFor(settings.cacheSize, { kind, sizeBytes: cache.sizeBytes })
}

function sectorBytesOf(backing: PathFacts, settings: ServeSettings): 512 | 4096 {
  return Number(settings.sectorSize ?? backing.block?.logicalSectorBytes ?? 512) === 4096 ? 4096 : 512
}

/** Empty where nothing can be locked: the path is then refused for another reason. */
function lockFileOf({ identity }: PathFacts): string {
  return identity === null ? '' : storageLockFile(identity)
}
