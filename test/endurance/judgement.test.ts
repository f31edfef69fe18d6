// Proves: each thing that can grow is found growing by its own line and by no other, both while engines are killed and
// afterwards; a run in which nothing grows has only steady lines; an engine is compared with others of its age, never with
// the one before it when that had lived longer. How: a made-up run of ten minutes, one of its figures made to grow.
import { createPrng } from '../../base/prng.ts'
import { judge, type Watched } from './judgement.ts'
import { scheduleOf } from './schedule.ts'
import type { Life, Rest, Seen } from './seen.ts'

const MIB = 1024 * 1024
const MINUTES = 10
const schedule = scheduleOf(MINUTES, createPrng(1))
const lastKillMs = schedule.killsAtMs.at(-1) ?? 0

const warmth = (ageMs: number): number => Math.min(60, ageMs / 1000) / 2

/** What a figure gains by the time `atMs`. */
type Gain = (atMs: number) => number

type Figure =
  | 'engine: memory'
  | 'engine: descriptors'
  | 'holder: memory'
  | 'holder: descriptors'
  | 'peer: memory'
  | 'peer: descriptors'
  | 'clean: log'
  | 'clean: files'
  | 'clean: space of files'
  | 'clean: log on the peer'
  | 'clean: space of the peer'

/** Enough for each to be far above what is allowed within five minutes, and steady: units per minute. */
const LEAKS: Readonly<Record<Figure, number>> = {
  'engine: memory': 20 * MIB,
  'engine: descriptors': 5,
  'holder: memory': MIB,
  'holder: descriptors': 5,
  'peer: memory': 20 * MIB,
  'peer: descriptors': 5,
  'clean: log': 5 * MIB,
  'clean: files': 5,
  'clean: space of files': 5 * MIB,
  'clean: log on the peer': 5 * MIB,
  'clean: space of the peer': 20 * MIB,
}

function run(gains: Readonly<Partial<Record<Figure, Gain>>>): Watched {
  const gained = (figure: Figure, atMs: number): number => gains[figure]?.(atMs) ?? 0
  const seconds = Array.from({ length: MINUTES * 60 }, (_, second) => second * 1000)
  const seenOf = (name: 'engine' | 'holder' | 'peer', atMs: number, beganMs: number): Seen => ({
    atMs,
    // What runs JavaScript warms up: older ones have more. A shell does not.
    residentBytes: (name === 'holder' ? 2 : 100 + warmth(atMs - beganMs)) * MIB + gained(`${name}: memory`, atMs),
    openFiles: 30 + ((atMs / 1000) % 2) + Math.floor(gained(`${name}: descriptors`, atMs)),
    waitedMs: 0,
  })
  const bounds = [0, ...schedule.killsAtMs, Number.POSITIVE_INFINITY]
  const lives = bounds.slice(0, -1).map((beganMs, index): Life => {
    const times = seconds.filter((atMs) => atMs >= beganMs && atMs < (bounds[index + 1] ?? 0))
    const seen = times.map((atMs) => seenOf('engine', atMs, beganMs))
    return { pid: index, beganMs, seen, buckets: new Map() }
  })
  const rests = seconds
    .filter((_, second) => second % 10 === 0)
    .map(
      (atMs): Rest => ({
        atMs,
        logUsedBytes: gained('clean: log', atMs),
        files: 40 + Math.floor(gained('clean: files', atMs)),
        fileBytes: 160 * MIB + gained('clean: space of files', atMs),
        peerLogBytes: gained('clean: log on the peer', atMs),
        peerTakenBytes: 100 * MIB + gained('clean: space of the peer', atMs),
      }),
    )
  const of = (name: 'holder' | 'peer'): Seen[] => seconds.map((atMs) => seenOf(name, atMs, -60_000))
  return { name: 'v', lives, holder: of('holder'), peer: of('peer'), rests }
}

function grown(gains: Readonly<Partial<Record<Figure, Gain>>>): string[] {
  const lines = judge(run(gains), schedule)
  expect(lines.filter(({ isJudged }) => !isJudged)).toEqual([])
  return lines.filter(({ grew }) => grew).map(({ what, when }) => `${what}, ${when}`)
}

const figures = Object.keys(LEAKS) as Figure[]

test('nothing grows', () => {
  expect(grown({})).toEqual([])
})

test.each(figures)('what grows all the time is seen in both parts: %s', (figure) => {
  const leak = LEAKS[figure]
  expect(grown({ [figure]: (atMs: number) => (leak * atMs) / 60_000 })).toEqual([
    `${figure}, while killed`,
    `${figure}, afterwards`,
  ])
})

test.each(figures)('what each killed engine leaves behind: %s', (figure) => {
  const gain: Gain = (atMs) => LEAKS[figure] * schedule.killsAtMs.filter((killMs) => killMs <= atMs).length
  expect(grown({ [figure]: gain })).toEqual([`${figure}, while killed`])
})

test.each(figures)('what only the last engine leaks: %s', (figure) => {
  const gain: Gain = (atMs) => (LEAKS[figure] * Math.max(0, atMs - lastKillMs)) / 60_000
  expect(grown({ [figure]: gain })).toEqual([`${figure}, afterwards`])
})

test('a volume without a peer has no lines of one', () => {
  const lines = judge({ ...run({}), peer: [] }, schedule)
  expect(lines.filter(({ what }) => what.includes('peer'))).toEqual([])
})

test('where nothing was seen nothing is judged', () => {
  const lines = judge({ name: 'v', lives: [], holder: [], peer: [], rests: [] }, schedule)
  expect(lines.some(({ isJudged, grew }) => isJudged || grew)).toBe(false)
})
