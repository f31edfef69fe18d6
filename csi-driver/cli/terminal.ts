// What a command sees of the person in front of it, as a port: two streams, and whether they want it to end.

export interface Terminal {
  /** Results: what a script reads. */
  out(text: string): void
  /** Everything else. */
  err(text: string): void
  /** Standard output is a terminal: a line may be rewritten in place. */
  readonly interactive: boolean
  /** Aborted by Ctrl-C or SIGTERM. Only long-running commands look at it; see `holdInterrupts`. */
  readonly interrupted: AbortSignal
  /** From now on an interrupt aborts `interrupted` instead of ending the process. */
  holdInterrupts(): void
}

export function processTerminal(): Terminal {
  const abort = new AbortController()
  let interruptsAreHeld = false
  // A reader that has gone (`forebay status | head -1`) is no error of the command. One that has something to take down
  // is interrupted by it: Ctrl-C of `make demo | tee` ends the reader first.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      if (!interruptsAreHeld) process.exit()
      abort.abort()
    })
  }
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    interactive: process.stdout.isTTY,
    interrupted: abort.signal,
    holdInterrupts: () => {
      interruptsAreHeld = true
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => abort.abort())
    },
  }
}

/** Resolves after `ms`, or at once when `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, signal.aborted ? 0 : ms)
    signal.addEventListener('abort', end)
  })
}
