// Proves that every mistake in the words, the configuration and the paths of `serve` is refused with status 2, one clear
// message that says what to do, and nothing changed: no file made or touched, no device, no register.
import fs from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import path from 'node:path'
import { CliHarness, MIB, must, run } from './cli-harness.ts'

let harness: CliHarness
beforeEach(() => {
  harness = new CliHarness()
})
afterEach(() => harness.dispose())

/** Refused, and nothing has changed. */
async function expectRefusal(words: readonly string[], ...expected: (string | RegExp)[]): Promise<string> {
  const before = harness.fingerprint()
  const { status, out, err } = await harness.refused(...words)
  expect({ status, out, err }).toMatchObject({ status: 2, out: '' })
  for (const part of expected) expect(err).toMatch(part)
  expect(harness.fingerprint()).toBe(before)
  expect(fs.existsSync(`/dev/forebay/${harness.volume}`)).toBe(false)
  expect(fs.existsSync(`/run/forebay/volumes/${harness.volume}`)).toBe(false)
  return err
}

async function attachLoop(file: string, ...flags: string[]): Promise<string> {
  const device = await must('losetup', '--find', '--show', ...flags, file)
  harness.later(() => run('losetup', '-d', device))
  return device
}

const NBD = ['--frontend', 'nbd', '--nbd-socket']

describe('words', () => {
  test.each<[string[], RegExp]>([
    [['--cache-szie', '1GiB'], /--cache-szie is unknown; did you mean cache-size\?/],
    [['--cache-size', '1GiB', '--cache-size', '2GiB'], /--cache-size is given more than once/],
    [['--cache-size', '16MiB'], /--cache-size is too small; at least 32MiB/],
    [['--dirty-limit', '1GiB'], /--dirty-limit is too large for cache-size=32MiB; at most/],
    [['--dirty-age', '30'], /--dirty-age needs one of the units/],
    [['--sector-size', '520'], /--sector-size is none of 512, 4096/],
    [['--resource', 'memory'], /--allow-volatile/],
    [['--resource', 'memory', '--allow-volatile'], /--cache is not in memory/],
    [['--accept-data-loss', 'other'], /--accept-data-loss must name the volume/],
    [['--metrics', 'nowhere'], /--metrics is not ADDR:PORT/],
    [['--metrics', '203.0.113.7:9750'], /--metrics is not usable/],
    [['--node', 'a b'], /--node must be 1 to 253 of a-z/],
    [['--config', '/nonexistent.yaml'], /--config cannot be read file=\/nonexistent.yaml cause=ENOENT/],
    [['--state-dir', `/${'x'.repeat(100)}`], /--state-dir is too long for a socket below it/],
    [['--state-dir', '/etc/passwd'], /--state-dir is not a directory/],
    [['--frontend', 'nfs'], /--frontend is none of fuse, nbd/],
    [['--nbd-socket', '/run/x.nbd'], /--nbd-socket is of no use without --frontend nbd/],
    [[...NBD, '/nonexistent/x.nbd'], /--nbd-socket is in a directory that does not exist/],
    [[...NBD, '/etc/passwd/x.nbd'], /--nbd-socket is not in a directory/],
    [[...NBD, `/tmp/${'x'.repeat(103)}`], /--nbd-socket is too long for a socket, by 1 bytes/],
    [[...NBD, '/etc/passwd'], /--nbd-socket exists and is no socket/],
    [[...NBD, '/tmp'], /--nbd-socket exists and is no socket/],
    [['extra'], /"extra" is one word too many/],
  ])('%j', async (words, expected) => {
    const err = await expectRefusal(words, expected)
    expect(err).toMatch(/Nothing was changed. See: forebay serve --help/)
  })

  test('a socket on which somebody listens', async () => {
    const socket = harness.path('taken.nbd')
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(socket, resolve))
    await expectRefusal([...NBD, socket], /--nbd-socket is in use: somebody listens there/)
    await new Promise((resolve) => server.close(resolve))
  })

  test('a socket that everybody could replace', async () => {
    const directory = harness.path('public')
    fs.mkdirSync(directory)
    fs.chmodSync(directory, 0o777)
    await expectRefusal([...NBD, `${directory}/x.nbd`], /--nbd-socket is in a directory where everybody can replace it/)
  })

  test('a bad volume name, and several mistakes at once', async () => {
    const { status, err } = await harness.forebay('serve', 'Bad_Name', '--dirty-age', 'x', '--cahce', '/c')
    expect(status).toBe(2)
    const where = err.split('\n').map((line) => /^forebay serve: (\S+)/.exec(line)?.[1])
    expect(where).toEqual(['VOLUME', '--dirty-age', '--cahce', '--backing', '--cache', undefined, undefined])
  })

  test('a configuration file with mistakes', async () => {
    const file = harness.write('f.yaml', 'cacheSize: 8MiB\nbackng: /dev/sdb\n')
    await expectRefusal(
      ['--no-size', '--config', file],
      /cacheSize in .*f.yaml is too small/,
      /backng in .*f.yaml is unknown; did you mean backing\?/,
    )
    harness.write('f.yaml', 'a: [')
    await expectRefusal(['--config', file], /--config is not valid YAML/)
  })

  test('a port in use', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    await expectRefusal(['--metrics', `127.0.0.1:${(server.address() as AddressInfo).port}`], /EADDRINUSE/)
    server.close()
  })
})

