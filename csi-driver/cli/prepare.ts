// `forebay prepare`: the holder's first step. Takes the words of `serve`, checks all that can be checked without
// changing anything, and prints what the holder needs, one value per line:
//
//   volume, run directory, lock file of the volume, of the cache, of the backing, front end, lock file of the socket that
//   --nbd-socket names (an empty line: it names none)
//
// Not declared by defineCommand: its words are those of `serve`, and so are its messages.
import { realpath } from 'node:fs/promises'
import path from 'node:path'
import { CacheError } from '../../base/errors.ts'
import type { SettingProblem } from '../../base/settings.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { checkTlsTexts, readTlsTexts } from '../io/real/tls-identity.ts'
import { nbdSocketLockFile } from '../holder/run-directory.ts'
import { ObserveServer } from '../observe/http.ts'
import { EXIT_OK, EXIT_REFUSED, refusalText } from './command.ts'
import { probePath } from './cache-at-rest.ts'
import { hostProblems, readHostFacts, resendNotice } from './host-checks.ts'
import { nbdSocketProblems } from './nbd-socket-check.ts'
import { pathProblems } from './path-checks.ts'
import { readServe, serveCommandOf, type ServePlan } from './serve-settings.ts'
import type { Terminal } from './terminal.ts'

/** A file system that needs longer to open a directory counts as hung. */
const REGISTER_TIMEOUT_MS = 10_000

export async function prepare(words: readonly string[], terminal: Terminal): Promise<number> {
  const command = serveCommandOf(process.env)
  const refuse = (problems: readonly SettingProblem[]): number => {
    terminal.err(refusalText(command, problems))
    return EXIT_REFUSED
  }
  const { plan, facts, problems } = await readServe(words, command)
  if (plan === null) return refuse(problems)
  const host = await readHostFacts()
  const { frontend } = plan.settings
  const lacking = hostProblems(host, frontend)
  if (lacking.length > 0) return refuse(lacking)
  const found = [...pathProblems(facts), ...(await nbdSocketProblems(plan)), ...(await metricsProblems(plan))]
  if (found.length === 0) {
    found.push(...(await contentProblems(plan)), ...tlsProblems(plan), ...(await registerProblems(plan)))
  }
  if (found.length > 0) return refuse(found)
  const notice = frontend === 'fuse' ? resendNotice(host.kernelRelease) : null
  if (notice !== null) terminal.err(`forebay: ${notice}\n`)
  const socketLock = await socketLockFile(plan)
  terminal.out(`${[plan.volume, plan.runDirectory, ...plan.lockFiles, frontend, socketLock].join('\n')}\n`)
  return EXIT_OK
}

/** A socket below the state directory has the volume's name, and its lock. */
async function socketLockFile({ settings, nbdSocket }: ServePlan): Promise<string> {
  if (nbdSocket === null || settings.nbdSocket === null) return ''
  return nbdSocketLockFile(path.join(await realpath(path.dirname(nbdSocket)), path.basename(nbdSocket)))
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

/** Certificates that no peer would accept, said now and not by an engine. */
function tlsProblems({ settings, node }: ServePlan): SettingProblem[] {
  const { tlsDir } = settings
  if (tlsDir === null) return []
  try {
    const identity = checkTlsTexts(readTlsTexts(tlsDir), tlsDir, Date.now())
    if (identity.node === node) return []
    const problem = `holds the certificate of another node; say --node ${identity.node} or put that of ${node} there`
    return [{ where: '--tls-dir', problem }]
  } catch (error) {
    if (!(error instanceof CacheError)) throw error
    return [{ where: '--tls-dir', problem: `is not usable: ${error.message}. ${error.remedy ?? ''}`.trim() }]
  }
}

/**
 * A shared directory is never made here: one that is missing is a wrong path or a mount that is not there, and a volume
 * that began anew in it would be opened twice. Looked at in a process of its own, since a dead mount never answers.
 */
async function registerProblems({ settings }: ServePlan): Promise<SettingProblem[]> {
  const { register } = settings
  if (register === null) return []
  const look = ['/bin/sh', '-c', 'cd -- "$1" && [ -r . ] && [ -w . ]', 'sh', path.resolve(register)]
  const { exitCode, stderr } = await new RealProcesses().run(look, { timeoutMs: REGISTER_TIMEOUT_MS })
  if (exitCode === 0) return []
  const cause = exitCode === null ? `no answer within ${REGISTER_TIMEOUT_MS / 1000} s` : causeOf(stderr)
  const problem = `is no directory that can be read and written; mount the shared file system, or make the directory once, on one host path=${register} cause="${cause}"`
  return [{ where: '--register', problem }]
}

/** What a shell says: its own name and the command in front of it are of no use. */
function causeOf(stderr: string): string {
  return stderr.trim().split(': ').at(-1) || 'not readable or not writable'
}

/** Foreign content at the cache path. What a Forebay cache holds is judged by the engine, which knows the register. */
async function contentProblems({ cache, settings }: ServePlan): Promise<SettingProblem[]> {
  if (cache.sizeBytes === 0 || settings.formatCache) return []
  if ((await probePath(cache.path)).kind !== 'foreign') return []
  const problem = `holds data of somebody else; give another path, or overwrite it with --format-cache path=${cache.given}`
  return [{ where: '--cache', problem }]
}
