// Writes the made pages of docs/reference: node csi-driver/cli/write-reference.ts
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { loadAll } from './commands.ts'
import { productRoot } from './product.ts'
import { cliPage, settingsPage } from './reference.ts'

const directory = path.join(productRoot(), 'docs', 'reference')
await writeFile(path.join(directory, 'cli.md'), cliPage(await loadAll()))
await writeFile(path.join(directory, 'settings.md'), settingsPage())
