// The engine process of one volume, started by the holder with the words of `forebay serve`. The composition root: here
// and in engine-process/ ports meet real adapters.
import { flushCompileCache } from 'node:module'
import { CacheError } from '../base/errors.ts'
import { createWinstonLog } from '../base/log-winston.ts'
import { refusalText } from './cli/command.ts'
import { keptSettings } from './cli/kept-settings.ts'
import { readServe, serveCommandOf } from './cli/serve-settings.ts'
import { ServedVolume } from './engine-process/served-volume.ts'
import { EXIT_DIRTY, EXIT_FAILURE, EXIT_NO_RESTART, EXIT_REFUSED } from './holder/exit-status.ts'
import { leaveProcess } from './io/real/leave-process.ts'
import { DescriptorLineSink } from './io/real/line-sink.ts'
import { systemFiles } from './io/real/small-files.ts'
import { systemClock } from './io/real/system-clock.ts'

const STDERR = 2
const KEEP_ALIVE_MS = 60_000

const sink = new DescriptorLineSink(STDERR)

async function main(words: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const command = serveCommandOf(environment)
  const restart = environment['FOREBAY_START'] === 'restart'
  const kept = restart ? await keptSettings(systemFiles, environment['FOREBAY_RUN_DIR'] ?? '') : null
  const { plan, problems } = await readServe(words, command, kept)
  if (plan === null) {
    process.stderr.write(refusalText(command, problems))
    return EXIT_REFUSED
  }
  const { settings, volume } = plan
  const log = createWinstonLog({ format: settings.logFormat, level: 'info', clock: systemClock, sink }).child({
    volume,
  })
  const served = new ServedVolume(
    plan,
    {
      start: restart ? 'restart' : 'first',
      holderPid: environment['FOREBAY_HOLDER_PID'] === undefined ? null : Number(environment['FOREBAY_HOLDER_PID']),
      maskResend: environment['FOREBAY_MASK_RESEND'] === '1',
    },
    log,
  )
  process.on('SIGTERM', () => served.signal())
  process.on('SIGINT', () => served.signal())
  try {
    return await served.run((device) => {
      if (!restart) process.stdout.write(readyLine(settings.output, volume, device))
      // For the next start: an engine that is killed would leave nothing there.
      flushCompileCache()
      // Signals that the holder got while no engine was there to take them.
      for (let i = 0; i < Number(environment['FOREBAY_STOPS'] ?? 0); i += 1) served.signal()
    })
  } catch (error) {
    return explain(error)
  }
}

function readyLine(output: 'text' | 'json', volume: string, device: string): string {
  if (output === 'json') return `${JSON.stringify({ event: 'ready', volume, device })}\n`
  return `ready volume=${volume} device=${device}\n`
}

function explain(error: unknown): number {
  if (!(error instanceof CacheError)) {
    process.stderr.write(`forebay: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    return EXIT_FAILURE
  }
  const remedy = error.remedy === undefined ? '' : `\n  ${error.remedy}`
  process.stderr.write(`forebay: ${error.message} (${error.code})${remedy}\n`)
  if (error.kind === 'invalid' || error.kind === 'corrupt') return EXIT_REFUSED
  return error.kind === 'fenced' ? EXIT_NO_RESTART : EXIT_FAILURE
}

// Timers keep no process alive, and before the device is there nothing else does: not while a register is tried again.
setInterval(() => undefined, KEEP_ALIVE_MS)
const status = await main(process.argv.slice(2), process.env)
sink.flushSync()
// Not process.exit after a failure or a stop at once: it waits for readers of /dev/fuse that nobody has woken.
if (status === EXIT_FAILURE || status === EXIT_REFUSED || status === EXIT_DIRTY) leaveProcess(status)
process.exit(status)
