// Subjects that take turns: in every round each workload is measured on all its subjects, one right after the other, so
// that what the machine does meanwhile befalls all of them.
import { BYPASS_AFTER_BYTES } from '../../csi-driver/engine/read-cache/sequential.ts'
import { type FioJob, type FioResult, runFio } from './fio.ts'
import { cpuSecondsOf, residentMiB } from './forebay-process.ts'
import type { ForebayVolume } from './forebay-volume.ts'
import { Patience } from './quiet.ts'
import type { Sample } from './sample.ts'
import { SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'
import type { Subject, SubjectName } from './subjects.ts'
import { type Workload, type WorkloadName, WORKLOADS } from './workloads.ts'

/** Part of the reads that may miss a cache, or hit it, where none should. */
const STRAY_SHARE_MAX = 0.001

export interface Contestant {
  readonly subject: Subject
  readonly dataBytes: number
  /** Its policy is looked at and it is drained. */
  readonly volume?: ForebayVolume
  /** Reads so far that its cache did not hold. */
  readonly misses?: () => Promise<number>
  /** Before each round. */
  readonly prepare?: () => Promise<void>
  /** After writes: nobody works for this one while the next is measured. */
  readonly settle?: () => Promise<void>
  /** Instead of fio. */
  readonly measure?: (seconds: number) => Promise<FioResult>
}

export interface Turn {
  readonly workload: WorkloadName
  readonly subjects: readonly SubjectName[]
  /** No target is made of it: measured briefly, and not at all in a quick run. */
  readonly tableOnly?: boolean
}

type Measured = Omit<Sample, 'round' | 'othersShare'>

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

function jobOf({ subject, dataBytes }: Contestant, workload: Workload, seconds: number): FioJob {
  const isRaw = subject.name === 'cacheFile' || subject.name === 'cacheDisk'
  const isUncached = workload.isSequential && workload.direction === 'read'
  return {
    ...workload,
    target: subject.target,
    engine: subject.target.startsWith('nbd') ? 'nbd' : subject.name === 'cacheDisk' ? 'psync' : 'libaio',
    // What a write-back volume promises, the raw disk must promise too.
    durable: isRaw && workload.direction !== 'read',
    dataBytes,
    offsetBytes: isUncached ? (subject.uncachedFromBytes ?? 0) : 0,
    seconds,
  }
}

async function measureOne(scaffold: Scaffold, contestant: Contestant, turn: Turn): Promise<Measured> {
  const { subject } = contestant
  const pid = subject.serverPid?.() ?? null
  const before = pid === null ? 0 : await cpuSecondsOf(pid)
  const seconds = turn.tableOnly === true ? SCALE.briefSeconds : SCALE.seconds
  const result = await (contestant.measure?.(seconds) ??
    runFio(jobOf(contestant, WORKLOADS[turn.workload], seconds), scaffold.signal))
  const cpuSeconds = pid === null ? 0 : (await cpuSecondsOf(pid)) - before
  const { name, title, busyPollMicros, acknowledgesEarly } = subject
  return {
    ...{ subject: name, title, workload: turn.workload, busyPollMicros, acknowledgesEarly },
    cpuMicros: pid === null ? null : (cpuSeconds * 1e6) / result.operations,
    residentMiB: pid === null ? null : await residentMiB(pid),
    ...result,
  }
}

/**
 * Reads must hit, for a miss would measure the backing; those of uncached data must miss, but for the beginning of the
 * stream, which is cached and met again with each pass.
 */
async function measureReads(
  contestant: Contestant,
  workload: Workload,
  take: () => Promise<Measured>,
): Promise<Measured> {
  const { misses, subject } = contestant
  if (misses === undefined) return take()
  const before = await misses()
  const sample = await take()
  const missShare = ((await misses()) - before) / sample.operations
  const isUncached = workload.isSequential && subject.uncachedFromBytes !== undefined
  const strayShare = isUncached ? 1 - missShare - BYPASS_AFTER_BYTES / contestant.dataBytes : missShare
  if (strayShare > STRAY_SHARE_MAX) {
    throw new Error(`${sample.title}: ${missShare} misses for each of ${sample.operations} reads`)
  }
  return sample
}

/** Writes must be written back: another policy is another measurement. */
async function measureWrites({ volume, settle }: Contestant, take: () => Promise<Measured>): Promise<Measured> {
  const sample = await take()
  if (volume !== undefined) {
    const { effectiveWritePolicy, reason } = await volume.status()
    if (effectiveWritePolicy !== 'write-back') throw new Error(`${sample.title}: ${reason ?? 'no write-back'}`)
    await volume.drain()
  }
  await settle?.()
  return sample
}

function takeTurn(scaffold: Scaffold, contestant: Contestant, turn: Turn): Promise<Measured> {
  const workload = WORKLOADS[turn.workload]
  const take = (): Promise<Measured> => measureOne(scaffold, contestant, turn)
  if (workload.direction === 'read') return measureReads(contestant, workload, take)
  return measureWrites(contestant, take)
}

/** `turns` in this order in every round. */
export async function takeTurns(
  scaffold: Scaffold,
  contestants: readonly Contestant[],
  turns: readonly Turn[],
): Promise<Sample[]> {
  const samples: Sample[] = []
  const patience = new Patience(SCALE.patienceSeconds * 1000)
  for (let round = 1; round <= SCALE.rounds; round++) {
    say(`round ${round} of ${SCALE.rounds}`)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    for (const { prepare } of contestants) await prepare?.()
    for (const turn of turns.filter(({ tableOnly }) => !(SCALE.isQuick && tableOnly === true))) {
      for (const contestant of contestants.filter(({ subject }) => turn.subjects.includes(subject.name))) {
        scaffold.checkInterrupt()
        const takeOne = (): Promise<Measured> => takeTurn(scaffold, contestant, turn)
        // oxlint-disable-next-line eslint/no-await-in-loop -- they take turns
        const { sample, othersShare } = await patience.measureInQuiet(takeOne)
        samples.push({ round, othersShare, ...sample })
      }
    }
  }
  return samples
}
