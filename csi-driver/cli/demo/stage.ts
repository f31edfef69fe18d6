// What the demo needs of the host, and the way back: whatever is set up is registered with how to undo it, and undone
// in reverse order at the end, after a failure and after Ctrl-C alike.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { CacheError } from '../../../base/errors.ts'
import type { Terminal } from '../terminal.ts'

const OUTPUT_BYTES_MAX = 4 * 1024 * 1024
const run = promisify(execFile)

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end; never throws for its exit status. Out of reach of the terminal's Ctrl-C. */
export async function tryCommand(program: string, ...args: readonly string[]): Promise<Ran> {
  try {
    const { stdout, stderr } = await run('setsid', ['-w', program, ...args], { maxBuffer: OUTPUT_BYTES_MAX })
    return { status: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number | string; stdout?: string; stderr?: string }
    return { status: typeof code === 'number' ? code : 255, stdout, stderr }
  }
}

/** Runs a program that must succeed. Throws CacheError with what it said. */
export async function command(program: string, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await tryCommand(program, ...args)
  if (status === 0) return stdout
  const said = (stderr.trim() || stdout.trim()).slice(0, 2000)
  throw new CacheError('retry', 'CACHE_DEMO_COMMAND', `${program} ended with ${status}: ${said}`, {
    remedy: `Run "${program} ${args.join(' ')}" by hand to see why.`,
  })
}

/** Thrown after Ctrl-C, to get to the way back. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

export class Stage {
  readonly terminal: Terminal
  private readonly undoings: { readonly what: string; readonly undo: () => Promise<unknown> }[] = []

  constructor(terminal: Terminal) {
    this.terminal = terminal
    terminal.holdInterrupts()
    // Whoever is impatient must not cut the way back short.
    process.on('SIGINT', () => undefined)
  }

  /** One line for the person in front. Throws Interrupted after Ctrl-C. */
  say(text: string): void {
    this.checkInterrupt()
    this.terminal.out(`${text}\n`)
  }

  checkInterrupt(): void {
    if (this.terminal.interrupted.aborted) throw new Interrupted('interrupted')
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

/** A Node program of ours that prints one JSON object per line. Ends with the demo. */
export function startProgram(stage: Stage, file: string, args: readonly string[]): JsonProgram {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  const program = new JsonProgram(child)
  stage.later(file, () => program.kill())
  return program
}

export class JsonProgram {
  /** The newest line. */
  latest: unknown = null
  readonly ended: Promise<number | null>
  private readonly child: ChildProcess

  constructor(child: ChildProcess) {
    this.child = child
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        this.latest = JSON.parse(line)
      })
    }
    this.ended = new Promise((resolve) => child.on('close', (status) => resolve(status)))
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}
