// Shows a running database second by second: how many commits, as a number and as a bar.
import type { Ms } from '../../../base/units.ts'
import type { Load } from './client.ts'
import type { Stage } from './stage.ts'

const STEP_MS: Ms = 1000
const BAR_COLUMNS = 40

export interface TimelineOptions {
  readonly stage: Stage
  readonly load: Load
  /** Commits a second that make a full bar. */
  readonly fullRate: number
}

export class Timeline {
  private readonly options: TimelineOptions
  private shownUntilMs: Ms
  private seconds = 0

  constructor(options: TimelineOptions) {
    this.options = options
    this.shownUntilMs = performance.now()
  }

  /** Goes on showing until `over` says so, which is asked once a second. */
  async follow(over: (elapsedMs: Ms) => boolean | Promise<boolean>): Promise<void> {
    const { stage, load } = this.options
    const begunMs = performance.now()
    do {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one second after the other
      await stage.pause(Math.max(0, this.shownUntilMs + STEP_MS - performance.now()))
      load.check()
      this.showSecond()
      // oxlint-disable-next-line eslint/no-await-in-loop -- one second after the other
    } while (!(await over(performance.now() - begunMs)))
  }

  private showSecond(): void {
    const { stage, load, fullRate } = this.options
    const nowMs = performance.now()
    const commits = load.countBetween(this.shownUntilMs, nowMs)
    const perSecond = (commits / (nowMs - this.shownUntilMs)) * 1000
    this.shownUntilMs = nowMs
    this.seconds++
    const columns = Math.min(BAR_COLUMNS, Math.round((perSecond / Math.max(1, fullRate)) * BAR_COLUMNS))
    stage.say(
      `   ${this.seconds.toString().padStart(6)} s ${commits.toString().padStart(7)}  ${'█'.repeat(columns)}`.trimEnd(),
    )
  }
}
