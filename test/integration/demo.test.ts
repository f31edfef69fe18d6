// Proves that `forebay demo` shows what it says, in a short run, and takes down all that it has set up: after its end,
// after Ctrl-C at different moments, and after its reader has gone. How: runs it in a directory of its own, and looks
// for directories, processes, mounts and loop devices that were not there before.
import fs from 'node:fs'
import path from 'node:path'
import { testOn } from '../run/requires.ts'
import { run, Running, until } from './cli-harness.ts'
import { obstacleOfHost } from './harness/test-bed.ts'

const FOREBAY = path.resolve('bin/forebay')
const onKernel = testOn(obstacleOfHost('ip', 'unshare', 'nsenter', 'openssl', 'mkfs.ext4', 'e2fsck', 'losetup'))
/** Name of the volume of the demo, which its loop devices carry. */
const VOLUME = 'bank'

let directory: string
let devices: readonly string[]

beforeEach(() => {
  directory = fs.mkdtempSync('/var/tmp/forebay-demo-test-')
  devices = volumeDevices()
})
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }))

function volumeDevices(): string[] {
  return fs.readdirSync('/sys/block').filter((name) => {
    const file = `/sys/block/${name}/loop/backing_file`
    return fs.existsSync(file) && fs.readFileSync(file, 'utf8').includes(`/${VOLUME}-`)
  })
}

async function expectNothingIsLeft(): Promise<void> {
  expect(fs.readdirSync(directory)).toEqual([])
  expect(fs.readFileSync('/proc/mounts', 'utf8')).not.toContain(directory)
  expect((await run('pgrep', '-fa', directory)).out).toBe('')
  expect(volumeDevices().filter((name) => !devices.includes(name))).toEqual([])
}

function start(duration: string): Running {
  return new Running(FOREBAY, ['demo', '--duration', duration, '--directory', directory])
}

onKernel('three hosts, two of which die: nothing acknowledged is missing', async () => {
  const { status, out, err } = await start('1s').ended
  expect({ status, err }).toEqual({ status: 0, err: '' })
  expect(out).toMatch(/^ {3}fence\.command_ended .*node=host-a .*exit=0 said="host-a is off"$/m)
  expect(out.match(/acknowledged [\d ]+, found [\d ]+, missing 0, different 0/g)).toHaveLength(2)
  expect(out.match(/sha256 of all of them \w{16}… as committed/g)).toHaveLength(2)
  expect(out).toMatch(/^ {12}host-\w is dead$/m)
  expect(out).toMatch(/^ {12}write-back, replica on host-\w$/m)
  expect(out).toMatch(/^ {3}commits acknowledged {12}[\d ]+, lost 0$/m)
  expect(out).toMatch(/everything; e2fsck clean\n$/)
  const rates = [
    ...out.matchAll(/^ {3}(?:slow disk alone|Forebay, own cache|Forebay, with one replica) +(\d[\d ]*?) {2}/gm),
  ]
  expect(rates).toHaveLength(3)
  process.stdout.write(out.slice(out.indexOf('Measured in this run')))
  await expectNothingIsLeft()
})

// What it says last before the interrupt comes.
const MOMENTS = [
  'three hosts',
  'slow disk alone',
  'ready volume=',
  'pki issue',
  'replica on',
  'takes over',
  'new commit',
]

onKernel('Ctrl-C at any moment takes everything down', async () => {
  for (const moment of MOMENTS) {
    const demo = start('1s')
    await until(
      () => `${moment}\n${demo.out}${demo.err}`,
      () => demo.out.includes(moment) || demo.child.exitCode !== null,
    )
    demo.child.kill('SIGINT')
    const { status, err } = await demo.ended
    expect([moment, status, err]).toEqual([moment, 130, 'forebay demo: interrupted; taking everything down\n'])
    await expectNothingIsLeft()
  }
})

onKernel('a reader that goes away is like Ctrl-C', async () => {
  const words = ['demo', '--duration', '1s', '--directory', directory].join(' ')
  const { out } = await run('bash', '-c', `${FOREBAY} ${words} 2>/dev/null | head -3; echo status=\${PIPESTATUS[0]}`)
  expect(out).toMatch(/status=130\n$/)
  await expectNothingIsLeft()
})

onKernel('what is missing on the machine is named, with its package', async () => {
  const bare = path.join(directory, 'bin')
  fs.mkdirSync(bare)
  for (const program of ['sh', 'uname', 'dirname', 'readlink', 'mount', 'umount', 'losetup', 'unshare', 'nsenter']) {
    fs.symlinkSync((await run('which', program)).out.trim(), path.join(bare, program))
  }
  const { status, err } = await run('env', `PATH=${bare}`, FOREBAY, 'demo', '--directory', directory)
  expect(status).toBe(2)
  expect(err).toBe(
    'forebay demo: missing here: ip, openssl, mkfs.ext4, e2fsck, flock; ' +
      'on Debian: apt-get install iproute2 openssl e2fsprogs util-linux\n',
  )
})
