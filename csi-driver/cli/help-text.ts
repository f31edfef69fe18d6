// --help of the program and of each command, in the order of a manual page; and the same as Markdown for the reference.
import { flagName } from '../../base/settings.ts'
import { helpText } from '../../base/settings-text.ts'
import type { Command } from './command.ts'

const WIDTH = 80

/** Breaks a paragraph at WIDTH columns, each line led by `indent`. */
export function wrapParagraph(text: string, indent: string): string {
  let lines = ''
  let line = indent
  for (const word of text.split(' ')) {
    if (line.length + word.length + 1 > WIDTH && line !== indent) {
      lines += `${line}\n`
      line = indent
    }
    line += line === indent ? word : ` ${word}`
  }
  return `${lines}${line}\n`
}

export function synopsis(command: Command): string {
  const words = command.positionals.map(({ name, optional }) => (optional ? `[${name}]` : name))
  const required = Object.entries(command.schema)
    .filter(([, setting]) => setting.required)
    .map(([key, setting]) => `--${flagName(key)} ${setting.placeholder}`)
  const optional = Object.keys(command.schema).length > required.length ? ['[OPTION…]'] : []
  return ['forebay', command.name, ...words, ...required, ...optional].join(' ')
}

export function commandHelp(command: Command): string {
  let text = `forebay ${command.name} - ${command.summary}\n\nUsage\n  ${synopsis(command)}\n\n`
  for (const paragraph of command.description) text += `${wrapParagraph(paragraph, '  ')}\n`
  if (command.positionals.length > 0) {
    text += 'Arguments\n'
    for (const { name, help } of command.positionals) text += wrapParagraph(`${name}  ${help}`, '  ')
    text += '\n'
  }
  if (Object.keys(command.schema).length > 0) text += `Options\n${helpText(command.schema)}\n`
  text += 'Exit status\n'
  for (const [status, meaning] of command.exits) text += `  ${String(status).padEnd(5)}${meaning}\n`
  if (command.examples.length > 0) text += '\nExamples\n'
  for (const [example, meaning] of command.examples) text += `  ${meaning}\n    ${example}\n`
  return text
}

export function programHelp(commands: readonly Command[]): string {
  const shown = commands.filter(({ internal }) => !internal)
  const column = Math.max(...shown.map(({ name }) => name.length)) + 2
  let text = 'forebay - a write-back cache for block devices that never loses an acknowledged write\n\n'
  text += 'Usage\n  forebay COMMAND [ARGUMENT…] [OPTION…]\n\nCommands\n'
  for (const { name, summary } of shown) text += `  ${name.padEnd(column)}${summary}\n`
  return `${text}\n  forebay COMMAND --help   everything about one command\n  forebay --version        the version\n`
}

/** One command for docs/reference/cli.md. */
export function commandReference(command: Command): string {
  let text = `## forebay ${command.name}\n\n${command.summary}.\n\n    ${synopsis(command)}\n\n`
  for (const paragraph of command.description) text += `${paragraph}\n\n`
  for (const { name, help } of command.positionals) text += `- \`${name}\`: ${help}\n`
  if (command.positionals.length > 0) text += '\n'
  if (command.name === 'serve') text += 'Options: see [settings](settings.md).\n\n'
  else if (Object.keys(command.schema).length > 0) text += `\`\`\`text\n${helpText(command.schema)}\`\`\`\n\n`
  text += '| exit status | meaning |\n| --- | --- |\n'
  for (const [status, meaning] of command.exits) text += `| ${status} | ${meaning} |\n`
  for (const [example, meaning] of command.examples) text += `\n${meaning}:\n\n    ${example}\n`
  return text
}
