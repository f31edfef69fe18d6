// `forebay policy`: switches a running volume between write-back and write-through.
import type { PolicyName } from '../observe/status.ts'
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

const isPolicy = (word: string): word is PolicyName => word === 'write-back' || word === 'write-through'

export const policyCommand = defineCommand({
  name: 'policy',
  summary: 'Switch a running volume between write-back and write-through',
  positionals: [
    volumePositional,
    {
      name: 'POLICY',
      optional: false,
      help: 'write-back or write-through',
      check: (word) => (isPolicy(word) ? null : 'is neither write-back nor write-through'),
    },
  ],
  schema: stateDirSchema,
  description: [
    'Works online, under load, and returns when the policy is in force. Write-through is in force when nothing is dirty and every later write is acknowledged by the backing. The policy lasts until the next `forebay serve`.',
    'Ctrl-C ends only the waiting; what is asked for stays asked for.',
  ],
  exits: [
    [EXIT_OK, 'the policy is in force'],
    [EXIT_FAILED, 'the volume could not do it, and says why'],
    [EXIT_REFUSED, 'bad input, or the volume is not served here'],
    [EXIT_INTERRUPTED, 'no longer waiting'],
  ],
  examples: [['forebay policy db1 write-through', 'Before a backup that reads the backing itself:']],
  async run({ positionals, settings, terminal }) {
    const [volume = '', policy = ''] = positionals
    if (!isPolicy(policy)) return EXIT_REFUSED
    const target = { volume, stateDirectory: stateDirectoryOf(settings.stateDir), terminal }
    const client = await connectVolume(target)
    const waited = await waitForVolume(target, client, {
      call: { method: 'policy', policy },
      label: `policy ${volume} ${policy}`,
      onInterrupt: `no longer waiting; volume=${volume} goes on to ${policy}`,
    })
    client.close()
    if ('status' in waited) return waited.status
    terminal.out(`policy volume=${volume} policy=${policy}\n`)
    return EXIT_OK
  },
})
