// Proves what holder.sh promises, with the real script, real locks, real signals and /dev/fuse, and engines played by a
// shell script: every exit status of an engine, restarts and their back-off, signals at each moment, refused locks that
// name their owner, kill -9 of either or both processes, and the memory a holder takes.
import fs from 'node:fs'
import path from 'node:path'
import { HolderHarness, SERVE } from './holder-harness.ts'

let harness: HolderHarness
beforeEach(() => {
  harness = new HolderHarness()
})
afterEach(() => harness.dispose())

const ready = (times = 1) => harness.until(`ready ${times}`, () => harness.count(/^ready$/) >= times)
const gone = (pid: number): boolean => {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return true
  }
}

describe('start', () => {
  test('prepare sees the words of the user, the engine gets them unchanged', async () => {
    const holder = harness.start('v1', '--backing', '/dev/a b', '--note=$(id) `id` "x"')
    await ready()
    expect(harness.log().slice(0, 3)).toEqual([
      'prepare v1 --backing /dev/a b --note=$(id) `id` "x"',
      'engine 1 first stops=0',
      'arguments v1 --backing /dev/a b --note=$(id) `id` "x"',
    ])
    const flags = fs.readFileSync('csi-driver/holder/node-flags', 'utf8').trim()
    expect(fs.readFileSync(path.join(harness.directory, 'flags'), 'utf8')).toBe(` ${flags}`)
    expect(fs.readFileSync(path.join(harness.directory, 'arenas'), 'utf8')).toBe('1')
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(0)
    expect(fs.existsSync(harness.runDirectory)).toBe(false)
    expect(holder.stderr).toBe('')
  })

  test.each([1, 2, 130])('prepare ending with %i ends the holder with it, and nothing was touched', async (status) => {
    harness.write('prepare-status', `${status}\n`)
    expect(await harness.start('v1').exited).toBe(status)
    expect(harness.log()).toEqual(['prepare v1'])
    expect(fs.existsSync(path.join(harness.directory, 'locks'))).toBe(false)
    expect(fs.existsSync(harness.runDirectory)).toBe(false)
  })

  test('a prepare that prints no plan is an error, not an engine', async () => {
    fs.rmSync(path.join(harness.directory, 'plan'))
    const holder = harness.start('v1')
    expect(await holder.exited).toBe(1)
    expect(holder.stderr).toContain('prepare gave no plan')
  })

  test('the engine inherits /dev/fuse and the three locks', async () => {
    harness.life(`ls -l /proc/$$/fd >"$FAKE/descriptors"\n${SERVE}`)
    const holder = harness.start('v1')
    await ready()
    const descriptors = fs.readFileSync(path.join(harness.directory, 'descriptors'), 'utf8')
    expect(descriptors).toMatch(/ 3 -> \/dev\/fuse$/m)
    expect(descriptors).toMatch(/ 4 -> .*v1\.lock$/m)
    expect(descriptors).toMatch(/ 5 -> .*cache\.lock$/m)
    expect(descriptors).toMatch(/ 6 -> .*backing\.lock$/m)
    holder.kill('SIGTERM')
    await holder.exited
  })

  test('with an NBD export the engine gets the locks and no /dev/fuse', async () => {
    harness.plan({ frontend: 'nbd' })
    harness.life(`ls -l /proc/$$/fd >"$FAKE/descriptors"\n${SERVE}`)
    const holder = harness.start('v1')
    await ready()
    const descriptors = fs.readFileSync(path.join(harness.directory, 'descriptors'), 'utf8')
    expect(descriptors).not.toContain('/dev/fuse')
    expect(descriptors).toMatch(/ 4 -> .*v1\.lock$/m)
    process.kill(harness.enginePid(), 'SIGKILL')
    await ready(2)
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(0)
  })

  test('a holder takes less than 2 MiB of memory', async () => {
    const holder = harness.start('v1')
    await ready()
    const status = fs.readFileSync(`/proc/${holder.pid}/status`, 'utf8')
    expect(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(2048)
    holder.kill('SIGTERM')
    await holder.exited
  })
})

describe('exit statuses of the first engine', () => {
  test.each([
    [0, 0, ''],
    [3, 3, ''],
    [2, 2, ''],
    [4, 4, ''],
    [1, 1, 'ended before it was ready status=1'],
    [75, 1, 'ended before it was ready status=75'],
    [127, 1, 'ended before it was ready status=127'],
  ])('%i before ready ends the holder with %i', async (engine, expected, message) => {
    harness.life(`exit ${engine}`)
    const holder = harness.start('v1')
    expect(await holder.exited).toBe(expected)
    expect(holder.stderr).toContain(message)
    expect(harness.count(/^engine/)).toBe(1)
    expect(fs.existsSync(harness.runDirectory)).toBe(false)
  })

  test('a first engine that dies half-way is cleaned up after, and not restarted', async () => {
    harness.life('echo {} >"$run/attach.json"; kill -9 $$')
    const holder = harness.start('v1')
    expect(await holder.exited).toBe(1)
    expect(holder.stderr).toContain('status=137')
    expect(harness.log().at(-1)).toMatch(/^cleanup .*run with space attach.json/)
  })
})

describe('restart', () => {
  test('an engine killed again and again is started again each time, as a restart, with the same run directory', async () => {
    const holder = harness.start('v1')
    for (let life = 1; life <= 4; life++) {
      await ready(life)
      process.kill(harness.enginePid(), 'SIGKILL')
    }
    await ready(5)
    expect(harness.log().filter((line) => line.startsWith('engine'))).toEqual([
      'engine 1 first stops=0',
      'engine 2 restart stops=0',
      'engine 3 restart stops=0',
      'engine 4 restart stops=0',
      'engine 5 restart stops=0',
    ])
    expect(holder.stderr.match(/starting it again in [\d.]+ s/g)).toEqual([
      'starting it again in 0 s',
      'starting it again in 0.1 s',
      'starting it again in 0.2 s',
      'starting it again in 0.4 s',
    ])
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(0)
  })

  test('a planned replacement is started at once, from the build that the run directory names', async () => {
    const build = path.join(harness.directory, 'other build')
    harness.life(`: >"$run/ready"; echo '${build}' >"$run/build"; exit 75`, 1)
    harness.life(`note "root $FOREBAY_ROOT"\n${SERVE}`, 2)
    const holder = harness.start('v1')
    await ready()
    expect(harness.log()).toContain(`root ${build}`)
    expect(holder.stderr).toBe('')
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(0)
  })

  test('a replacement that refuses gives way to the build the holder came from', async () => {
    harness.life(`: >"$run/ready"; echo /nowhere/build >"$run/build"; exit 75`, 1)
    harness.life('exit 2', 2)
    const holder = harness.start('v1')
    await ready()
    expect(harness.count(/^engine 3 restart/)).toBe(1)
    expect(holder.stderr).toContain('refused to take over')
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(0)
  })

  test.each([0, 2, 3, 4])('a restarted engine that ends with %i ends the holder with it', async (status) => {
    harness.life(`: >"$run/ready"; kill -9 $$`, 1)
    harness.life(`exit ${status}`, 2)
    expect(await harness.start('v1').exited).toBe(status)
    expect(harness.count(/^engine/)).toBe(2)
  })

  test('without RESEND a crash is not answered by a restart', async () => {
    harness.life(`: >"$run/no-resend"; echo {} >"$run/attach.json"; : >"$run/ready"; kill -9 $$`, 1)
    const holder = harness.start('v1')
    expect(await holder.exited).toBe(4)
    expect(holder.stderr).toContain('cannot send requests again')
    expect(harness.count(/^engine/)).toBe(1)
    expect(harness.count(/^cleanup/)).toBe(1)
  })

  test('without RESEND a planned replacement still works', async () => {
    harness.life(`: >"$run/no-resend"; : >"$run/ready"; exit 75`, 1)
    const holder = harness.start('v1')
    await ready()
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(0)
  })
})

describe('signals', () => {
  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s asks the engine to stop in order', async (signal) => {
    const holder = harness.start('v1')
    await ready()
    holder.kill(signal)
    expect(await holder.exited).toBe(0)
    expect(harness.count(/^TERM$/)).toBe(1)
  })

  test('a second signal reaches the engine as INT; the holder ends with its status', async () => {
    harness.life(SERVE.replace('note TERM; exit 0', 'note TERM'))
    const holder = harness.start('v1')
    await ready()
    holder.kill('SIGTERM')
    await harness.until('TERM', () => harness.count(/^TERM$/) === 1)
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(3)
    expect(harness.count(/^INT$/)).toBe(1)
  })

  test('an engine that dies while stopping is started again and told so', async () => {
    harness.life(
      SERVE.replace('note TERM; exit 0', () => 'note TERM; kill -9 $$'),
      1,
    )
    harness.life('note "second"; exit 0', 2)
    const holder = harness.start('v1')
    await ready()
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(0)
    expect(harness.log()).toContain('engine 2 restart stops=1')
  })

  test('a signal during the back-off is not lost; a second one ends the holder without an engine', async () => {
    harness.life(`: >"$run/ready"; kill -9 $$`)
    const holder = harness.start('v1')
    await harness.until('a long back-off', () => holder.stderr.includes('again in 1.6 s'))
    holder.kill('SIGTERM')
    await harness.until('the signal is passed on', () => harness.count(/^engine .* stops=1$/) >= 1)
    holder.kill('SIGTERM')
    expect(await holder.exited).toBe(3)
    expect(holder.stderr).toContain('stopped at once')
    expect(fs.existsSync(harness.runDirectory)).toBe(false)
  })

  test('a signal to the whole process group, as Ctrl-C sends it, counts once', async () => {
    const holder = harness.start('v1')
    await ready()
    const group = fs.readFileSync(`/proc/${harness.enginePid()}/stat`, 'utf8').split(' ')[4]
    expect(Number(group)).toBe(harness.enginePid())
    holder.kill('SIGINT')
    expect(await holder.exited).toBe(0)
  })
})

