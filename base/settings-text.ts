// The settings schema as people read it: the flag list of `--help`, the reference page, and the problems found.
import type { SettingProblem, SettingsSchema } from './settings.ts'
import { flagName } from './settings.ts'

const FLAG_COLUMN_MAX = 34
const TEXT_WIDTH = 78

/** The flags of a schema for `--help`, one block each, wrapped at 78 columns. */
export function helpText(schema: SettingsSchema): string {
  const heads = Object.entries(schema).map(([key, setting]) => ({
    head: `  --${flagName(key)}${setting.placeholder === '' ? '' : ` ${setting.placeholder}`}`,
    setting,
  }))
  const column = Math.min(FLAG_COLUMN_MAX, Math.max(0, ...heads.map(({ head }) => head.length)) + 2)
  let text = ''
  for (const { head, setting } of heads) {
    const fallback =
      setting.fallbackText === '' || setting.placeholder === '' ? '' : ` Default: ${setting.fallbackText}.`
    const lines = wrap(`${setting.help}${setting.required ? ' Required.' : fallback}`, TEXT_WIDTH - column)
    const indent = ' '.repeat(column)
    const fits = head.length + 2 <= column
    text += fits ? `${head.padEnd(column)}${lines[0] ?? ''}\n` : `${head}\n${indent}${lines[0] ?? ''}\n`
    for (const line of lines.slice(1)) text += `${indent}${line}\n`
  }
  return text
}

/** The reference table in Markdown: flag, key, allowed, default, meaning and why. */
export function referenceText(schema: SettingsSchema): string {
  let text = '| flag | key | allowed | default | meaning |\n| --- | --- | --- | --- | --- |\n'
  for (const [key, setting] of Object.entries(schema)) {
    const cells = [
      `\`--${flagName(key)}\``,
      `\`${key}\``,
      setting.allowed,
      setting.required ? 'required' : setting.fallbackText,
      `${setting.help} ${setting.why}`.trim(),
    ]
    text += `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |\n`
  }
  return text
}

/** All problems, one a line. */
export function problemsText(problems: readonly SettingProblem[]): string {
  return problems.map(({ where, problem }) => `${where} ${problem}\n`).join('')
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  if (line !== '') lines.push(line)
  return lines
}
