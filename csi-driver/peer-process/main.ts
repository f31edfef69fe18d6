// The process of `forebay peer`, started by bin/forebay with its words. The composition root of the peer's side: here
// and in peer-process.ts ports meet real adapters.
import { writeFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { CacheError } from '../../base/errors.ts'
import { createWinstonLog } from '../../base/log-winston.ts'
import { errorText, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, refusalText } from '../cli/command.ts'
import { type PeerPlan, readPeer } from '../cli/peer-settings.ts'
import { leaveProcess } from '../io/real/leave-process.ts'
import { DescriptorLineSink } from '../io/real/line-sink.ts'
import { systemClock } from '../io/real/system-clock.ts'
import { PeerProcess } from './peer-process.ts'

const STDERR = 2
/** Other processes go first when memory is short: volumes of other hosts wait for this one. Engines go last (-999). */
const OOM_SCORE_ADJUSTMENT = -900

const sink = new DescriptorLineSink(STDERR)

async function main(words: readonly string[]): Promise<number> {
  const { plan, problems } = await readPeer(words)
  if (plan === null) {
    process.stderr.write(refusalText('peer', problems))
    return EXIT_REFUSED
  }
  const { settings, node } = plan
  const log = createWinstonLog({ format: settings.logFormat, level: 'info', clock: systemClock, sink }).child({ node })
  const peer = new PeerProcess(plan, log)
  const stop = (): void => {
    if (peer.stop()) return
    sink.flushSync()
    leaveProcess(EXIT_OK)
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
  protectFromMemoryPressure()
  try {
    await peer.run((listen) => {
      process.stdout.write(readyLine(plan, listen))
      // For the next start: a process that is killed would leave nothing there.
      flushCompileCache()
    })
    return EXIT_OK
  } catch (error) {
    process.stderr.write(errorText(error))
    return error instanceof CacheError && error.kind === 'invalid' ? EXIT_REFUSED : EXIT_FAILED
  }
}

function readyLine({ settings, node, store }: PeerPlan, listen: string): string {
  if (settings.output === 'json') return `${JSON.stringify({ event: 'ready', node, listen, store: store.path })}\n`
  return `ready node=${node} listen=${listen} store=${store.path}\n`
}

function protectFromMemoryPressure(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', String(OOM_SCORE_ADJUSTMENT))
  } catch {
    // Not root: then it is a process like any other.
  }
}

const status = await main(process.argv.slice(2))
sink.flushSync()
process.exit(status)
