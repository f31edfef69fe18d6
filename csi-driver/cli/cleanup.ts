// `forebay cleanup`: the holder's last step, and its first one after a holder was killed: takes down what an engine
// had set up on the host. Called with the volume's lock held.
import path from 'node:path'
import { cleanUpPredecessor } from '../frontend/loop/cleanup.ts'
import { describeHolder } from '../frontend/loop/holders.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK } from './command.ts'
import { commandHost } from './loop-host.ts'

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
    const report = await cleanUpPredecessor(commandHost(terminal), runDirectory)
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
