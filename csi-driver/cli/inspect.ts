// `forebay inspect`: what a cache holds, as text. Never writes.
import { dumpJournal } from '../journal/dump.ts'
import { openCacheAtRest } from './cache-at-rest.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, type Positional } from './command.ts'

export const cachePositional: Positional = {
  name: 'CACHE',
  optional: false,
  help: 'path of the cache, as given to `forebay serve --cache`',
  check: (word) => (word === '' ? 'is an empty path' : null),
}

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'Dump superblocks, batches and records of a cache',
  positionals: [cachePositional],
  schema: {},
  description: [
    'Prints one line for each superblock slot and batch, one for each record, and how the log ends, all as key=value. Opens the cache for reading only. The format is described in docs/formats/journal.md.',
    'A cache that is served may be dumped too; what is being written at that moment can look torn.',
  ],
  exits: [
    [EXIT_OK, 'dumped'],
    [EXIT_FAILED, 'the cache cannot be read, or no superblock in it is valid'],
    [EXIT_REFUSED, 'bad input, or no Forebay cache'],
  ],
  examples: [["forebay inspect /var/cache/forebay/db1 | grep '^batch' | tail -n 1", 'The newest batch:']],
  async run({ positionals, terminal }) {
    const [given = ''] = positionals
    const { storage, memory, served } = await openCacheAtRest(given)
    if (served) terminal.err('forebay inspect: the cache is being served; its newest part may look torn\n')
    const { superblock } = await dumpJournal({
      storage,
      memory,
      write: (line) => terminal.out(`${withoutSecret(line)}\n`),
    })
    return superblock === null ? EXIT_FAILED : EXIT_OK
  },
})

/** The superblock keeps the register's record, and with it the key of the volume's data between nodes. */
function withoutSecret(line: string): string {
  return line.replace(/("volumeKey":")[0-9a-f]+"/, '$1hidden"')
}
