// What is concluded from what was seen of a volume: one line for each thing that must not grow, in each part of a run.
// While engines are killed, what is left behind by each of them would add up; afterwards what the last one leaks. Like is
// compared with like: the memory of one engine with that of others of the same age, or with its own. Pure.
import { type Allowance, type Growth, growthOf, medianOf } from './growth.ts'
import type { Schedule } from './schedule.ts'
import type { Life, Rest, Seen } from './seen.ts'

const MIB = 1024 * 1024

/** A heap between two collections differs by more than 5 %; descriptors come and go with connections. */
const ENGINE_MEMORY: Allowance = { share: 0.08, least: 6 * MIB }
const HOLDER_MEMORY: Allowance = { share: 0.1, least: MIB / 4 }
const OPEN_FILES: Allowance = { share: 0, least: 2 }
/** Blocks of a file system that are taken for the names and the lines of status files. */
const FILE_SPACE: Allowance = { share: 0, least: MIB }
const FILES: Allowance = { share: 0, least: 1 }
/** A batch or two of marks may stand in an empty log. */
const LOG_SPACE: Allowance = { share: 0, least: MIB }
const SEGMENTS: Allowance = { share: 0, least: 4 * MIB }

export interface Line extends Growth {
  readonly volume: string
  readonly what: string
  readonly when: 'while killed' | 'afterwards'
  readonly unit: 'MiB' | ''
}

export interface Watched {
  readonly name: string
  readonly lives: readonly Life[]
  readonly holder: readonly Seen[]
  readonly peer: readonly Seen[]
  readonly rests: readonly Rest[]
}

interface Kind {
  readonly what: string
  readonly unit: Line['unit']
  readonly allowance: Allowance
}

const memory = ({ residentBytes }: Seen): number => residentBytes
const openFiles = ({ openFiles }: Seen): number => openFiles

export function judge(watched: Watched, schedule: Schedule): Line[] {
  return [...engineLines(watched, schedule), ...companionLines(watched, schedule), ...restLines(watched, schedule)]
}

function engineLines({ name, lives }: Watched, { settleMs, comparedFromMs, comparedToMs }: Schedule): Line[] {
  const aged = ({ beganMs, seen }: Life, fromMs: number, toMs: number): Seen[] =>
    seen.filter(({ atMs }) => atMs - beganMs >= fromMs && atMs - beganMs < toMs)
  // The first engine has laid out the cache and is like no other.
  const compared = lives.slice(1).map((life) => aged(life, comparedFromMs, comparedToMs))
  const atOneAge = (figure: (seen: Seen) => number): number[] =>
    compared.filter((seen) => seen.length > 0).map((seen) => medianOf(seen.map(figure)))
  const last = lives.at(-1)
  const alone = last === undefined ? [] : aged(last, settleMs, Number.POSITIVE_INFINITY)
  const lines = (kind: Kind, figure: (seen: Seen) => number): Line[] => [
    line(name, kind, 'while killed', atOneAge(figure)),
    line(name, kind, 'afterwards', alone.map(figure)),
  ]
  return [
    ...lines({ what: 'engine: memory', unit: 'MiB', allowance: ENGINE_MEMORY }, memory),
    ...lines({ what: 'engine: descriptors', unit: '', allowance: OPEN_FILES }, openFiles),
  ]
}

function companionLines({ name, holder, peer }: Watched, schedule: Schedule): Line[] {
  const both = <T extends { readonly atMs: number }>(
    kind: Kind,
    all: readonly T[],
    figure: (one: T) => number,
  ): Line[] => inParts(name, kind, all, schedule, figure)
  const ofPeer = [
    ...both({ what: 'peer: memory', unit: 'MiB', allowance: ENGINE_MEMORY }, peer, memory),
    ...both({ what: 'peer: descriptors', unit: '', allowance: OPEN_FILES }, peer, openFiles),
  ]
  return [
    ...both({ what: 'holder: memory', unit: 'MiB', allowance: HOLDER_MEMORY }, holder, memory),
    ...both({ what: 'holder: descriptors', unit: '', allowance: OPEN_FILES }, holder, openFiles),
    ...(peer.length === 0 ? [] : ofPeer),
  ]
}

function restLines({ name, rests, peer }: Watched, schedule: Schedule): Line[] {
  const both = (kind: Kind, figure: (rest: Rest) => number): Line[] => inParts(name, kind, rests, schedule, figure)
  const ofPeer = [
    ...both({ what: 'clean: log on the peer', unit: 'MiB', allowance: LOG_SPACE }, ({ peerLogBytes }) => peerLogBytes),
    ...both({ what: 'clean: space of the peer', unit: 'MiB', allowance: SEGMENTS }, (rest) => rest.peerTakenBytes),
  ]
  return [
    ...both({ what: 'clean: log', unit: 'MiB', allowance: LOG_SPACE }, ({ logUsedBytes }) => logUsedBytes),
    ...both({ what: 'clean: files', unit: '', allowance: FILES }, ({ files }) => files),
    ...both({ what: 'clean: space of files', unit: 'MiB', allowance: FILE_SPACE }, ({ fileBytes }) => fileBytes),
    ...(peer.length === 0 ? [] : ofPeer),
  ]
}

function inParts<T extends { readonly atMs: number }>(
  volume: string,
  kind: Kind,
  all: readonly T[],
  { settleMs, killsAtMs }: Schedule,
  figure: (one: T) => number,
): Line[] {
  const endMs = killsAtMs.at(-1) ?? settleMs
  const within = (fromMs: number, toMs: number): number[] =>
    all.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).map(figure)
  return [
    line(volume, kind, 'while killed', within(settleMs, endMs)),
    line(volume, kind, 'afterwards', within(endMs, Number.POSITIVE_INFINITY)),
  ]
}

function line(volume: string, { what, unit, allowance }: Kind, when: Line['when'], values: readonly number[]): Line {
  return { volume, what, unit, when, ...growthOf(values, allowance) }
}

export function printLine({ volume, what, when, unit, first, last, allowed, isJudged, grew }: Line): string {
  const shown = (value: number): string => (unit === 'MiB' ? (value / MIB).toFixed(1) : value.toFixed(0))
  const verdict = grew ? 'GREW' : isJudged ? 'steady' : 'too few samples'
  const figures = isJudged ? [shown(first), shown(last), `+${shown(allowed)}`] : ['-', '-', '-']
  const cells = figures.map((figure) => figure.padStart(8)).join('')
  return `  ${volume.padEnd(11)}${what.padEnd(26)}${when.padEnd(14)}${cells}  ${unit.padEnd(4)} ${verdict}`
}

export const LINE_HEADER = `  ${'volume'.padEnd(11)}${'what'.padEnd(26)}${'when'.padEnd(14)}   first    last allowed`
