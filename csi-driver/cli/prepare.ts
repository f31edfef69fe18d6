// `forebay prepare`: the holder's first step. Takes the words of `serve`, checks all that can be checked without
// changing anything, and prints what the holder needs, one value per line:
//
//   volume, run directory, lock file of the volume, of the cache, of the backing
//
// Not declared by defineCommand: its words are those of `serve`, and so are its messages.
import { CacheError } from '../../base/errors.ts'
import type { SettingProblem } from '../../base/settings.ts'
import { ObserveServer } from '../observe/http.ts'
import { EXIT_OK, EXIT_REFUSED, refusalText } from './command.ts'
import { probePath } from './cache-at-rest.ts'
import { hostProblems, readHostFacts, resendNotice } from './host-checks.ts'
import { pathProblems } from './path-checks.ts'
import { readServe, type ServePlan } from './serve-settings.ts'
import type { Terminal } from './terminal.ts'

export async function prepare(words: readonly string[], terminal: Terminal): Promise<number> {
  const { plan, facts, problems } = await readServe(words)
  if (plan === null) return refuse(problems, terminal)
  const host = await readHostFacts()
  const lacking = hostProblems(host)
  if (lacking.length > 0) return refuse(lacking, terminal)
  const found = [...pathProblems(facts), ...(await metricsProblems(plan))]
  if (found.length === 0) found.push(...(await contentProblems(plan)))
  if (found.length > 0) return refuse(found, terminal)
  const notice = resendNotice(host.kernelRelease)
  if (notice !== null) terminal.err(`forebay: ${notice}\n`)
  terminal.out(`${[plan.volume, plan.runDirectory, ...plan.lockFiles].join('\n')}\n`)
  return EXIT_OK
}

function refuse(problems: readonly SettingProblem[], terminal: Terminal): number {
  terminal.err(refusalText('serve', problems))
  return EXIT_REFUSED
}

/** Listens for a moment, so that a port in use is said now and not by an engine. */
async function metricsProblems({ settings }: ServePlan): Promise<SettingProblem[]> {
  if (settings.metrics === null) return []
  const server = new ObserveServer(settings.metrics, { metrics: () => '', health: () => ({ ok: false, text: '' }) })
  try {
    await server.listen()
    await server.close()
    return []
  } catch (error) {
    const reason = error instanceof CacheError ? error.message : String(error)
    return [{ where: '--metrics', problem: `is not usable: ${reason}; give an address of this host and a free port` }]
  }
}

/** Foreign content at the cache path. What a Forebay cache holds is judged by the engine, which knows the register. */
async function contentProblems({ cache, settings }: ServePlan): Promise<SettingProblem[]> {
  if (cache.sizeBytes === 0 || settings.formatCache) return []
  if ((await probePath(cache.path)).kind !== 'foreign') return []
  const problem = `holds data of somebody else; give another path, or overwrite it with --format-cache path=${cache.given}`
  return [{ where: '--cache', problem }]
}
