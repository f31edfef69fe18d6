// One volume under endurance: its load, its kills and what is looked at. It goes through passes of load, in some of which
// its engine is killed; now and then it rests: everything is destaged, and what is then still taken up on disk is garbage
// or was there from the beginning.
import { readFile } from 'node:fs/promises'
import { runDirectory, volumeLockFile } from '../../csi-driver/holder/run-directory.ts'
import type { PeerStatus } from '../../csi-driver/peer-process/control-protocol.ts'
import type { Prng } from '../../base/prng.ts'
import { runProgram } from '../perf/fio.ts'
import { FOREBAY } from '../perf/forebay-process.ts'
import type { ForebayVolume } from '../perf/forebay-volume.ts'
import type { Scaffold } from '../perf/scaffold.ts'
import { runPass } from './load.ts'
import { type Buckets, parseScrape, sumOfBuckets } from './scrape.ts'
import type { Schedule } from './schedule.ts'
import type { Life, Rest, Seen } from './seen.ts'
import { diskFigures, processFigures } from './watched-host.ts'

const REST_EVERY_MS = 10_000
/** Only ends a run that hangs. */
const RETURN_LIMIT_MS = 300_000
const KILL_DELAY_MS_MAX = 2000
const SAID_CHARACTERS = 4000
const SCRAPE_LIMIT_MS = 5000

export interface Site {
  readonly name: string
  readonly volume: ForebayVolume
  /** ADDR:PORT of its --metrics. */
  readonly metrics: string
  /** What it may leave something in, beside its run directory. */
  readonly places: readonly string[]
  readonly peer: { readonly pid: number; readonly stateDirectory: string } | null
}

export class Subject {
  readonly name: string
  readonly lives: Life[] = []
  readonly holder: Seen[] = []
  readonly peer: Seen[] = []
  readonly rests: Rest[] = []
  passes = 0
  kills = 0
  private readonly site: Site
  private readonly scaffold: Scaffold
  private readonly beganMs = performance.now()
  private device = ''

  constructor(scaffold: Scaffold, site: Site) {
    this.scaffold = scaffold
    this.site = site
    this.name = site.name
  }

  /** Of the engines before the last one and of that, summed. */
  get buckets(): Buckets {
    return sumOfBuckets(this.lives.map(({ buckets }) => buckets))
  }

  /** Share of the time in which an engine could have run and had no processor; NaN where none was seen for long. */
  get waitedShare(): number {
    const sum = (figure: (one: Seen) => number): number =>
      this.lives.reduce((total, { seen }) => {
        const [first, last] = [seen[0], seen.at(-1)]
        return first === undefined || last === undefined ? total : total + figure(last) - figure(first)
      }, 0)
    return sum(({ waitedMs }) => waitedMs) / sum(({ atMs }) => atMs)
  }

  /** Passes of load until the schedule ends. */
  async run({ totalMs, killsAtMs }: Schedule, prng: Prng): Promise<void> {
    this.device = this.site.volume.device
    let restedMs = Number.NEGATIVE_INFINITY
    let waiting = killsAtMs
    while (this.atMs < totalMs) {
      const pass = runPass(this.device, this.passes + 1, this.scaffold.signal)
      // On a slow machine several have become due: one is enough, or engines would be killed to the end.
      const later = waiting.filter((killMs) => killMs > this.atMs)
      const isKilled = later.length < waiting.length
      waiting = later
      // oxlint-disable-next-line eslint/no-await-in-loop -- one pass after the other
      await Promise.all([pass, isKilled ? this.kill(prng.below(KILL_DELAY_MS_MAX)) : null])
      this.passes++
      if (this.atMs - restedMs < REST_EVERY_MS) continue
      restedMs = this.atMs
      // oxlint-disable-next-line eslint/no-await-in-loop -- one pass after the other
      this.rests.push(await this.rest())
    }
  }

