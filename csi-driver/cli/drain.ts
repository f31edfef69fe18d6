// `forebay drain`: waits until the backing has everything.
import {
  defineCommand,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_REFUSED,
  stateDirSchema,
  volumePositional,
} from './command.ts'
import { connectVolume, stateDirectoryOf, waitForVolume } from './volume-call.ts'

export const drainCommand = defineCommand({
  name: 'drain',
  summary: 'Write everything dirty to the backing, and wait until nothing is',
  positionals: [volumePositional],
  schema: stateDirSchema,
  description: [
    'Destages at full rate and returns at a moment at which nothing is dirty, with the backing flushed. The policy stays what it is: under load a write-back volume is dirty again right after. To keep it clean, use `forebay policy VOLUME write-through`.',
    'Progress goes to standard error, on a terminal as one line with an estimate. Ctrl-C ends the waiting; the volume goes back to its usual rate.',
  ],
  exits: [
    [EXIT_OK, 'nothing was dirty'],
    [EXIT_FAILED, 'the volume could not do it, and says why'],
    [EXIT_REFUSED, 'bad input, or the volume is not served here'],
    [EXIT_INTERRUPTED, 'no longer waiting'],
  ],
  examples: [['forebay drain db1', 'Before a snapshot of the backing on a storage array:']],
  async run({ positionals, settings, terminal }) {
    const [volume = ''] = positionals
    const target = { volume, stateDirectory: stateDirectoryOf(settings.stateDir), terminal }
    const client = await connectVolume(target)
    const waited = await waitForVolume(target, client, {
      call: { method: 'drain' },
      label: `drain ${volume}`,
      onInterrupt: `no longer draining volume=${volume}; it is served on as before`,
    })
    client.close()
    if ('status' in waited) return waited.status
    terminal.out(`drained volume=${volume}\n`)
    return EXIT_OK
  },
})
