// `forebay inspect`: what a cache or a replica store holds, as text. Never writes.
import { dumpJournal } from '../journal/dump.ts'
import { dumpStore } from '../replica/store/store-dump.ts'
import { notOurs, openPathAtRest } from './cache-at-rest.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, type Positional } from './command.ts'

export const cachePositional: Positional = {
  name: 'CACHE',
  optional: false,
  help: 'path of the cache, as given to `forebay serve --cache`',
  check: (word) => (word === '' ? 'is an empty path' : null),
}

const pathPositional: Positional = {
  ...cachePositional,
  name: 'PATH',
  help: 'path of a cache or a replica store, as given to `forebay serve --cache` or `forebay peer --store`',
}

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'Dump superblocks, batches and records of a cache or a replica store',
  positionals: [pathPositional],
  schema: {},
  description: [
    'Prints one line for each superblock slot and batch, one for each record, and how the log ends, all as key=value. Of a replica store: its superblock, each volume with its log and batches, and how each log ends. Opens the file or device for reading only. The formats are described in docs/formats/journal.md and docs/formats/replica-store.md.',
    'What is in use may be dumped too; what is being written at that moment can look torn.',
  ],
  exits: [
    [EXIT_OK, 'dumped'],
    [EXIT_FAILED, 'it cannot be read, or no superblock in it is valid'],
    [EXIT_REFUSED, 'bad input, or nothing of Forebay'],
  ],
  examples: [
    ["forebay inspect /var/cache/forebay/db1 | grep '^batch' | tail -n 1", 'The newest batch:'],
    ["forebay inspect /var/lib/forebay/store | grep '^log'", 'Which logs a replica store holds, and how each ends:'],
  ],
  async run({ positionals, terminal }) {
    const [given = ''] = positionals
    const { storage, memory, probe, served } = await openPathAtRest(given)
    if (served) terminal.err('forebay inspect: it is in use; its newest part may look torn\n')
    const isCache = probe.kind !== 'empty' && probe.kind !== 'foreign'
    const write = (line: string): void => terminal.out(`${isCache ? withoutSecret(line) : line}\n`)
    if (isCache) return (await dumpJournal({ storage, memory, write })).superblock === null ? EXIT_FAILED : EXIT_OK
    const { kind } = await dumpStore({ storage, memory, write })
    if (kind === 'empty' || kind === 'foreign') throw notOurs('cache and no replica store', given, kind)
    if (kind === 'store') return EXIT_OK
    terminal.err('forebay inspect: a replica store without a valid superblock\n')
    return EXIT_FAILED
  },
})

/** The superblock keeps the register's record, and with it the key of the volume's data between nodes. */
function withoutSecret(line: string): string {
  return line.replace(/("volumeKey":")[0-9a-f]+"/, '$1hidden"')
}