  /** One sample of each process; of a process that is just being replaced there is none. */
  async sample(): Promise<void> {
    const { holder, engine } = await this.pids()
    const atMs = this.atMs
    await this.keep(this.holder, holder, atMs)
    if (this.site.peer !== null) await this.keep(this.peer, this.site.peer.pid, atMs)
    const scrape = await this.scrape()
    const figures = await processFigures(engine)
    // Another engine may have begun meanwhile; the scrape could be of either.
    if (scrape === null || figures === null || (await this.pids()).engine !== engine) return
    const life = this.lifeOf(engine, atMs)
    life.seen.push({ atMs, ...figures })
    life.buckets = scrape
  }

  private get atMs(): number {
    return performance.now() - this.beganMs
  }

  private lifeOf(pid: number, atMs: number): Life {
    const last = this.lives.at(-1)
    if (last?.pid === pid) return last
    const life = { pid, beganMs: atMs, seen: [], buckets: new Map() }
    this.lives.push(life)
    return life
  }

  private async keep(seen: Seen[], pid: number, atMs: number): Promise<void> {
    const figures = await processFigures(pid)
    if (figures === null) throw new Error(`${this.name}: process ${pid} has ended`)
    seen.push({ atMs, ...figures })
  }

  /** As the holder notes them in the volume's lock. */
  private async pids(): Promise<{ readonly holder: number; readonly engine: number }> {
    const [holder = '', , engine = ''] = (await readFile(volumeLockFile(this.site.volume.volume), 'utf8')).split(/\s+/)
    return { holder: Number(holder), engine: Number(engine) }
  }

  /** Null while no engine answers. */
  private async scrape(): Promise<Buckets | null> {
    try {
      const answer = await fetch(`http://${this.site.metrics}/metrics`, {
        signal: AbortSignal.timeout(SCRAPE_LIMIT_MS),
      })
      return parseScrape(await answer.text()).buckets
    } catch {
      return null
    }
  }

  private async kill(delayMs: number): Promise<void> {
    await this.scaffold.pause(delayMs)
    const { engine } = await this.pids()
    process.kill(engine, 'SIGKILL')
    this.kills++
    const hasReturned = async (): Promise<boolean> =>
      (await this.pids()).engine !== engine && (await this.scrape()) !== null
    await this.scaffold.until(`${this.name}: another engine`, RETURN_LIMIT_MS, hasReturned).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.site.volume.said.slice(-SAID_CHARACTERS)}`, { cause: error })
    })
  }

  private async rest(): Promise<Rest> {
    const { volume, places, peer } = this.site
    await volume.untilWriteBack(peer === null ? 0 : 1)
    await volume.drain()
    await volume.untilWriteBack(peer === null ? 0 : 1)
    const { logUsedBytes } = await volume.status()
    const { files, bytes: fileBytes } = await diskFigures([...places, runDirectory(volume.volume)])
    const store = peer === null ? NO_STORE : await storeFigures(peer.stateDirectory, this.scaffold.signal)
    return { atMs: this.atMs, logUsedBytes, files, fileBytes, ...store }
  }
}

type StoreFigures = Pick<Rest, 'peerLogBytes' | 'peerTakenBytes'>

const NO_STORE: StoreFigures = { peerLogBytes: 0, peerTakenBytes: 0 }

async function storeFigures(stateDirectory: string, signal: AbortSignal): Promise<StoreFigures> {
  const text = await runProgram(FOREBAY, ['peers', '--state-dir', stateDirectory, '--output', 'json'], signal)
  const [status] = JSON.parse(text) as readonly PeerStatus[]
  if (status === undefined) throw new Error(`no replica store answers in ${stateDirectory}`)
  return {
    peerLogBytes: status.volumes.reduce((sum, { log }) => sum + (log?.storedBytes ?? 0), 0),
    peerTakenBytes: status.capacityBytes - status.freeBytes,
  }
}