describe('locks', () => {
  test('a second holder of the same volume is refused, names the first, and changes nothing', async () => {
    const first = harness.start('v1')
    await ready()
    const second = harness.start('v1')
    expect(await second.exited).toBe(2)
    expect(second.stderr).toContain(`volume=v1 is in use by volume=v1, process pid=${first.pid}`)
    expect(second.stderr).toContain('forebay stop v1')
    expect(fs.existsSync(path.join(harness.runDirectory, 'ready'))).toBe(true)
    expect(harness.count(/^cleanup/)).toBe(0)
    first.kill('SIGTERM')
    expect(await first.exited).toBe(0)
  })

  test.each([
    ['cache', { volume: 'v2', backing: 'other' }],
    ['backing', { volume: 'v2', cache: 'other' }],
  ])('a %s in use by another volume is refused', async (what, names) => {
    const first = harness.start('v1')
    await ready()
    harness.plan(names)
    const second = harness.start('v2')
    expect(await second.exited).toBe(2)
    expect(second.stderr).toContain(`the ${what} is in use by volume=v1, process pid=${first.pid}`)
    first.kill('SIGTERM')
    await first.exited
  })

  test('a socket in use by another volume is refused, also while its engine is being started again', async () => {
    harness.plan({ frontend: 'nbd', socket: 'socket' })
    const first = harness.start('v1')
    await ready()
    harness.plan({ volume: 'v2', cache: 'other', backing: 'another', frontend: 'nbd', socket: 'socket' })
    process.kill(harness.enginePid(), 'SIGKILL')
    const second = harness.start('v2')
    expect(await second.exited).toBe(2)
    expect(second.stderr).toContain(`the socket is in use by volume=v1, process pid=${first.pid}`)
    await ready(2)
    first.kill('SIGTERM')
    expect(await first.exited).toBe(0)
  })

  test('the lock of a dead holder needs nobody: the next one serves', async () => {
    const first = harness.start('v1')
    await ready()
    first.kill('SIGTERM')
    await first.exited
    const second = harness.start('v1')
    await ready(2)
    second.kill('SIGTERM')
    expect(await second.exited).toBe(0)
  })
})