describe('backing', () => {
  test.each<[string, RegExp]>([
    ['/nonexistent/disk', /--backing does not exist/],
    ['/etc', /--backing is a directory/],
    ['/dev/null', /--backing is neither a block device nor a file/],
    ['/etc/hostname', /--backing is too small/],
  ])('%s', async (backing, expected) => {
    await expectRefusal(['--backing', backing], expected)
  })

  test('a device that is mounted elsewhere', async () => {
    const device = await attachLoop(harness.backing)
    await must('mkfs.ext4', '-q', device)
    fs.mkdirSync(harness.path('mnt'))
    await must('mount', device, harness.path('mnt'))
    harness.later(() => run('umount', harness.path('mnt')))
    await expectRefusal(['--backing', device], /--backing is in use: mounted at .*mnt; release it first/)
  })

  test('a device with sectors that the size cannot do', async () => {
    const device = await attachLoop(harness.backing, '--sector-size', '4096')
    await expectRefusal(['--backing', device, '--sector-size', '512'], /--backing has sectors of 4096 bytes/)
  })

  test('a read-only device', async () => {
    const device = await attachLoop(harness.backing, '--read-only')
    await expectRefusal(['--backing', device], /--backing is read-only/)
  })

  test('a size that is no multiple of the sector', async () => {
    fs.truncateSync(harness.backing, 64 * MIB + 100)
    await expectRefusal([], /--backing is no multiple of the sector size 512/)
  })

  test('the device of a volume of ours', async () => {
    const other = new CliHarness()
    const { out } = await other.serve()
    await expectRefusal(
      ['--backing', `/dev/forebay/${other.volume}`],
      new RegExp(`--backing is the device of volume=${other.volume}, already served by Forebay`),
    )
    await expectRefusal(['--backing', (/device=(\S+)/.exec(out) ?? [])[1] as string], /already served by Forebay/)
    await expectRefusal(
      ['--backing', other.backing],
      new RegExp(`the backing is in use by volume=${other.volume}, process pid=`),
    )
    await expectRefusal(
      ['--cache', other.cache, '--no-size'],
      new RegExp(`the cache is in use by volume=${other.volume}, process pid=`),
    )
    await other.dispose()
  })
})

describe('cache', () => {
  test.each<[string, RegExp]>([
    ['/nonexistent/cache', /--cache is in a directory that does not exist/],
    ['/etc', /--cache is a directory/],
    ['/dev/null', /--cache is neither a file nor a block device/],
    ['/dev/shm/cache', /--cache is in memory \(tmpfs\)/],
  ])('%s', async (cache, expected) => {
    await expectRefusal(['--cache', cache], expected)
  })

  test('the backing itself, by another name', async () => {
    fs.symlinkSync(harness.backing, harness.path('link'))
    await expectRefusal(['--cache', harness.path('link')], /--cache is the backing itself/)
  })

  test('a file on the backing', async () => {
    const device = await attachLoop(harness.backing)
    await must('mkfs.ext4', '-q', device)
    fs.mkdirSync(harness.path('mnt'))
    await must('mount', device, harness.path('mnt'))
    harness.later(() => run('umount', harness.path('mnt')))
    await expectRefusal(['--cache', path.join(harness.path('mnt'), 'cache')], /--cache is on the backing of the volume/)
  })

  test('foreign content, which --format-cache overwrites', async () => {
    harness.write('cache', Buffer.alloc(32 * MIB, 'precious'))
    await expectRefusal(['--no-size'], /--format-cache/)
    await harness.serve('--no-size', '--format-cache')
  })

  test('too small, too large for its disk, another size than it has', async () => {
    harness.write('cache', Buffer.alloc(8 * MIB))
    await expectRefusal(['--no-size'], /--cache is too small for a cache; at least 32MiB/)
    await expectRefusal([], /--cache is smaller than --cache-size 32MiB/)
    await expectRefusal(['--cache', harness.path('new'), '--cache-size', '8TiB'], /--cache has no room for 8TiB/)
  })

  test('two names for one file', async () => {
    harness.write('cache', Buffer.alloc(32 * MIB))
    fs.linkSync(harness.cache, harness.path('second'))
    await expectRefusal([], /--cache has 2 names/)
  })
})
