// All commands, in the order of the help. Each is loaded when it is run: `prepare` and `status` start in a tenth of a
// second, and what one command needs cannot break another.
import type { Command } from './command.ts'

type Load = () => Promise<Command>

export const COMMANDS: ReadonlyMap<string, Load> = new Map<string, Load>([
  ['serve', async () => (await import('./serve.ts')).serveCommand],
  ['takeover', async () => (await import('./takeover.ts')).takeoverCommand],
  ['status', async () => (await import('./status.ts')).statusCommand],
  ['policy', async () => (await import('./policy.ts')).policyCommand],
  ['drain', async () => (await import('./drain.ts')).drainCommand],
  ['stop', async () => (await import('./stop.ts')).stopCommand],
  ['move', async () => (await import('./move.ts')).moveCommand],
  ['resize', async () => (await import('./resize.ts')).resizeCommand],
  ['upgrade', async () => (await import('./upgrade.ts')).upgradeCommand],
  ['peer', async () => (await import('./peer.ts')).peerCommand],
  ['peers', async () => (await import('./peers.ts')).peersCommand],
  ['pki', async () => (await import('./pki.ts')).pkiCommand],
  ['inspect', async () => (await import('./inspect.ts')).inspectCommand],
  ['verify', async () => (await import('./verify.ts')).verifyCommand],
  ['self-test', async () => (await import('./self-test.ts')).selfTestCommand],
  ['demo', async () => (await import('./demo.ts')).demoCommand],
  ['cleanup', async () => (await import('./cleanup.ts')).cleanupCommand],
])

export async function loadAll(): Promise<Command[]> {
  const commands: Command[] = []
  // One after the other: the loader of the tests fails when modules that share others are linked at once.
  // oxlint-disable-next-line eslint/no-await-in-loop
  for (const load of COMMANDS.values()) commands.push(await load())
  return commands
}
