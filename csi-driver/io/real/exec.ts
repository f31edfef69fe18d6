// The operating system's processes behind the Processes port.
// A child may hang in an uninterruptible call on a dead mount: then SIGKILL does not end it. It is abandoned: its pipes
// are closed and it is unreferenced, so that it keeps neither a caller waiting nor the engine alive.
// Each child leads a process group of its own, so that the programs which a script has started are killed with it.
import { type ChildProcess, spawn } from 'node:child_process'
import {
  EXIT_NOT_STARTED,
  OUTPUT_BYTES_MAX,
  type ProcessOptions,
  type ProcessResult,
  type Processes,
} from '../process.ts'

/** Collects one output stream up to OUTPUT_BYTES_MAX. */
class Output {
  readonly #chunks: Buffer[] = []
  #bytes = 0

  /** False when the limit is exceeded; the excess is dropped. */
  add(chunk: Buffer): boolean {
    const room = OUTPUT_BYTES_MAX - this.#bytes
    this.#chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk)
    this.#bytes += Math.min(chunk.length, room)
    return chunk.length <= room
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString('utf8')
  }
}

/** Kills the child's whole process group; one that has ended meanwhile is no error. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // ESRCH: the group is gone.
  }
}

function abandon(child: ChildProcess): void {
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
  child.unref()
}

function start(command: readonly string[], options: ProcessOptions): ChildProcess {
  const [program, ...parameters] = command
  return spawn(program ?? '', parameters, {
    cwd: '/',
    detached: true,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe', ...(options.passFds ?? [])],
  })
}

/** Runs programs of this host. `run` resolves at the latest shortly after `timeoutMs`, whatever the child does. */
export class RealProcesses implements Processes {
  run(command: readonly string[], options: ProcessOptions = {}): Promise<ProcessResult> {
    return new Promise((resolve) => {
      const stdout = new Output()
      const stderr = new Output()
      let timer: NodeJS.Timeout | undefined
      let settled = false
      const finish = (exitCode: number | null): void => {
        if (settled) return
        settled = true
        clearTimeout(timer)
        resolve({ exitCode, stdout: stdout.text(), stderr: stderr.text() })
      }
      const notStarted = (error: unknown): void => {
        stderr.add(Buffer.from(String(error)))
        finish(EXIT_NOT_STARTED)
      }
      let child: ChildProcess
      try {
        child = start(command, options)
      } catch (error) {
        notStarted(error)
        return
      }
      const stop = (): void => {
        killGroup(child)
        abandon(child)
        finish(null)
      }
      child.on('error', notStarted)
      child.on('close', (code) => finish(code))
      child.stdout?.on('data', (chunk: Buffer) => void (stdout.add(chunk) || stop()))
      child.stderr?.on('data', (chunk: Buffer) => void (stderr.add(chunk) || stop()))
      // EPIPE: the child ended without reading its input; its exit code tells the story.
      child.stdin?.on('error', () => undefined)
      child.stdin?.end(options.stdin)
      if (options.timeoutMs !== undefined) timer = setTimeout(stop, options.timeoutMs)
    })
  }
}
