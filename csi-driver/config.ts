// Every setting of `forebay serve`: name, unit, range, default and why. Flags are the names in kebab case, keys of the
// configuration file the names in camel case; flags win. docs/reference/settings.md is generated from here.
// Rules that join settings (how the cache is split, what needs --allow-volatile) are pure functions below.
import {
  addressSetting,
  choiceSetting,
  durationSetting,
  pathSetting,
  printSize,
  requiredSetting,
  sizeSetting,
  switchSetting,
  textSetting,
} from '../base/setting-kinds.ts'
import type { SettingProblem, SettingsOf } from '../base/settings.ts'
import { NODE_NAME_ALLOWED, NODE_NAME_CHARACTERS_MAX, replicationSchema } from './config-replication.ts'
import { NODE_NAME_PATTERN } from './io/peer-network.ts'
import { BLOCK_BYTES, GIB, KIB, MIB, roundDown, roundUp, type Bytes } from '../base/units.ts'

/** Part of file, socket and device names, and of Kubernetes names later: a DNS label. */
export const VOLUME_NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
export const VOLUME_NAME_ALLOWED = '1 to 63 of a-z, 0-9 and "-", not beginning or ending with "-"'

export const STATE_DIRECTORY_DEFAULT = '/var/lib/forebay'
export const CACHE_BYTES_DEFAULT = 4 * GIB
export const CACHE_BYTES_MIN = 32 * MIB
export const CACHE_BYTES_MAX = 8 * 1024 * GIB
export const DIRTY_LIMIT_BYTES_MAX_DEFAULT = GIB
export const DIRTY_LIMIT_BYTES_MIN = 4 * MIB

export const stateDirSetting = pathSetting({
  default: STATE_DIRECTORY_DEFAULT,
  help: 'Directory of registers, control sockets and last status. All commands about one volume need the same one.',
  why: 'It must outlive reboots: the register in it is the only record of who owns a volume and whether it is dirty.',
})

