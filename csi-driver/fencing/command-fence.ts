// `--fence-command`: a program of the user's that cuts a host from the backing, or switches it off (DESIGN.md §7.7). It
// is run by a shell, in the root directory, with VOLUME, NODE and EPOCH in its environment.
//   exit 0   the host is off: nothing of it is waited for
//   exit 10  it is cut from the backing, for reads and writes; it may still run
//   else     not fenced: the volume is not opened
import { CacheError } from '../../base/errors.ts'
import type { EventLog } from '../../base/log.ts'
import type { Ms } from '../../base/units.ts'
import type { Processes } from '../io/process.ts'
import type { Unfenced } from '../register/record.ts'
import type { Fence, FenceProof } from './fence.ts'

const EXIT_OFF = 0
const EXIT_CUT = 10
/** A fence that has not answered by then counts as failed; it may still take effect, which harms nobody. */
export const FENCE_TIMEOUT_MS: Ms = 120_000
/** Of what the command wrote, for the message. */
const QUOTE_CHARACTERS_MAX = 300

export class CommandFence implements Fence {
  private readonly processes: Processes
  private readonly command: string
  private readonly log: EventLog

  constructor(processes: Processes, command: string, log: EventLog) {
    this.processes = processes
    this.command = command
    this.log = log
  }

  async fence(volume: string, { node, epoch }: Unfenced): Promise<FenceProof> {
    const { exitCode, stdout, stderr } = await this.processes.run(['/bin/sh', '-c', this.command], {
      timeoutMs: FENCE_TIMEOUT_MS,
      env: { VOLUME: volume, NODE: node, EPOCH: String(epoch) },
    })
    const said = (stderr.trim() || stdout.trim()).slice(0, QUOTE_CHARACTERS_MAX)
    this.log.event('fence.command_ended', { node, epoch, exit: exitCode ?? -1, said })
    if (exitCode === EXIT_OFF) return 'off'
    if (exitCode === EXIT_CUT) return 'cut'
    const exit = exitCode === null ? `no end within ${FENCE_TIMEOUT_MS} ms` : `exit=${exitCode}`
    // Not `invalid`: the claim stands, so it is not true that nothing was changed.
    throw new CacheError(
      'retry',
      'CACHE_NOT_FENCED',
      `the fence command did not fence the old owner volume=${volume} node=${node} epoch=${epoch} ${exit} said=${said}`,
      {
        remedy:
          'It must exit 0 (the host is off) or 10 (cut from the backing, reads and writes). The volume is claimed for this host, which serves nothing until the old owner is fenced: run takeover again. If the old owner lives, it ends as soon as it notices.',
      },
    )
  }
}