describe('kill -9', () => {
  test('of the holder alone: the engine keeps the locks, and a second holder is told which process serves', async () => {
    const first = harness.start('v1')
    await ready()
    first.kill('SIGKILL')
    await first.exited
    const engine = harness.enginePid()
    const second = harness.start('v1')
    expect(await second.exited).toBe(2)
    expect(second.stderr).toContain(`engine process pid=${engine}, whose holder died`)
    process.kill(engine, 'SIGTERM')
    await harness.until('engine gone', () => gone(engine))
  })

  test('of both: the next holder cleans up first, then serves', async () => {
    harness.life(`echo {} >"$run/attach.json"\n${SERVE}`)
    const first = harness.start('v1')
    await ready()
    const engine = harness.enginePid()
    process.kill(first.pid, 'SIGKILL')
    process.kill(engine, 'SIGKILL')
    await first.exited
    await harness.until('engine gone', () => gone(engine))
    const second = harness.start('v1')
    await ready(2)
    expect(harness.log()).toContain(`cleanup ${harness.runDirectory} attach.json `)
    expect(harness.log()).toContain('engine 2 first stops=0')
    second.kill('SIGTERM')
    expect(await second.exited).toBe(0)
  })

  test('a clean-up that fails ends the start, and leaves everything for the next attempt', async () => {
    fs.mkdirSync(harness.runDirectory)
    fs.writeFileSync(path.join(harness.runDirectory, 'attach.json'), '{}\n')
    harness.write('cleanup-status', '1\n')
    const holder = harness.start('v1')
    expect(await holder.exited).toBe(1)
    expect(holder.stderr).toContain('could not be cleaned up')
    expect(fs.existsSync(path.join(harness.runDirectory, 'attach.json'))).toBe(true)
    expect(harness.count(/^engine/)).toBe(0)
  })
})
