// `forebay COMMAND …`: finds the command, or says what was probably meant. Statuses: 0 done, 1 failed, 2 refused with
// nothing changed; each command's help lists its own.
import { nearestName } from '../../base/settings.ts'
import { CacheError } from '../../base/errors.ts'
import { errorText, EXIT_FAILED, EXIT_OK, EXIT_REFUSED } from './command.ts'
import { COMMANDS, loadAll } from './commands.ts'
import { commandHelp, programHelp } from './help-text.ts'
import { productVersion } from './product.ts'
import { processTerminal, type Terminal } from './terminal.ts'

/** Runs the words behind `forebay`. Never throws. */
export async function runCommandLine(words: readonly string[], terminal: Terminal): Promise<number> {
  try {
    return await dispatch(words, terminal)
  } catch (error) {
    terminal.err(errorText(error))
    return error instanceof CacheError && error.kind === 'invalid' ? EXIT_REFUSED : EXIT_FAILED
  }
}

async function dispatch(words: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = words
  if (name === undefined) {
    terminal.err(programHelp(await loadAll()))
    return EXIT_REFUSED
  }
  if (name === '--version' || name === '-V') {
    terminal.out(`forebay ${productVersion()}\n`)
    return EXIT_OK
  }
  if (name === '--help' || name === '-h') return help([], terminal)
  if (name === 'help') return help(rest, terminal)
  if (name === 'prepare') return (await import('./prepare.ts')).prepare(rest, terminal)
  const load = COMMANDS.get(name)
  if (load === undefined) return unknownCommand(name, terminal)
  const command = await load()
  if (asksForHelp(rest)) {
    terminal.out(commandHelp(command))
    return EXIT_OK
  }
  return command.run(rest, terminal)
}

function asksForHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return words.slice(0, end < 0 ? words.length : end).some((word) => word === '--help' || word === '-h')
}

async function help([name]: readonly string[], terminal: Terminal): Promise<number> {
  if (name === undefined) {
    terminal.out(programHelp(await loadAll()))
    return EXIT_OK
  }
  const load = COMMANDS.get(name)
  if (load === undefined) return unknownCommand(name, terminal)
  terminal.out(commandHelp(await load()))
  return EXIT_OK
}

function unknownCommand(name: string, terminal: Terminal): number {
  const near = nearestName(name, [...COMMANDS.keys()])
  const hint = near === null ? 'see: forebay --help' : `did you mean ${near}?`
  terminal.err(`forebay: unknown command ${JSON.stringify(name.slice(0, 80))}; ${hint}\n`)
  return EXIT_REFUSED
}

// Imported by tests and by the reference generator without being run.
// The exit does not wait for open sockets and timers; what was printed is out, since pipes are written synchronously.
if (import.meta.main) process.exit(await runCommandLine(process.argv.slice(2), processTerminal()))
