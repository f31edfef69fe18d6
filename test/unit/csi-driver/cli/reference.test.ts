// Proves that the made pages of docs/reference are those that the code makes now, and that the sizes in the table of
// the settings page are what the rule gives.
import { readFileSync } from 'node:fs'
import { printSize, parseSize } from '../../../../base/setting-kinds.ts'
import { loadAll } from '../../../../csi-driver/cli/commands.ts'
import { cliPage, settingsPage } from '../../../../csi-driver/cli/reference.ts'
import { splitCache } from '../../../../csi-driver/config.ts'

const REMEDY = 'run: node csi-driver/cli/reference.ts'

test('docs/reference/cli.md is current', async () => {
  const current = readFileSync('docs/reference/cli.md', 'utf8') === cliPage(await loadAll())
  expect(current ? '' : REMEDY).toBe('')
})

test('docs/reference/settings.md is current', () => {
  const current = readFileSync('docs/reference/settings.md', 'utf8') === settingsPage()
  expect(current ? '' : REMEDY).toBe('')
})

test('the table of splits', () => {
  const rows = [...settingsPage().matchAll(/^\| (\d+[MG]iB) \| (\S+) \| (\S+) \| (\S+) \|$/gm)]
  expect(rows).toHaveLength(3)
  const bytes = (text: string): number => {
    const parsed = parseSize(text)
    return parsed.ok ? parsed.value : Number.NaN
  }
  for (const [, size = '', dirty = '', log = '', reads = ''] of rows) {
    const split = splitCache(bytes(size), null)
    if ('where' in split) throw new Error(split.problem)
    expect(printSize(split.dirtyLimitBytes)).toBe(dirty)
    // Rounded to one per cent.
    expect(Math.abs(split.logBytes / bytes(log) - 1)).toBeLessThan(0.01)
    expect(Math.abs(split.readCacheBytes / bytes(reads) - 1)).toBeLessThan(0.02)
  }
})
