// Progress of a command that waits: one line rewritten in place on a terminal, otherwise a line now and then.
import type { Progress } from '../observe/volume-control.ts'
import { printDeviceUser } from '../observe/status.ts'
import { DrainEstimate } from './drain-estimate.ts'
import { bytesText, secondsText } from './quantity-text.ts'
import type { Terminal } from './terminal.ts'

/** How often a line is printed where it cannot be rewritten. */
const LINE_INTERVAL_MS = 5_000
const ERASE_LINE = '\r\u001b[K'

export class ProgressLine {
  private readonly terminal: Terminal
  private readonly label: string
  private readonly estimate = new DrainEstimate()
  private lastText = ''
  private lastAtMs = Number.NEGATIVE_INFINITY
  private shown = false

  constructor(terminal: Terminal, label: string) {
    this.terminal = terminal
    this.label = label
  }

  update(progress: Progress, atMs: number): void {
    this.estimate.observe(progress.dirtyBytes, atMs)
    const text = `${this.label}: ${this.describe(progress)}`
    if (this.terminal.interactive) {
      this.terminal.out(`${ERASE_LINE}${text}`)
      this.shown = true
      return
    }
    // A new step or another user is said at once; numbers alone can wait.
    const kind = `${progress.step} ${usersText(progress)}`
    if (kind === this.lastText && atMs - this.lastAtMs < LINE_INTERVAL_MS) return
    this.lastText = kind
    this.lastAtMs = atMs
    this.terminal.err(`${text}\n`)
  }

  /** Leaves a clean line for whatever is printed next. */
  end(): void {
    if (this.shown) this.terminal.out(ERASE_LINE)
    this.shown = false
  }

  private describe(progress: Progress): string {
    const users = usersText(progress)
    if (users !== '') return `${progress.step}, open by ${users}`
    const rate = this.estimate.rate
    const speed = rate > 0 ? ` at ${bytesText(rate)}/s` : ''
    const left = this.estimate.secondsLeft
    const time = left === null ? '' : `, about ${secondsText(left)} left`
    return `${progress.step}, ${bytesText(progress.dirtyBytes)} dirty${speed}${time}`
  }
}

function usersText(progress: Progress): string {
  return (progress.openBy ?? []).map(printDeviceUser).join(', ')
}
