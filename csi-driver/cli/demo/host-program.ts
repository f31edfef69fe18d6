// A program that runs on a host of the demo for a while. Its lines are for whoever started it; what it says on standard
// error is kept for the message, should it fail. It is told to end by the end of its input, and dies with its host.
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'

const COMPLAINT_CHARACTERS_MAX = 4000

export class HostProgram {
  /** Standard error, the newest of it. */
  complaint = ''
  /** Null while it runs. */
  status: number | null = null
  readonly ended: Promise<void>
  private readonly child: ChildProcessWithoutNullStreams
  private listener: (line: string) => void = () => undefined

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child
    createInterface({ input: child.stdout }).on('line', (line) => this.listener(line))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaint = (this.complaint + text).slice(-COMPLAINT_CHARACTERS_MAX)
    })
    child.stdin.on('error', () => undefined)
    this.ended = new Promise((resolve) => {
      child.on('error', () => this.finish(255, resolve))
      child.on('close', (code) => this.finish(code ?? 255, resolve))
    })
  }

  onLine(listener: (line: string) => void): void {
    this.listener = listener
  }

  endInput(): void {
    this.child.stdin.end()
  }

  private finish(status: number, resolve: () => void): void {
    this.status = status
    resolve()
  }
}
