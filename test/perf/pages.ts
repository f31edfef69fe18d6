// Where figures stand in the documentation: between `<!-- bench SECTION -->` and `<!-- bench end -->`. `make bench-table`
// writes them anew from results.json, without measuring anything, and leaves every other line as it is.
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { productRoot } from '../../csi-driver/cli/product.ts'
import { SECTIONS, type Section, sectionOf } from './markdown.ts'
import type { Results } from './report.ts'
import { WORKLOADS } from './workloads.ts'

const PAGES = ['README.md', 'docs/performance.md']
const END = '<!-- bench end -->'
const MARKED = /<!-- bench (?!end )(\S+) -->\n(?:(?!<!-- bench )[\s\S])*<!-- bench end -->/g

function isSection(word: string): word is Section {
  return SECTIONS.some((section) => section === word)
}

/** Throws when it has no place for figures, one for what there is none of, or one that has no end. */
export function pageWith(page: string, results: Results): string {
  const begun = page.match(/<!-- bench (?!end )/g) ?? []
  const ended = page.match(MARKED) ?? []
  if (ended.length === 0) throw new Error('has no <!-- bench SECTION --> with an end')
  if (ended.length !== begun.length) throw new Error(`has a <!-- bench SECTION --> without ${END}`)
  return page.replaceAll(MARKED, (_, word: string) => {
    if (!isSection(word)) throw new Error(`asks for ${word}; there are ${SECTIONS.join(', ')}`)
    return `<!-- bench ${word} -->\n\n${sectionOf(word, results)}\n\n${END}`
  })
}

/** Throws when it was written by a bench that had other rows. */
export function parseResults(text: string): Results {
  const results = JSON.parse(text) as Partial<Results>
  const isWhole =
    results.machine !== undefined &&
    results.ratios !== undefined &&
    results.rows?.every(({ name, megabytesPerSecond }) => name in WORKLOADS && megabytesPerSecond !== undefined)
  if (isWhole !== true) throw new Error('the results are those of another version of the bench: run `make bench` first')
  return results as Results
}

async function writePages(): Promise<void> {
  const file = fileURLToPath(new URL('results.json', import.meta.url))
  const results = parseResults(await readFile(file, 'utf8'))
  const pages = PAGES.map((name) => ({ name, location: path.join(productRoot(), name) }))
  const written = await Promise.all(
    pages.map(async ({ name, location }) => {
      try {
        return { location, page: pageWith(await readFile(location, 'utf8'), results) }
      } catch (error) {
        throw new Error(`${name} ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      }
    }),
  )
  await Promise.all(written.map(({ location, page }) => writeFile(location, page)))
}

if (import.meta.main) {
  try {
    await writePages()
  } catch (error) {
    process.stderr.write(`bench-table: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}
