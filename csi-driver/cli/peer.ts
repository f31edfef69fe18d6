// `forebay peer`: declared here for --help and the reference; bin/forebay starts csi-driver/peer-process for it.
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED } from './command.ts'
import { peerSchema } from './peer-settings.ts'

export const peerCommand = defineCommand({
  name: 'peer',
  summary: 'Keep copies of other hosts’ logs, in the foreground',
  positionals: [],
  schema: peerSchema,
  description: [
    'Runs the replica store of this host: engines of other hosts (and of this one after a move) connect to it and have each write there before they acknowledge it. One process serves all volumes. Prints one line, "ready node=NAME listen=ADDR:PORT store=PATH", when engines may connect (with --output json one JSON object). Events go to standard error.',
    'What it has answered is durable (with --resource memory: as durable as that memory), and is there again after a restart. Nothing is dropped to make room: a full store takes no new volumes. Logs are given up only when the register says that nobody needs them, or when you name them with `forebay peers discard`.',
    'The certificate in --tls-dir must name this host; whoever connects must have one of the same CA. --state-dir must be that of the `forebay serve` of this host: before a copy here is handed to another owner, the engine that still serves the volume here is asked to end.',
    'SIGTERM or Ctrl-C: tells the engines, closes the store, ends with 0. Volumes go on without it, as far as their other copies allow.',
  ],
  exits: [
    [EXIT_OK, 'stopped'],
    [EXIT_FAILED, 'failed; what was answered is in the store'],
    [EXIT_REFUSED, 'refused: bad input, certificates, or something is in use; nothing was changed'],
  ],
  examples: [
    [
      'forebay peer --store /var/cache/forebay/store --size 20GiB --listen 10.0.0.2:7070 --node host-b --tls-dir /etc/forebay/tls --register /srv/forebay-register',
      'Keep copies on a local SSD:',
    ],
  ],
  run: async ({ terminal }) => {
    terminal.err('forebay: peer is started by bin/forebay\n')
    return Promise.resolve(EXIT_REFUSED)
  },
})
