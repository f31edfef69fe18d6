// Proves that a held flock is seen from outside, without taking it, and that device numbers are taken apart as the
// kernel joins them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { isListed, lockIsHeld, splitDevice } from '../../../../csi-driver/cli/held-locks.ts'

const FLOCK = '/usr/bin/flock'

test('a real lock, while it is held and no longer', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-locks-'))
  const file = path.join(directory, 'a lock')
  fs.writeFileSync(file, '')
  expect(await lockIsHeld(file)).toBe(false)
  const child = spawn(FLOCK, [file, 'sh', '-c', 'echo held; read line'], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  expect(await lockIsHeld(file)).toBe(true)
  child.stdin.end('\n')
  await once(child, 'exit')
  expect(await lockIsHeld(file)).toBe(false)
  expect(await lockIsHeld(path.join(directory, 'none'))).toBe(false)
  fs.rmSync(directory, { recursive: true })
})

const LOCKS = `1: POSIX  ADVISORY  WRITE 700 fe:01:55 0 EOF
2: FLOCK  ADVISORY  WRITE 812 fe:01:1234 0 EOF
2: -> FLOCK  ADVISORY  WRITE 900 fe:01:77 0 EOF
`
test.each([
  [1234, true],
  [55, false],
  [77, false],
  [123, false],
])('inode %i listed as held: %p', (inode, expected) => {
  expect(isListed(LOCKS, 0xfe * 256 + 1, inode)).toBe(expected)
})

test.each([
  [0x801, 8, 1],
  [0xfe00, 254, 0],
  [0x10_0103, 1, 0x103],
  [259 * 256 + 5, 0x103, 5],
])('device %p is %i:%i', (dev, major, minor) => expect(splitDevice(dev)).toEqual({ major, minor }))
