// `forebay move`: gives an open volume to another node; the node's own `forebay serve` opens it.
import { textSetting } from '../../base/setting-kinds.ts'
import { NODE_NAME_ALLOWED, NODE_NAME_CHARACTERS_MAX } from '../config-replication.ts'
import { NODE_NAME_PATTERN } from '../io/peer-network.ts'
import type { MoveResult } from '../observe/volume-control.ts'
import {
  defineCommand,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_OK,
  EXIT_REFUSED,
  stateDirSchema,
  volumePositional,
} from './command.ts'
import { waitForHolder } from './stop.ts'
import { connectVolume, readStatus, stateDirectoryOf, waitForVolume } from './volume-call.ts'

const schema = {
  to: textSetting({
    default: '',
    maxLength: NODE_NAME_CHARACTERS_MAX,
    pattern: NODE_NAME_PATTERN,
    allowed: NODE_NAME_ALLOWED,
    defaultText: 'none',
    help: 'The node that is to serve the volume, by its name in the register.',
    why: 'What cannot be drained in a moment goes to that node with its replica; no other may open it then.',
  }),
  ...stateDirSchema,
} as const

export const moveCommand = defineCommand({
  name: 'move',
  summary: 'Hand a volume over to another node',
  positionals: [volumePositional],
  schema,
  description: [
    'Runs on the node that serves the volume. Drains for some seconds while the volume goes on, waits until nobody has the device open (and says who has), then takes it off this node. What is still dirty is handed over where the other node holds a replica, so that nobody waits for a slow backing; otherwise it is drained first.',
    'When the command returns, start `forebay serve` on the other node.',
    'Ctrl-C ends only the waiting: the volume goes on moving.',
  ],
  exits: [
    [EXIT_OK, 'the other node may serve the volume'],
    [EXIT_FAILED, 'it could not be moved, and says why; if it is no longer served here, serve it here again'],
    [EXIT_REFUSED, 'bad input, or the volume is not served here; nothing was changed'],
    [EXIT_INTERRUPTED, 'no longer waiting'],
  ],
  examples: [['umount /mnt/db && forebay move db1 --to host-b', 'Before maintenance of this host:']],
  async run({ positionals, settings, terminal }) {
    const [volume = ''] = positionals
    if (settings.to === '') {
      terminal.err(
        'forebay move: --to is missing; name the node that is to serve the volume\nNothing was changed. See: forebay move --help\n',
      )
      return EXIT_REFUSED
    }
    const target = { volume, stateDirectory: stateDirectoryOf(settings.stateDir), terminal }
    const client = await connectVolume(target)
    const { holderPid, dirtyBytes } = await readStatus(client)
    const waited = await waitForVolume(target, client, {
      call: { method: 'move', to: settings.to },
      label: `move ${volume}`,
      before: { step: 'draining', dirtyBytes },
      onInterrupt: `no longer waiting; volume=${volume} goes on moving`,
    })
    client.close()
    if ('status' in waited) return waited.status
    if (holderPid !== null) await waitForHolder(volume, holderPid, terminal.interrupted)
    const { moved } = waited.result as MoveResult
    terminal.out(`${moved} volume=${volume} to=${settings.to}; now serve it there\n`)
    return EXIT_OK
  },
})