export const serveSchema = {
  backing: requiredSetting(
    pathSetting({
      default: null,
      help: 'The slow device to accelerate: a block device, or an image file.',
      why: 'Nothing of Forebay is ever written to it; without the cache it is a plain volume.',
    }),
  ),
  cache: requiredSetting(
    pathSetting({
      default: null,
      help: 'Where the cache lives: a file (created if missing) or a partition. On tmpfs with --resource memory.',
      why: 'It holds acknowledged writes that the backing does not have yet, so treat it as part of the volume.',
    }),
  ),
  cacheSize: sizeSetting({
    default: null,
    min: CACHE_BYTES_MIN,
    max: CACHE_BYTES_MAX,
    multipleOf: MIB,
    defaultText: 'the size of the existing file or partition, otherwise 4GiB',
    help: 'Log and read cache together.',
    why: 'See "How the cache is split". It may differ at each start: a cache without dirty data is laid out anew, one with dirty data keeps its layout.',
  }),
  resource: choiceSetting({
    choices: ['flash', 'memory'],
    default: 'flash',
    help: 'What the cache is made of: flash survives a power loss, memory (tmpfs) does not.',
    why: 'It decides what an acknowledgement is worth, so it is said and not guessed.',
  }),
  writePolicy: choiceSetting({
    choices: ['write-back', 'write-through'],
    default: 'write-back',
    help: 'Acknowledge a write once it is in the cache, or once it is on the backing.',
    why: 'Write-back is what a cache is for; write-through only speeds up reads. `forebay policy` changes it online.',
  }),
  dirtyLimit: sizeSetting({
    default: null,
    min: DIRTY_LIMIT_BYTES_MIN,
    max: CACHE_BYTES_MAX,
    multipleOf: BLOCK_BYTES,
    defaultText: 'a quarter of the cache, at most 1GiB',
    help: 'Most user data that the backing may lack. Writers are slowed before it and wait at it.',
    why: 'It bounds how long `forebay drain` and `stop` take, and what the loss of the cache could cost.',
  }),
  dirtyAge: durationSetting({
    default: 30_000,
    min: 100,
    max: 24 * 3_600_000,
    help: 'Data dirty for longer is written back at full rate.',
    why: '30 s is what kernels use for dirty pages: long enough for rewrites of a block to merge. It never stalls a writer.',
  }),
  sectorSize: choiceSetting({
    choices: ['512', '4096'],
    default: null,
    defaultText: 'that of the backing; 512 for a file',
    help: 'Logical sector size of the device that users see.',
    why: 'A volume formatted with 512 must keep 512; a backing with 4096 cannot do less.',
  }),
  metrics: addressSetting({
    default: null,
    defaultText: 'none',
    help: 'Serve /metrics (Prometheus) and /healthz there, over plain HTTP.',
    why: 'Off unless wanted: it is a socket that others may reach.',
  }),
  config: pathSetting({
    default: null,
    defaultText: 'none',
    help: 'YAML file with settings; keys are the flags in camelCase, flags win. Read once, when the command starts.',
    why: 'A service keeps its settings in a file.',
  }),
  stateDir: stateDirSetting,
  node: textSetting({
    default: null,
    maxLength: NODE_NAME_CHARACTERS_MAX,
    pattern: NODE_NAME_PATTERN,
    allowed: NODE_NAME_ALLOWED,
    defaultText: 'the host name',
    help: 'Name of this host in the register; with peers the one that its certificate names.',
    why: 'For hosts whose name changes or is not unique among those that can reach the backing.',
  }),
  ...replicationSchema,
  formatCache: switchSetting({
    help: 'Overwrite what the cache path holds. Never formats a Forebay cache with dirty data.',
    why: 'Foreign content is refused otherwise: a wrong path must not cost a disk.',
  }),
  acceptDataLoss: textSetting({
    default: '',
    maxLength: 63,
    pattern: VOLUME_NAME_PATTERN,
    allowed: "the volume's name",
    defaultText: 'none',
    help: "The volume's name: go on although acknowledged writes are lost. Without it such a volume is Blocked.",
    why: 'The name must be spelled out, so that no script carries it from one volume to another.',
  }),
  backingChanged: choiceSetting({
    choices: ['refuse', 'replay', 'discard-cache'],
    default: 'refuse',
    help: 'What to do when somebody wrote to the backing while the cache held dirty data for it.',
    why: 'Either answer loses one of the two; only a person can say which.',
  }),
  allowVolatile: switchSetting({
    help: 'Allow write-back with --resource memory: a power loss then loses acknowledged writes.',
    why: 'No default may lose data.',
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
  frontend: choiceSetting({
    choices: ['fuse', 'nbd'],
    default: 'fuse',
    help: 'What users get: a block device of this host (fuse), or an NBD export on a unix socket (nbd).',
    why: 'Users of the block device never notice an engine that is replaced; NBD is faster, works without /dev/fuse and loop devices, and ends its connections when the engine ends.',
  }),
  nbdSocket: pathSetting({
    default: null,
    defaultText: 'run/VOLUME.nbd in the state directory',
    help: 'Where the socket for NBD is made, with mode 0600. Only with --frontend nbd.',
    why: 'Clients in a container or of another tool look for it where they can reach it.',
  }),
  fuseReader: choiceSetting({
    choices: ['auto', 'epoll', 'pool'],
    default: 'auto',
    help: 'How requests are read from /dev/fuse. Fixed for the life of the device. Of no effect with --frontend nbd.',
    why: 'epoll costs a third of the CPU but rests on an interface that a future Node may drop; auto takes it if it works.',
  }),
  busyPoll: textSetting({
    default: 'auto',
    maxLength: 4,
    pattern: /^(auto|[1-9]\d{0,2}|0|1000)$/,
    allowed: 'auto, or 0 to 1000 microseconds',
    help: 'How long to poll for the next request before sleeping, in microseconds. auto: up to 50 while it pays and the host has CPU to spare. Of no effect with --frontend nbd.',
    why: 'Saves the wake-up of a request at low queue depth, at the price of CPU. auto spends at most a tenth of a CPU in vain, and nothing while less than half a CPU is idle; 0 for hosts where every cycle counts.',
  }),
} as const

export type ServeSettings = SettingsOf<typeof serveSchema>

/** Longest fence command; it is handed to a shell. */
const FENCE_COMMAND_CHARACTERS_MAX = 4096

export const takeoverSchema = {
  fenceCommand: textSetting({
    default: '',
    maxLength: FENCE_COMMAND_CHARACTERS_MAX,
    pattern: /^[^\0\n]*$/,
    allowed: 'a shell command of one line',
    defaultText: 'none',
    help: 'Fences the old owner; run by a shell in the root directory, with VOLUME, NODE and EPOCH in its environment. Exit 0: that host is off. 10: cut from the backing, for reads and writes. Anything else: not fenced, no takeover.',
    why: 'Two writers on one backing destroy it. Only you know how a host is switched off or cut from your storage.',
  }),
  fenced: switchSetting({
    help: 'You have cut the old owner from the backing yourself; counts like exit 10 of a fence command.',
    why: 'For a host that is known to be off or cut. Every promise that it may still rely on is waited out.',
  }),
  ...serveSchema,
} as const

export type TakeoverSettings = SettingsOf<typeof takeoverSchema>

/** Superblock slots in front of the log (docs/formats/journal.md). */
export const CACHE_HEADER_BYTES = 32 * KIB
/** Below it the log could not hold the two maximal batches in flight beside a generation being destaged. */
export const LOG_BYTES_MIN = 24 * MIB
/** The log may take at most this part of the cache: the rest is what reads live from. */
const LOG_SHARE_MAX = 0.75
/**
 * Log bytes per byte of dirty limit. While one generation of up to the whole limit is destaged the next fills, and
 * both stay in the log until the checkpoint; headers and padding take the rest.
 */
const LOG_PER_DIRTY_BYTE = 2.5
const LOG_SPARE_BYTES = 16 * MIB
/** The dirty limit may be at most this part of the log, or the log would fill before the limit does. */
const DIRTY_SHARE_MAX = 0.4

export interface CacheSplit {
  readonly logBytes: Bytes
  /** What remains for reads, header taken off. */
  readonly readCacheBytes: Bytes
  readonly dirtyLimitBytes: Bytes
}

/**
 * How a cache of `cacheBytes` is split: log = 2.5 × dirty limit + 16 MiB, at least 24 MiB and at most 75 % of the
 * cache; the read cache gets the rest. `dirtyLimitBytes` null: a quarter of the cache, at most 1 GiB, which always fits.
 */
export function splitCache(cacheBytes: Bytes, dirtyLimitBytes: Bytes | null): CacheSplit | SettingProblem {
  const dirty = dirtyLimitBytes ?? Math.min(DIRTY_LIMIT_BYTES_MAX_DEFAULT, roundDown(cacheBytes / 4, BLOCK_BYTES))
  const wanted = Math.max(LOG_BYTES_MIN, LOG_PER_DIRTY_BYTE * dirty + LOG_SPARE_BYTES)
  const logBytes = Math.min(roundUp(wanted, BLOCK_BYTES), roundDown(cacheBytes * LOG_SHARE_MAX, BLOCK_BYTES))
  if (dirty > logBytes * DIRTY_SHARE_MAX) {
    const most = printSize(roundDown(cacheBytes * LOG_SHARE_MAX * DIRTY_SHARE_MAX, MIB))
    const size = printSize(cacheBytes)
    return {
      where: '--dirty-limit',
      problem: `is too large for cache-size=${size}; at most ${most}, or a larger cache`,
    }
  }
  return { logBytes, readCacheBytes: cacheBytes - CACHE_HEADER_BYTES - logBytes, dirtyLimitBytes: dirty }
}

/** What was found at the cache path. */
export interface CacheFound {
  readonly kind: 'none' | 'file' | 'block'
  /** 0 where there is none, and for an empty file. */
  readonly sizeBytes: Bytes
}

/** The cache size in force: given, else that of what exists, else the default. */
export function cacheBytesFor(cacheSize: Bytes | null, found: CacheFound): Bytes {
  if (cacheSize !== null) return cacheSize
  return found.sizeBytes === 0 ? CACHE_BYTES_DEFAULT : roundDown(found.sizeBytes, MIB)
}

/** Problems between settings that need nothing but the settings. */
export function joinedProblems(volume: string, settings: ServeSettings): SettingProblem[] {
  const problems: SettingProblem[] = []
  const replicas = settings.replicas.same + settings.replicas.other
  if (
    settings.resource === 'memory' &&
    settings.writePolicy === 'write-back' &&
    replicas === 0 &&
    !settings.allowVolatile
  ) {
    const problem =
      'memory with write-back loses acknowledged writes with the power; add --allow-volatile to accept that, or use --write-policy write-through'
    problems.push({ where: '--resource', problem })
  }
  if (settings.nbdSocket !== null && settings.frontend !== 'nbd') {
    problems.push({
      where: '--nbd-socket',
      problem: 'is of no use without --frontend nbd; give that too, or leave it out',
    })
  }
  if (settings.acceptDataLoss !== '' && settings.acceptDataLoss !== volume) {
    const problem = `must name the volume that is served expected=${volume} given=${settings.acceptDataLoss}`
    problems.push({ where: '--accept-data-loss', problem })
  }
  return problems
}

/** What else `takeover` needs to know. */
export function takeoverProblems({
  fenceCommand,
  fenced,
}: Pick<TakeoverSettings, 'fenceCommand' | 'fenced'>): SettingProblem[] {
  if ((fenceCommand === '') === fenced) return []
  const problem = fenced
    ? 'and --fenced say two different things; give one of them'
    : 'is needed, or --fenced once you have cut the old owner from the backing'
  return [{ where: '--fence-command', problem }]
}
