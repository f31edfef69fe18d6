// How much is measured: in full, or with QUICK=1 one short round of everything, to see that it works.
const IS_QUICK = process.env['QUICK'] === '1'

export interface Scale {
  readonly isQuick: boolean
  readonly rounds: number
  /** Of each fio run that a target is made of. */
  readonly seconds: number
  /** Of each fio run that only stands in the table; left out in a quick run. */
  readonly briefSeconds: number
  readonly dataMiB: number
  readonly flashCacheMiB: number
  readonly memoryCacheMiB: number
  readonly replicatedCacheMiB: number
  /** Spent in each part on waiting for others on the machine; longer on one that is never quiet, say. */
  readonly patienceSeconds: number
}

export const SCALE: Scale = {
  isQuick: IS_QUICK,
  rounds: IS_QUICK ? 1 : 3,
  seconds: IS_QUICK ? 0.5 : 3,
  briefSeconds: 2,
  dataMiB: IS_QUICK ? 64 : 256,
  // The memory figures hold for a cache of 4 GiB.
  flashCacheMiB: IS_QUICK ? 512 : 4096,
  memoryCacheMiB: IS_QUICK ? 512 : 2048,
  replicatedCacheMiB: IS_QUICK ? 512 : 2048,
  patienceSeconds: Number(process.env['FOREBAY_BENCH_PATIENCE_SECONDS'] ?? (IS_QUICK ? 0 : 20)),
}

export const MIB = 1024 * 1024
