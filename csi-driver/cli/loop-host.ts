// The host for commands that attach or detach loop devices themselves: timers that keep the process alive, since here
// somebody always waits for them, and a log that shows only what went wrong.
import type { Timers } from '../../base/clock.ts'
import type { EventLog } from '../../base/log.ts'
import type { LoopHost } from '../frontend/loop/host.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { systemFiles } from '../io/real/small-files.ts'
import type { Terminal } from './terminal.ts'

export const waitingTimers: Timers = {
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
  soon: (callback) => process.nextTick(callback),
}

export function commandHost(terminal: Terminal): LoopHost {
  return { processes: new RealProcesses(), files: systemFiles, timers: waitingTimers, log: warningLog(terminal) }
}

function warningLog(terminal: Terminal): EventLog {
  const log: EventLog = {
    event(name, fields = {}, level = 'info') {
      if (level === 'warning' || level === 'error') terminal.err(`forebay: ${name} ${JSON.stringify(fields)}\n`)
    },
    child: () => log,
  }
  return log
}
