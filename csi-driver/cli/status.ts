// `forebay status`: every volume of this host, running or stopped.
import { CacheError } from '../../base/errors.ts'
import { choiceSetting, switchSetting } from '../../base/setting-kinds.ts'
import { nearestName } from '../../base/settings.ts'
import type { VolumeStatus } from '../observe/status.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, stateDirSchema, volumePositional } from './command.ts'
import { statusTable } from './status-table.ts'
import { pause, type Terminal } from './terminal.ts'
import { stateDirectoryOf } from './volume-call.ts'
import { gatherVolumes } from './volume-list.ts'

const WATCH_INTERVAL_MS = 1_000
const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
/** To the first column of the first line, and everything behind it erased. */
const CLEAR = '\u001b[H\u001b[2J'

export const statusCommand = defineCommand({
  name: 'status',
  summary: 'Show what is served, how, and what is dirty',
  positionals: [{ ...volumePositional, optional: true }],
  schema: {
    output: choiceSetting({
      choices: ['table', 'json'],
      default: 'table',
      help: 'A table for people, or a JSON array with one object per volume.',
      why: 'Rounded numbers are for people only.',
    }),
    watch: switchSetting({ help: 'Show it again every second until Ctrl-C; with json one array per line.', why: '' }),
    ...stateDirSchema,
  },
  description: [
    'Lists the volumes that are served on this host and those that were: a volume that was stopped or killed with dirty data is marked stopped-dirty, with how much and how old as far as that is known.',
    'States: starting, serving, stopping (until the device is released), restarting (the engine died and its holder starts it again), stopped, stopped-dirty, unreadable (the register is damaged or cannot be reached).',
    'A policy in brackets is the one in force where it differs from the one asked for; the reason stands below the table.',
  ],
  exits: [
    [EXIT_OK, 'shown'],
    [EXIT_FAILED, 'the state directory cannot be read'],
    [EXIT_REFUSED, 'bad input, or there is no such volume'],
  ],
  examples: [
    ['forebay status --watch', 'Look on:'],
    ["forebay status db1 --output json | jq '.[0].dirtyBytes'", 'One number for a script:'],
  ],
  async run({ positionals, settings, terminal }) {
    const stateDirectory = stateDirectoryOf(settings.stateDir)
    const [volume] = positionals
    const show = async (): Promise<string> => {
      const volumes = chosen(await gatherVolumes(stateDirectory), volume)
      return settings.output === 'json' ? jsonText(volumes, settings.watch) : statusTable(volumes)
    }
    if (!settings.watch) terminal.out(await show())
    else await watch(terminal, settings.output === 'table', show)
    return EXIT_OK
  },
})

function chosen(volumes: readonly VolumeStatus[], name: string | undefined): readonly VolumeStatus[] {
  if (name === undefined) return volumes
  const found = volumes.filter(({ volume }) => volume === name)
  if (found.length > 0) return found
  const near = nearestName(
    name,
    volumes.map(({ volume }) => volume),
  )
  const remedy = near === null ? 'List all with `forebay status`.' : `Did you mean ${near}?`
  throw new CacheError('invalid', 'CACHE_NO_VOLUME', `no such volume on this host volume=${name}`, { remedy })
}

function jsonText(volumes: readonly VolumeStatus[], oneLine: boolean): string {
  return `${oneLine ? JSON.stringify(volumes) : JSON.stringify(volumes, null, 2)}\n`
}

async function watch(terminal: Terminal, isTable: boolean, show: () => Promise<string>): Promise<void> {
  const redraw = isTable && terminal.interactive
  terminal.holdInterrupts()
  if (redraw) terminal.out(HIDE_CURSOR)
  try {
    while (!terminal.interrupted.aborted) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      const text = await show()
      terminal.out(redraw ? `${CLEAR}${text}` : text)
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      await pause(WATCH_INTERVAL_MS, terminal.interrupted)
    }
  } finally {
    if (redraw) terminal.out(SHOW_CURSOR)
  }
}
