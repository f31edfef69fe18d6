// `forebay takeover`: `serve` for a volume that a node owns which is dead or cut off. Declared here for --help and the
// reference; bin/forebay starts the holder for it.
import { takeoverSchema } from '../config.ts'
import { defineCommand, EXIT_REFUSED, volumePositional } from './command.ts'
import { serveCommand } from './serve.ts'

export const takeoverCommand = defineCommand({
  name: 'takeover',
  summary: 'Serve a volume whose node is dead or cut off, from its replicas',
  positionals: [volumePositional],
  schema: takeoverSchema,
  description: [
    'Does what `forebay serve` does, for a volume that another node owns and has not closed: claims it in the register, fences the old owner, gathers every acknowledged write from a replica, and serves. Stays in the foreground and prints the same ready line.',
    'A fence is needed because the old owner may still be running: give --fence-command (exit 0: that host is off, 10: it is cut from the backing for reads and writes, anything else: not fenced), or --fenced once you have cut it off yourself. Where the host is only cut off, promises that it may still rely on are waited out first, some seconds.',
    'Everything that can be said wrong is refused before anything is changed. Where no copy of the acknowledged writes can be reached the volume is Blocked: the message says how much is at stake and which hosts hold copies; once one of them is back, run takeover again.',
    'The old owner sees the newer claim and ends by itself when it comes back; what is on its disk is kept until the register shows that nobody needs it.',
  ],
  exits: serveCommand.exits,
  examples: [
    [
      'forebay takeover db1 --fence-command "ipmitool -H $NODE-bmc chassis power off" --backing /dev/san/db1 --cache /var/cache/forebay/db1 --node host-b --replicas 1 --peer host-c=10.0.0.3:7070 --register /srv/forebay --tls-dir /etc/forebay/tls',
      'Switch the old host off, then serve here:',
    ],
    [
      'forebay takeover db1 --fenced --backing /dev/san/db1 --cache /var/cache/forebay/db1 --node host-b --peer host-c=10.0.0.3:7070 --register /srv/forebay --tls-dir /etc/forebay/tls',
      'The old host was cut from the storage by hand:',
    ],
  ],
  run: async ({ terminal }) => {
    terminal.err('forebay: takeover is started by bin/forebay, which keeps the descriptors of the volume\n')
    return Promise.resolve(EXIT_REFUSED)
  },
})
