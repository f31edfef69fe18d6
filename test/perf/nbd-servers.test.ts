// Proves that the others are asked for the caches that the table says they have, on the device they are given, and that
// they stay in the foreground, where their CPU time is theirs.
import { nbdkitCommand, qemuNbdCommand } from './nbd-servers.ts'

const PLAN = { socket: '/disk/a.sock', backing: '/dev/loop9', cacheDirectory: '/disk' }

test('nbdkit writes back from a cache file on the given disk, and keeps what is read', () => {
  const { command, environment } = nbdkitCommand(PLAN)
  expect(command).toEqual(expect.arrayContaining(['--filter=cache', 'cache=writeback', 'cache-on-read=true']))
  expect(command).toEqual(expect.arrayContaining(['--foreground', '/disk/a.sock', 'file', '/dev/loop9']))
  expect(environment).toEqual({ TMPDIR: '/disk' })
})

test('qemu-nbd writes back from the page cache, and outlives its first client', () => {
  const { command } = qemuNbdCommand(PLAN)
  expect(command).toEqual(expect.arrayContaining(['--cache=writeback', '--format=raw', '--persistent', '/disk/a.sock']))
  expect(command.at(-1)).toBe('/dev/loop9')
  expect(command).not.toContain('--fork')
})
