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
    of: (pick) => pick('memory', 'read32').iops / pick('floor', 'read32').iops,
  },
  {
    key: 'readHitQd1P50',
    meaning: 'read hit in memory, QD1: p50 / floor',
    bound: 'at most',
    value: 1.15,
    of: (pick) => pick('memory', 'read1').p50Micros / pick('floor', 'read1').p50Micros,
  },
  {
    key: 'readHitQd1P50Polling',
    meaning: 'the same, polling: p50 / the faster of floor and polling floor',
    bound: 'at most',
    value: 1.15,
    // A floor that polls takes a core from the loop device; where it is the slower one, it is no floor.
    of: (pick) =>
      pick('memoryPolling', 'read1').p50Micros /
      Math.min(pick('floor', 'read1').p50Micros, pick('floorPolling', 'read1').p50Micros),
  },
  {
    key: 'readHitCpu',
    meaning: 'read hit in memory, QD32: CPU per I/O / floor, neither polling',
    bound: 'at most',
    value: 1.5,
    of: (pick) => cpu(pick('memory', 'read32')) / cpu(pick('floor', 'read32')),
  },
  {
    key: 'flashReadHitQd1P50',
    meaning: 'read hit on flash, QD1: p50 / (floor + O_DIRECT read of the disk)',
    bound: 'at most',
    value: 1.25,
    of: (pick) =>
      pick('flash', 'read1').p50Micros / (pick('floor', 'read1').p50Micros + pick('cacheDisk', 'read1').p50Micros),
  },
  {
    key: 'flashReadHitQd32',
    meaning: 'read hit on flash, QD32: IOPS / the smaller of floor and raw cache file',
    bound: 'at least',
    value: 0.6,
    of: (pick) =>
      pick('flash', 'read32').iops / Math.min(pick('floor', 'read32').iops, pick('cacheFile', 'read32').iops),
  },
  {
    key: 'localWriteQd1P50',
    meaning: 'write-back on flash, QD1: p50 / (floor + O_DIRECT|O_DSYNC write of the disk)',
    bound: 'at most',
    value: 1.25,
    of: (pick) =>
      pick('flash', 'write1').p50Micros / (pick('floor', 'write1').p50Micros + pick('cacheDisk', 'write1').p50Micros),
  },
  {
    key: 'localWriteQd32',
    meaning: 'write-back on flash, QD32: IOPS / floor',
    bound: 'at least',
    value: 0.6,
    of: (pick) => pick('flash', 'write32').iops / pick('floor', 'write32').iops,
  },
  {
    key: 'replicatedQd1P50',
    meaning: 'write-back with a copy, QD1: p50 / (local log + TLS round trip)',
    bound: 'at most',
    value: 1.5,
    of: (pick) =>
      pick('replicated', 'write1').p50Micros /
      (pick('flash', 'write1').p50Micros + pick('tlsRoundTrip', 'write1').p50Micros),
  },
  {
    key: 'replicatedQd32',
    meaning: 'write-back with a copy, QD32: IOPS / local log',
    bound: 'at least',
    value: 0.6,
    of: (pick) => pick('replicated', 'write32').iops / pick('flash', 'write32').iops,
  },
  {
    key: 'sequentialRead',
    meaning: 'sequential read of 1 MiB that no cache holds, before a 2 ms disk: bandwidth / that disk',
    bound: 'at least',
    value: 0.8,
    of: (pick) => pick('slowVolume', 'sequentialRead').iops / pick('slowDisk', 'sequentialRead').iops,
  },
  {
    key: 'sequentialWrite',
    meaning: 'sequential write of 1 MiB before a 2 ms disk, write-back on flash: bandwidth / that disk',
    bound: 'at least',
    value: 0.8,
    of: (pick) => pick('slowVolume', 'sequentialWrite').iops / pick('slowDisk', 'sequentialWrite').iops,
  },
]

const nbdkit = 'nbdkit with its cache filter'
const qemuNbd = 'qemu-nbd with its write-back cache'

/** Our NBD export against others: theirs is in the page cache, so ours is in memory where nothing has to be durable. */
export const NBD_RULES: readonly RatioRule[] = [
  {
    key: 'nbdReadVsNbdkit',
    meaning: `NBD, read hit in memory, QD32: IOPS / ${nbdkit}`,
    bound: 'at least',
    value: 1.3,
    of: (pick) => pick('nbdMemory', 'read32').iops / pick('nbdkit', 'read32').iops,
  },
  {
    key: 'nbdReadVsQemu',
    meaning: `the same: IOPS / ${qemuNbd}`,
    bound: 'at least',
    value: 1.3,
    of: (pick) => pick('nbdMemory', 'read32').iops / pick('qemuNbd', 'read32').iops,
  },
  {
    key: 'nbdWriteVsNbdkit',
    meaning: `NBD, write on flash, a flush after each, QD32: IOPS / ${nbdkit}`,
    bound: 'at least',
    value: 1.3,
    of: (pick) => pick('nbdFlash', 'flushedWrite32').iops / pick('nbdkit', 'flushedWrite32').iops,
  },
  {
    key: 'nbdWriteVsQemu',
    meaning: `the same: IOPS / ${qemuNbd}`,
    bound: 'at least',
    value: 1.3,
    of: (pick) => pick('nbdFlash', 'flushedWrite32').iops / pick('qemuNbd', 'flushedWrite32').iops,
  },
  {
    key: 'nbdVolatileWriteVsNbdkit',
    meaning: `NBD, write in memory, no flush, nothing durable, QD32: IOPS / ${nbdkit}`,
    bound: 'none',
    value: 1,
    of: (pick) => pick('nbdMemory', 'write32').iops / pick('nbdkit', 'write32').iops,
  },
  {
    key: 'nbdVolatileWriteVsQemu',
    meaning: `the same: IOPS / ${qemuNbd}`,
    bound: 'none',
    value: 1,
    of: (pick) => pick('nbdMemory', 'write32').iops / pick('qemuNbd', 'write32').iops,
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
  {
    key: 'readyCleanSeconds',
    meaning: 'serve of a clean volume: from the command to ready, s',
    bound: 'at most',
    value: 1,
  },
  {
    key: 'readyDirtySeconds',
    meaning: 'the same after a hard kill with 1 GiB dirty, s',
    bound: 'at most',
    value: 5,
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

export const ALL_TARGETS: readonly Target[] = [...RATIO_RULES, ...NBD_RULES, ...ABSOLUTE_TARGETS, ...PART_TARGETS]

export function isReached({ bound, value }: Pick<Target, 'bound' | 'value'>, figure: number): boolean {
  return bound === 'none' || (bound === 'at least' ? figure >= value : figure <= value)
}
