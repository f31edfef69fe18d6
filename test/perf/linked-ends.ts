// Two programs that talk TLS over a limited link, one on each host: what the parts of the bench that measure the wire
// apart from the engine have in common.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile } from 'node:fs/promises'
import path from 'node:path'
import { runProgram } from './fio.ts'
import type { LinkedHosts } from './limited-link.ts'
import type { Scaffold } from './scaffold.ts'

const NODE = [process.execPath, '--disable-warning=ExperimentalWarning']
const PORT = '7419'

/** A certificate that is its own CA: both ends are ours. */
async function credentials(scaffold: Scaffold): Promise<string> {
  const directory = await scaffold.memoryDirectory()
  const file = (name: string): string => path.join(directory, name)
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  const output = ['-keyout', file('tls.key'), '-out', file('ca.crt')]
  await runProgram('openssl', ['req', '-x509', ...curve, '-nodes', ...output, '-days', '1', '-subj', '/CN=bench'])
  await copyFile(file('ca.crt'), file('tls.crt'))
  return directory
}

async function startReceiver(scaffold: Scaffold, command: readonly string[]): Promise<void> {
  const child = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const ended = once(child, 'close')
  scaffold.later('the receiver', async () => {
    child.kill('SIGKILL')
    await ended
  })
  await Promise.race([
    once(child.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('the receiver did not start'))),
  ])
}

/**
 * Runs `program receive ADDRESS PORT TLS-DIRECTORY` on the peer, which says something when it listens, and `program send
 * ADDRESS PORT TLS-DIRECTORY PLAN` on the owner. Returns the lines of JSON that the latter prints.
 */
export async function measureEnds<T>(
  scaffold: Scaffold,
  hosts: LinkedHosts,
  program: string,
  plan: object,
): Promise<T[]> {
  const directory = await credentials(scaffold)
  const end = (role: string): string[] => [...NODE, program, role, hosts.addressOf('peer'), PORT, directory]
  await startReceiver(scaffold, hosts.on('peer', end('receive')))
  const [command = '', ...args] = hosts.on('owner', [...end('send'), JSON.stringify(plan)])
  const output = await runProgram(command, args, scaffold.signal)
  const lines = output.trim().split('\n')
  return lines.map((line) => JSON.parse(line) as T)
}
