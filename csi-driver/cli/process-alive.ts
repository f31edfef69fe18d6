// Is there a process of this pid? A zombie counts as gone: it runs nothing more, though the last I/O of its threads may
// keep locks and descriptors for a moment.
import { readFileSync } from 'node:fs'

export function processIsAlive(pid: number): boolean {
  try {
    // `pid (name) S …`; the name may contain anything, hence the last parenthesis.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
    return state !== 'Z' && state !== 'X'
  } catch {
    return false
  }
}
