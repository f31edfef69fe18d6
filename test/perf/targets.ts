// What the bench is held against: each key, its definition, and the figure that counts as good (or none, where it is only
// reported). Keys are stable: scripts read them.
import type { PickMedian, Sample } from './sample.ts'

export interface Target {
  readonly key: string
  readonly meaning: string
  /** none: reported, not judged. */
  readonly bound: 'at least' | 'at most' | 'none'
  readonly value: number
}

export interface RatioRule extends Target {
  readonly of: (pick: PickMedian) => number
}

const cpu = (sample: Sample): number => sample.cpuMicros ?? Number.NaN

export const RATIO_RULES: readonly RatioRule[] = [
  {
    key: 'readHitQd32',
    meaning: 'read hit in memory, QD32: IOPS / floor',
    bound: 'at least',
    value: 0.9,
    of: (pick) => pick('memory', 'read', 32).iops / pick('floor', 'read', 32).iops,
  },
  {
    key: 'readHitQd1P50',
    meaning: 'read hit in memory, QD1: p50 / floor',
    bound: 'at most',
    value: 1.15,
    of: (pick) => pick('memory', 'read', 1).p50Micros / pick('floor', 'read', 1).p50Micros,
  },
  {
    key: 'readHitQd1P50Polling',
    meaning: 'the same, polling: p50 / the faster of floor and polling floor',
    bound: 'at most',
    value: 1.15,
    // A floor that polls takes a core from the loop device; where it is the slower one, it is no floor.
    of: (pick) =>
      pick('memoryPolling', 'read', 1).p50Micros /
      Math.min(pick('floor', 'read', 1).p50Micros, pick('floorPolling', 'read', 1).p50Micros),
  },
  {
    key: 'readHitCpu',
    meaning: 'read hit in memory, QD32: CPU per I/O / floor, neither polling',
    bound: 'at most',
    value: 1.5,
    of: (pick) => cpu(pick('memory', 'read', 32)) / cpu(pick('floor', 'read', 32)),
  },
  {
    key: 'flashReadHitQd1P50',
    meaning: 'read hit on flash, QD1: p50 / (floor + O_DIRECT read of the disk)',
    bound: 'at most',
    value: 1.25,
    of: (pick) =>
      pick('flash', 'read', 1).p50Micros /
      (pick('floor', 'read', 1).p50Micros + pick('cacheDisk', 'read', 1).p50Micros),
  },
  {
    key: 'flashReadHitQd32',
    meaning: 'read hit on flash, QD32: IOPS / the smaller of floor and raw cache file',
    bound: 'at least',
    value: 0.6,
    of: (pick) =>
      pick('flash', 'read', 32).iops / Math.min(pick('floor', 'read', 32).iops, pick('cacheFile', 'read', 32).iops),
  },
  {
    key: 'localWriteQd1P50',
    meaning: 'write-back on flash, QD1: p50 / (floor + O_DIRECT|O_DSYNC write of the disk)',
    bound: 'at most',
    value: 1.25,
    of: (pick) =>
      pick('flash', 'write', 1).p50Micros /
      (pick('floor', 'write', 1).p50Micros + pick('cacheDisk', 'write', 1).p50Micros),
  },
  {
    key: 'localWriteQd32',
    meaning: 'write-back on flash, QD32: IOPS / floor',
    bound: 'at least',
    value: 0.6,
    of: (pick) => pick('flash', 'write', 32).iops / pick('floor', 'write', 32).iops,
  },
  {
    key: 'replicatedQd1P50',
    meaning: 'write-back with a copy, QD1: p50 / (local log + TLS round trip)',
    bound: 'at most',
    value: 1.5,
    of: (pick) =>
      pick('replicated', 'write', 1).p50Micros /
      (pick('flash', 'write', 1).p50Micros + pick('tlsRoundTrip', 'write', 1).p50Micros),
  },
  {
    key: 'replicatedQd32',
    meaning: 'write-back with a copy, QD32: IOPS / local log',
    bound: 'at least',
    value: 0.6,
    of: (pick) => pick('replicated', 'write', 32).iops / pick('flash', 'write', 32).iops,
  },
]

/** Figures of the first part that are no ratio but stand beside them. */
export const ABSOLUTE_TARGETS: readonly Target[] = [
  { key: 'engineRssMiB', meaning: 'resident engine without its index, MiB', bound: 'at most', value: 90 },
  { key: 'holderRssMiB', meaning: 'resident holder, MiB', bound: 'at most', value: 2 },
  { key: 'peerRssMiB', meaning: 'resident replica store after the load, MiB', bound: 'at most', value: 100 },
  { key: 'bytesPerCachedBlock', meaning: 'index per cached 4 KiB block, bytes', bound: 'at most', value: 32 },
]

/** Figures of the other parts. */
export const PART_TARGETS: readonly Target[] = [
  {
    key: 'peerKillPauseSeconds',
    meaning: 'peer killed under load: longest pause of the writer, s',
    bound: 'at most',
    value: 3,
  },
  {
    key: 'peerKillP999Outside',
    meaning: 'the same: p99.9 after the pause / before it',
    bound: 'none',
    value: 1,
  },
  {
    key: 'peerSilentPauseSeconds',
    meaning: 'the same, the peer falls silent instead (a host without power), s',
    bound: 'at most',
    value: 3,
  },
  {
    key: 'takeoverSeconds',
    meaning: 'takeover with little dirty: end of the fence to the first I/O, s',
    bound: 'at most',
    value: 3,
  },
  {
    key: 'takeoverMuchDirtySeconds',
    meaning: 'the same with much dirty, s',
    bound: 'none',
    value: 0,
  },
  {
    key: 'replayMBps',
    meaning: 'the same: log gathered from the copy and replayed, MB/s',
    bound: 'at least',
    value: 200,
  },
  { key: 'pgbenchWriteThrough', meaning: 'pgbench, write-through: TPS / raw 2 ms disk', bound: 'none', value: 0 },
  { key: 'pgbenchWriteBack0', meaning: 'pgbench, write-back: TPS / raw 2 ms disk', bound: 'none', value: 0 },
  {
    key: 'pgbenchWriteBack1',
    meaning: 'pgbench, write-back with a copy: TPS / raw 2 ms disk',
    bound: 'at least',
    value: 5,
  },
  {
    key: 'compressionGain1G',
    meaning: 'compression auto / off, 1 Gbit/s, compressible data: throughput',
    bound: 'none',
    value: 1,
  },
  {
    key: 'compressionGainLeast',
    meaning: 'the same with any data on any link, the worst: throughput',
    bound: 'at least',
    value: 0.97,
  },
  {
    key: 'compressionCpu',
    meaning: 'the same with compressible data: CPU of the sender per write',
    bound: 'none',
    value: 1,
  },
]

export const ALL_TARGETS: readonly Target[] = [...RATIO_RULES, ...ABSOLUTE_TARGETS, ...PART_TARGETS]

export function isReached({ bound, value }: Pick<Target, 'bound' | 'value'>, figure: number): boolean {
  return bound === 'none' || (bound === 'at least' ? figure >= value : figure <= value)
}
