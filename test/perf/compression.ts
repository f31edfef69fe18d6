// What adaptive compression gains and costs: batches over TLS between two network namespaces with a wire of 1 and of
// 10 Gbit/s between them, compression auto and off in turns. The sender keeps one batch in flight and its peer answers
// from memory: the wire and the compression are measured, not an engine. docs/decisions/0008-compression.md says what
// came of it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { PAYLOAD_KINDS } from './compression-payloads.ts'
import type { CompressionPlan } from './compression-peers.ts'
import { compressionPart, compressionRows, type CompressionSample } from './compression-report.ts'
import { runProgram } from './fio.ts'
import { GBIT_1, GBIT_10, LimitedLink, type LinkedHosts, type LinkSpeed, LOOPBACK } from './limited-link.ts'
import type { PartResult } from './report.ts'
import { SCALE } from './scale.ts'
import type { Scaffold } from './scaffold.ts'

const PEERS = fileURLToPath(new URL('compression-peers.ts', import.meta.url))
const NODE = [process.execPath, '--disable-warning=ExperimentalWarning']
const PORT = '7419'
const KIB = 1024
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

async function startReceiver(scaffold: Scaffold, hosts: LinkedHosts, directory: string): Promise<void> {
  const command = hosts.on('peer', [...NODE, PEERS, 'receive', hosts.addressOf('peer'), PORT, directory])
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

async function measureLink(
  scaffold: Scaffold,
  hosts: LinkedHosts,
  plan: CompressionPlan,
): Promise<CompressionSample[]> {
  const directory = await credentials(scaffold)
  await startReceiver(scaffold, hosts, directory)
  const sender = [...NODE, PEERS, 'send', hosts.addressOf('peer'), PORT, directory, JSON.stringify(plan)]
  const [program = '', ...args] = hosts.on('owner', sender)
  const output = await runProgram(program, args, scaffold.signal)
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as CompressionSample)
}

/** Both links; without root the loopback, to see that it works. */
export async function measureCompression(scaffold: Scaffold): Promise<PartResult> {
  const isRoot = process.getuid?.() === 0
  const speeds: readonly (LinkSpeed | null)[] = isRoot ? [GBIT_1, GBIT_10] : [null]
  const samples: CompressionSample[] = []
  for (const speed of speeds) {
    const plan: CompressionPlan = {
      link: speed?.title ?? 'loopback',
      payloads: PAYLOAD_KINDS,
      batchBytes: [4 * KIB, 64 * KIB, 1024 * KIB],
      rounds: SCALE.isQuick ? 1 : 9,
      secondsPerSample: SCALE.isQuick ? 0.3 : 0.6,
      patienceSeconds: SCALE.patienceSeconds,
    }
    // oxlint-disable-next-line eslint/no-await-in-loop -- one link after the other
    const hosts = speed === null ? LOOPBACK : await LimitedLink.open(scaffold, speed)
    // oxlint-disable-next-line eslint/no-await-in-loop -- one link after the other
    samples.push(...(await measureLink(scaffold, hosts, plan)))
  }
  return compressionPart(compressionRows(samples), isRoot ? GBIT_1.title : 'loopback')
}
