// A program of the tests that answers each line it is told with one JSON object, `ok` in it. Ends with its input.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface Answer {
  readonly ok: boolean
  readonly error?: string
}

/** Only ends a test that would hang. */
const ANSWER_LIMIT_MS = 120_000

export class AnsweringProcess<A extends Answer> {
  private readonly child: ChildProcess
  private readonly waiting: PromiseWithResolvers<A>[] = []
  private readonly unasked: A[] = []
  private readonly gone: Promise<void>
  private complaint = ''
  private over = false

  constructor(program: string, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(program, words, {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
    })
    const { stdout, stderr, stdin } = this.child
    stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.complaint = (this.complaint + text).slice(-4000)
    })
    stdin?.on('error', () => undefined)
    if (stdout !== null) createInterface({ input: stdout }).on('line', (line) => this.take(JSON.parse(line) as A))
    this.gone = new Promise((resolve) => {
      const end = (): void => {
        this.over = true
        for (const one of this.waiting.splice(0)) one.reject(this.overError())
        resolve()
      }
      this.child.on('close', end)
      this.child.on('error', end)
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get running(): boolean {
    return !this.over
  }

  /** The next line that it says by itself. */
  async next(): Promise<A> {
    const [answer] = this.unasked.splice(0, 1)
    return this.checked(answer ?? (await this.wait('its first line')), 'its first line')
  }

  async tell(line: string): Promise<A> {
    const answer = this.wait(line)
    this.child.stdin?.write(`${line}\n`)
    return this.checked(await answer, line)
  }

  /** Lets it come to its end. */
  async end(): Promise<void> {
    this.child.stdin?.end()
    await this.gone
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.gone
  }

  private checked(answer: A, line: string): A {
    if (!answer.ok) throw new Error(`"${line}" failed: ${answer.error ?? 'no reason given'}`)
    return answer
  }

  private async wait(line: string): Promise<A> {
    if (this.over) throw this.overError()
    const one = Promise.withResolvers<A>()
    this.waiting.push(one)
    const timer = setTimeout(() => one.reject(new Error(`no answer to "${line}": ${this.complaint}`)), ANSWER_LIMIT_MS)
    try {
      return await one.promise
    } finally {
      clearTimeout(timer)
    }
  }

  private take(answer: A): void {
    const one = this.waiting.shift()
    if (one === undefined) this.unasked.push(answer)
    else one.resolve(answer)
  }

  private overError(): Error {
    return new Error(`it has ended: ${this.complaint.trim() || 'it said nothing'}`)
  }
}
