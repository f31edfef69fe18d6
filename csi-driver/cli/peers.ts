// `forebay peers`: what the replica stores of this host hold, and giving up what nobody needs any more.
import { CacheError } from '../../base/errors.ts'
import { choiceSetting, listSetting, switchSetting } from '../../base/setting-kinds.ts'
import { UUID_PATTERN } from '../register/record.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, type Positional, stateDirSchema } from './command.ts'
import { discardLogs, type RunningPeer, runningPeers } from './peer-list.ts'
import { findingsTable, NO_PEERS, peersTable } from './peer-tables.ts'
import type { Terminal } from './terminal.ts'
import { stateDirectoryOf } from './volume-call.ts'

const actionPositional: Positional = {
  name: 'discard',
  optional: true,
  help: 'give up the logs that nobody needs any more, instead of listing what is held',
  check: (word) => (word === 'discard' ? null : 'must be discard, or nothing'),
}

export const peersCommand = defineCommand({
  name: 'peers',
  summary: 'Show what the replica stores of this host hold, or give up what is not needed',
  positionals: [actionPositional],
  schema: {
    output: choiceSetting({
      choices: ['table', 'json'],
      default: 'table',
      help: 'Tables for people, or a JSON array with one object per store (with discard: per volume).',
      why: 'Rounded numbers are for people only.',
    }),
    dryRun: switchSetting({ help: 'With discard: only say what would go, and why the rest stays.', why: '' }),
    gone: listSetting({
      placeholder: 'UUID',
      allowed: 'the UUID of a volume, as often as needed',
      read: (text) =>
        UUID_PATTERN.test(text) ? { ok: true, value: text } : { ok: false, problem: 'is not the UUID of a volume' },
      help: 'With discard: this volume exists no more, whatever a register says or not says. Once for each.',
      why: 'A volume whose register is gone is kept until somebody says this. The UUID must be spelled out, since names are used again.',
    }),
    ...stateDirSchema,
  },
  description: [
    'Lists each `forebay peer` of this host and what it holds of each volume: ownership (epoch) and life of the engine (run) that wrote last, the log by the epoch and the beginning of its name, its batches and bytes, what has come and is not yet durable (lag), and the engine that is connected.',
    'discard gives up the copies of volumes that nobody needs any more: the register names a newer log and not this store, or shows the volume closed with everything written back, or --gone names it. Age is no reason, and neither is a full store. A store that was started with --register does this by itself every five minutes; without --register only --gone gives anything up. What an engine is connected to always stays.',
  ],
  exits: [
    [EXIT_OK, 'shown or discarded'],
    [EXIT_FAILED, 'a store could not be asked, or could not give up what may go'],
    [EXIT_REFUSED, 'bad input, or discard where no replica store runs'],
  ],
  examples: [
    ['forebay peers', 'What is here:'],
    ["forebay peers --output json | jq '.[].volumes[] | {volume, epoch}'", 'For a script:'],
    ['forebay peers discard --dry-run', 'What could go, and why the rest stays:'],
  ],
  async run({ positionals, settings, terminal }) {
    const { output, dryRun, gone } = settings
    const discards = positionals[0] === 'discard'
    if (!discards && (dryRun || gone.length > 0)) {
      const message = `${dryRun ? '--dry-run' : '--gone'} is for discard only`
      throw new CacheError('invalid', 'CACHE_PEERS_WORDS', message, { remedy: 'See: forebay peers --help' })
    }
    const peers = await runningPeers(stateDirectoryOf(settings.stateDir))
    try {
      if (discards) return await discard(peers, { dryRun, gone, json: output === 'json' }, terminal)
      const all = peers.map(({ status }) => status)
      terminal.out(output === 'json' ? `${JSON.stringify(all, null, 2)}\n` : peersTable(all))
      return EXIT_OK
    } finally {
      for (const { client } of peers) client.close()
    }
  },
})

async function discard(
  peers: readonly RunningPeer[],
  { dryRun, gone, json }: { dryRun: boolean; gone: readonly string[]; json: boolean },
  terminal: Terminal,
): Promise<number> {
  if (peers.length === 0) {
    throw new CacheError('invalid', 'CACHE_NO_PEER', NO_PEERS.trim(), {
      remedy: 'Another --state-dir than that of `forebay peer` shows others.',
    })
  }
  const found = await Promise.all(
    peers.map(async (peer) => {
      const findings = await discardLogs(peer, { method: 'discard', dryRun, gone })
      return findings.map((finding) => ({ node: peer.status.node, ...finding }))
    }),
  )
  const findings = found.flat()
  terminal.out(json ? `${JSON.stringify(findings, null, 2)}\n` : findingsTable(findings, dryRun))
  return findings.some(({ outcome }) => outcome === 'failed') ? EXIT_FAILED : EXIT_OK
}
