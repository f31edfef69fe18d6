// Others on the same machine spoil a measurement. Before and after each one nothing of ours runs, so whatever is busy
// then is theirs: a noisy sample is taken again once it is quiet, for as long as patience lasts; then it counts as it
// is, and the results say how noisy it was.
import { readFile } from 'node:fs/promises'

/** Long enough for clock ticks of 10 ms on two cores to mean something. */
const LOOK_MS = 250
/** Busy share of all cores below which a machine counts as quiet: timers, our own idle processes. */
export const QUIET_SHARE_MAX = 0.1
const ATTEMPTS_MAX = 4

export interface CpuTicks {
  readonly busy: number
  readonly total: number
}

/** The first line of /proc/stat: user nice system idle iowait irq softirq steal … (proc_stat(5)). */
export function parseCpuTicks(text: string): CpuTicks {
  const [, ...fields] = (text.split('\n')[0] ?? '').trim().split(/\s+/)
  const ticks = fields.slice(0, 8).map(Number)
  const total = ticks.reduce((sum, value) => sum + value, 0)
  return { total, busy: total - (ticks[3] ?? 0) - (ticks[4] ?? 0) }
}

export function busyShare(before: CpuTicks, after: CpuTicks): number {
  return after.total > before.total ? (after.busy - before.busy) / (after.total - before.total) : 0
}

export type Look = () => Promise<number>

/** Busy share of all cores over the next LOOK_MS. */
export async function lookAround(): Promise<number> {
  const before = parseCpuTicks(await readFile('/proc/stat', 'utf8'))
  await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  return busyShare(before, parseCpuTicks(await readFile('/proc/stat', 'utf8')))
}

export class Patience {
  private readonly budgetMs: number
  private spentMs = 0
  private readonly look: Look
  private readonly nowMs: () => number

  constructor(budgetMs: number, look: Look = lookAround, nowMs: () => number = () => performance.now()) {
    this.budgetMs = budgetMs
    this.look = look
    this.nowMs = nowMs
  }

  /** Measures until it was quiet before and after; returns the least noisy sample and the busy share beside it. */
  async measureInQuiet<T>(measure: () => Promise<T>): Promise<{ readonly sample: T; readonly othersShare: number }> {
    let best: { readonly sample: T; readonly othersShare: number } | null = null
    for (let attempt = 1; ; attempt++) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one attempt after the other
      const before = await this.untilQuiet()
      const begunMs = this.nowMs()
      // oxlint-disable-next-line eslint/no-await-in-loop -- one attempt after the other
      const sample = await measure()
      // oxlint-disable-next-line eslint/no-await-in-loop -- one attempt after the other
      const othersShare = Math.max(before, await this.look())
      if (best === null || othersShare < best.othersShare) best = { sample, othersShare }
      if (best.othersShare <= QUIET_SHARE_MAX || attempt === ATTEMPTS_MAX) return best
      this.spentMs += this.nowMs() - begunMs
      if (this.spentMs >= this.budgetMs) return best
    }
  }

  /** Returns the busy share of the last look. */
  private async untilQuiet(): Promise<number> {
    for (;;) {
      const begunMs = this.nowMs()
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      const share = await this.look()
      if (share <= QUIET_SHARE_MAX || this.spentMs >= this.budgetMs) return share
      this.spentMs += this.nowMs() - begunMs
    }
  }
}
