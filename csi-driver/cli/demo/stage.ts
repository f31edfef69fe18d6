// What the demo needs of the machine, and the way back: whatever is set up is registered with how to undo it, and
// undone in reverse order at the end, after a failure and after Ctrl-C alike. Every wait has a limit and ends with
// Ctrl-C.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { CacheError } from '../../../base/errors.ts'
import type { Ms } from '../../../base/units.ts'
import { pause, type Terminal } from '../terminal.ts'

const OUTPUT_CHARACTERS_MAX = 4 * 1024 * 1024
const QUOTE_CHARACTERS_MAX = 2000
/** A program that needs longer hangs. */
const COMMAND_LIMIT_MS: Ms = 120_000
const CHECK_MS: Ms = 20
/** Of each program, when the demo fails. */
const LOG_LINES_SHOWN = 12
/** Width of what is printed. */
const COLUMNS = 100

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; never throws for its exit status. Out of reach of the terminal's Ctrl-C. */
export async function tryCommand(program: string, ...args: readonly string[]): Promise<Ran> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, timeout: COMMAND_LIMIT_MS })
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] = (said[stream] + text).slice(-OUTPUT_CHARACTERS_MAX)
    })
  }
  try {
    const [status] = (await once(child, 'close')) as [number | null]
    return { status: status ?? 255, ...said }
  } catch (error) {
    return { status: 255, stdout: '', stderr: String(error) }
  }
}

/** Runs a program that must succeed. Throws CacheError with what it said. */
export async function command(program: string, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await tryCommand(program, ...args)
  if (status === 0) return stdout
  const said = (stderr.trim() || stdout.trim()).slice(0, QUOTE_CHARACTERS_MAX)
  throw demoError(`${[program, ...args].join(' ')} ended with ${status}: ${said}`)
}

export function demoError(message: string, remedy?: string): CacheError {
  return new CacheError('retry', 'CACHE_DEMO', message, remedy === undefined ? {} : { remedy })
}

/** Thrown after Ctrl-C, to get to the way back. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** Until a child has printed something; it stays then. Throws CacheError with what it said when it ends before. */
export async function untilSaid(child: ChildProcess, what: string): Promise<void> {
  let complaint = ''
  child.stdin?.on('error', () => undefined)
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text))
  const up = await Promise.race([
    once(child.stdout ?? child, 'data').then(() => true),
    once(child, 'close').then(
      () => false,
      () => false,
    ),
  ])
  if (!up)
    throw demoError(`${what} could not be made: ${complaint.trim()}`, 'Are the modules there? modprobe bridge veth')
}

export class Stage {
  private readonly terminal: Terminal
  private readonly logs: { readonly of: string; readonly read: () => string }[] = []
  private readonly undoings: { readonly what: string; readonly undo: () => Promise<unknown> }[] = []

  constructor(terminal: Terminal) {
    this.terminal = terminal
    terminal.holdInterrupts()
    // Whoever is impatient must not cut the way back short.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
  }

  /** One line for the person in front. Throws Interrupted after Ctrl-C. */
  say(text = ''): void {
    this.checkInterrupt()
    this.terminal.out(`${text}\n`)
  }

  /** A command as it is run on a host, over several lines where it is long. */
  prompt(host: string, words: readonly string[]): void {
    const lines = ['']
    for (const group of groupFlags(words)) {
      const last = lines.at(-1) ?? ''
      if (last === '' || last.length + group.length + 1 <= COLUMNS - host.length - 8) {
        lines[lines.length - 1] = `${last} ${group}`
      } else lines.push(`     ${group}`)
    }
    this.say(`   ${host}#${lines.join(' \\\n   ')}`)
  }

  checkInterrupt(): void {
    if (this.terminal.interrupted.aborted) throw new Interrupted('interrupted')
  }

  async pause(ms: Ms): Promise<void> {
    await pause(ms, this.terminal.interrupted)
    this.checkInterrupt()
  }

  /** Throws CacheError when `condition` has not come true within the limit; what it throws passes. */
  async until(what: string, limitMs: Ms, condition: () => boolean | Promise<boolean>): Promise<void> {
    const begunMs = performance.now()
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    while (!(await condition())) {
      if (performance.now() - begunMs > limitMs) throw demoError(`${what}: not within ${limitMs / 1000} s`)
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      await this.pause(CHECK_MS)
    }
  }

  /** What a program says is shown when the demo fails. */
  watch(of: string, read: () => string): void {
    this.logs.push({ of, read })
  }

  showLogs(): void {
    for (const { of, read } of this.logs) {
      const lines = read().trim().split('\n').slice(-LOG_LINES_SHOWN)
      this.terminal.err(`--- ${of}\n${lines.join('\n')}\n`)
    }
  }

  later(what: string, undo: () => Promise<unknown>): void {
    this.undoings.push({ what, undo })
  }

  /** Undoes everything. Says what could not be undone and returns false then. */
  async takeDown(): Promise<boolean> {
    let clean = true
    for (const { what, undo } of this.undoings.splice(0).toReversed()) {
      try {
        // oxlint-disable-next-line eslint/no-await-in-loop -- in reverse order
        await undo()
      } catch (error) {
        clean = false
        this.terminal.err(`forebay demo: could not take down ${what}: ${String(error)}\n`)
      }
    }
    return clean
  }
}

/** A flag stays with its value; words that a shell would split are quoted. */
function groupFlags(words: readonly string[]): string[] {
  const groups: string[] = []
  for (const word of words) {
    const quoted = /[^\w=.,:/-]/.test(word) ? `'${word}'` : word
    const last = groups.at(-1)
    if (last?.startsWith('--') === true && !last.includes(' ') && !word.startsWith('--')) {
      groups[groups.length - 1] = `${last} ${quoted}`
    } else groups.push(quoted)
  }
  return groups
}
