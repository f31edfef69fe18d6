// `forebay cleanup`: the holder's last step, and its first one after a holder was killed: takes down what an engine
// had set up on the host. Called with the volume's lock held.
import path from 'node:path'
import type { Timers } from '../../base/clock.ts'
import type { EventLog } from '../../base/log.ts'
import { cleanUpPredecessor } from '../frontend/loop/cleanup.ts'
import { describeHolder } from '../frontend/loop/holders.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { systemFiles } from '../io/real/small-files.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK } from './command.ts'
import type { Terminal } from './terminal.ts'

export const cleanupCommand = defineCommand({
  name: 'cleanup',
  summary: 'Take down what a killed engine left attached (for the holder)',
  internal: true,
  positionals: [
    {
      name: 'RUN-DIRECTORY',
      optional: false,
      help: 'run directory of the volume',
      check: (word) => (path.isAbsolute(word) ? null : 'is no absolute path'),
    },
  ],
  schema: {},
  description: [
    'Aborts the FUSE connection, restores the settings of the loop device and detaches it, removes mount, stable name and record. Only what carries the unique name of that run is touched.',
  ],
  exits: [
    [EXIT_OK, 'nothing is left, or only devices that somebody still has open: they answer with errors until closed'],
    [EXIT_FAILED, 'something could not be taken down'],
  ],
  examples: [],
  async run({ positionals, terminal }) {
    const [runDirectory = ''] = positionals
    const host = { processes: new RealProcesses(), files: systemFiles, timers: waitingTimers, log: warningLog(terminal) }
    const report = await cleanUpPredecessor(host, runDirectory)
    for (const { device, holders } of report.lingering) {
      const users = holders.map(describeHolder).join(', ') || 'somebody'
      terminal.err(
        `forebay: ${device} of the run before is still in use (${users}); it answers with I/O errors and goes away ` +
          'when it is closed: unmount it, then mount the new device\n',
      )
    }
    return EXIT_OK
  },
})

/** Timers that keep the process alive: here somebody always waits for them. */
const waitingTimers: Timers = {
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
  soon: (callback) => process.nextTick(callback),
}

/** What went wrong, as lines; the usual steps are of no interest to the holder's user. */
function warningLog(terminal: Terminal): EventLog {
  const log: EventLog = {
    event(name, fields = {}, level = 'info') {
      if (level === 'warning' || level === 'error') terminal.err(`forebay: ${name} ${JSON.stringify(fields)}\n`)
    },
    child: () => log,
  }
  return log
}
