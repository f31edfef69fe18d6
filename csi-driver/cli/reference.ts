// The pages of docs/reference that are made from the code: the command line and the settings. A test holds the files
// against them; this writes them:
//
//   node csi-driver/cli/reference.ts
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { referenceText } from '../../base/settings-text.ts'
import { serveSchema, VOLUME_NAME_ALLOWED } from '../config.ts'
import type { Command } from './command.ts'
import { loadAll } from './commands.ts'
import { commandReference } from './help-text.ts'
import { productRoot } from './product.ts'

const MADE = '<!-- Made by: node csi-driver/cli/reference.ts. Edit the source, not this page. -->'

export function cliPage(commands: readonly Command[]): string {
  const shown = commands.filter(({ internal }) => !internal)
  const list = shown.map(({ name, summary }) => `- [\`${name}\`](#forebay-${name}): ${summary.toLowerCase()}`)
  return `# Command line

${MADE}

\`forebay COMMAND --help\` prints the same. A \`VOLUME\` is named by ${VOLUME_NAME_ALLOWED}. Unknown commands and flags are refused with what was probably meant. Statuses above 2 are those of \`serve\`; a program that could not be started ends with 127, one that a signal ended with 128 and its number.

${list.join('\n')}

${shown.map(commandReference).join('\n')}`
}

export function settingsPage(): string {
  return `# Settings of \`forebay serve\`

${MADE}

Each is a flag, and a key of the YAML file that \`--config\` names; flags win over the file. Unknown names, wrong units and values out of range are refused all at once, before anything is changed. Sizes are binary (\`512MiB\`, \`4GiB\`), durations need a unit (\`500ms\`, \`30s\`).

${referenceText(serveSchema)}
## How the cache is split

\`--cache-size\` = 32 KiB of superblocks + log + read cache.

- Log: 2.5 × dirty limit + 16 MiB, at least 24 MiB, at most three quarters of the cache. While one generation of up to the whole limit is written to the backing the next one fills, and both stay in the log until the checkpoint.
- Read cache: the rest.
- Dirty limit: a quarter of the cache, at most 1 GiB, unless given; at most 40 % of the log.

| cache size | dirty limit | log | read cache |
| --- | --- | --- | --- |
| 64MiB | 16MiB | 48MiB | 16MiB |
| 4GiB | 1GiB | 2.5GiB | 1.5GiB |
| 16GiB | 1GiB | 2.5GiB | 13.5GiB |

A write of 512 bytes that comes alone takes 8 KiB of the log, so very small writes fill the log before they reach the dirty limit; writers are slowed by the fuller of the two.
`
}

if (import.meta.main) {
  const directory = path.join(productRoot(), 'docs', 'reference')
  await writeFile(path.join(directory, 'cli.md'), cliPage(await loadAll()))
  await writeFile(path.join(directory, 'settings.md'), settingsPage())
}
