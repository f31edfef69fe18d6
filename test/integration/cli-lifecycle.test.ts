// Proves the commands on a real volume, as a user meets them: ready line, status, policy, drain, resize, upgrade (and one
// that is refused by the new build's self-test), stop with somebody on the device, both kinds of stop by signal, what is
// shown of stopped volumes, inspect and verify, and the systemd unit's commands.
import fs from 'node:fs'
import { CliHarness, MIB, must, run, Running, until } from './cli-harness.ts'

let harness: CliHarness
beforeEach(() => {
  harness = new CliHarness()
})
afterEach(() => harness.dispose())

const device = (): string => `/dev/forebay/${harness.volume}`
const fill = (mebibytes: number): Promise<string> =>
  must('dd', 'if=/dev/urandom', `of=${device()}`, 'bs=1M', `count=${mebibytes}`, 'oflag=direct', 'conv=nocreat')

test('ready line, status with every promised field, a second serve refused', async () => {
  const served = await harness.serve()
  expect(served.out).toMatch(new RegExp(`^ready volume=${harness.volume} device=/dev/loop\\d+\n$`))
  const loop = /device=(\S+)/.exec(served.out)?.[1]
  expect(fs.realpathSync(device())).toBe(loop)
  await fill(2)
  expect(await harness.status()).toMatchObject({
    volume: harness.volume,
    state: 'serving',
    device: loop,
    backing: harness.backing,
    writePolicy: 'write-back',
    effectiveWritePolicy: 'write-back',
    reason: null,
    phase: 'WriteBack',
    epoch: 1,
    inSync: [{ node: expect.any(String), storeUuid: expect.any(String) }],
    dirtyBytes: expect.any(Number),
    oldestDirtySeconds: expect.any(Number),
    holderPid: served.child.pid,
    enginePid: expect.any(Number),
    readHits: expect.any(Number),
    readMisses: expect.any(Number),
  })
  const again = await harness.refused()
  expect(again.status).toBe(2)
  expect(again.err).toContain(
    `volume=${harness.volume} is in use by volume=${harness.volume}, process pid=${served.child.pid}`,
  )
  expect((await harness.status())['state']).toBe('serving')
})

test('json output', async () => {
  const { out } = await harness.serve('--output', 'json')
  expect(JSON.parse(out)).toEqual({ event: 'ready', volume: harness.volume, device: fs.realpathSync(device()) })
})

test('policy, drain and resize', async () => {
  await harness.serve('--dirty-age', '1h')
  await fill(4)
  expect(await harness.about('drain')).toMatchObject({ status: 0, out: `drained volume=${harness.volume}\n` })
  expect((await harness.status())['dirtyBytes']).toBe(0)
  await fill(4)
  expect(await harness.forebay('policy', harness.volume, 'write-through', '--state-dir', harness.state)).toMatchObject({
    status: 0,
    out: `policy volume=${harness.volume} policy=write-through\n`,
  })
  expect(await harness.status()).toMatchObject({
    effectiveWritePolicy: 'write-through',
    phase: 'WriteThrough',
    dirtyBytes: 0,
  })
  expect(await harness.forebay('policy', harness.volume, 'write-back', '--state-dir', harness.state)).toMatchObject({
    status: 0,
  })
  expect(await harness.status()).toMatchObject({ effectiveWritePolicy: 'write-back', phase: 'WriteBack' })
  fs.truncateSync(harness.backing, 96 * MIB)
  expect(await harness.about('resize')).toMatchObject({
    status: 0,
    out: `resized volume=${harness.volume} oldBytes=${64 * MIB} newBytes=${96 * MIB}\n`,
  })
  expect(await must('blockdev', '--getsize64', device())).toBe(String(96 * MIB))
})

test('upgrade replaces the engine; a build that fails its self-test does not', async () => {
  await harness.serve()
  const before = await harness.status()
  fs.mkdirSync(harness.path('bad/bin'), { recursive: true })
  fs.mkdirSync(harness.path('bad/csi-driver'))
  harness.write('bad/csi-driver/main.ts', '')
  harness.write('bad/bin/forebay', '#!/bin/sh\necho "it does not load" >&2\nexit 1\n')
  fs.chmodSync(harness.path('bad/bin/forebay'), 0o755)
  const refused = await harness.about('upgrade', '--build', harness.path('bad'))
  expect(refused).toMatchObject({ status: 1, out: '' })
  expect(refused.err).toContain('failed its self-test')
  expect(refused.err).toContain('it does not load')
  expect((await harness.status())['enginePid']).toBe(before['enginePid'])
  expect(await harness.about('upgrade')).toMatchObject({
    status: 0,
    out: expect.stringContaining(`upgraded volume=${harness.volume}`),
  })
  const after = await harness.status()
  expect(after['enginePid']).not.toBe(before['enginePid'])
  expect(after).toMatchObject({ state: 'serving', epoch: before['epoch'], holderPid: before['holderPid'] })
  await fill(1)
})

test('stop names who has the device, serves on until it is released, then ends clean', async () => {
  const served = await harness.serve()
  await must('mkfs.ext4', '-q', device())
  const mount = harness.path('mnt')
  fs.mkdirSync(mount)
  await must('mount', device(), mount)
  harness.later(() => run('umount', mount))
  // Ctrl-C ends only the waiting.
  const interrupted = new Running('bin/forebay', ['stop', harness.volume, '--state-dir', harness.state])
  await until(
    () => interrupted.err,
    () => interrupted.err.includes('mount point'),
  )
  interrupted.child.kill('SIGINT')
  expect(await interrupted.ended).toMatchObject({ status: 130, err: expect.stringContaining('goes on stopping') })
  const stopping = new Running('bin/forebay', ['stop', harness.volume, '--state-dir', harness.state])
  await until(
    () => stopping.err,
    () => stopping.err.includes(`open by mount point ${mount}`),
  )
  expect(await harness.status()).toMatchObject({ state: 'stopping', openBy: [{ kind: 'mount', name: mount }] })
  fs.writeFileSync(`${mount}/file`, 'still served')
  await must('sync', `${mount}/file`)
  await must('umount', mount)
  const stopped = await stopping.ended
  // Says why, should it have failed.
  expect(stopped.err).not.toContain('CACHE_')
  expect(stopped).toMatchObject({ status: 0, out: `stopped volume=${harness.volume}\n` })
  expect((await served.ended).status).toBe(0)
  expect(fs.existsSync(device())).toBe(false)
  expect(await harness.status()).toMatchObject({ state: 'stopped', dirtyBytes: 0, device: null })
  // The backing alone holds everything.
  await must('mount', '-o', 'loop', harness.backing, mount)
  expect(fs.readFileSync(`${mount}/file`, 'utf8')).toBe('still served')
})

test('a second signal stops at once with dirty data safe, which the next serve has', async () => {
  const served = await harness.serve('--dirty-age', '1h')
  await fill(3)
  const written = await must('sh', '-c', `dd if=${device()} bs=1M count=3 iflag=direct 2>/dev/null | sha1sum`)
  const user = new Running('sh', ['-c', `exec 9<${device()}; echo open; exec sleep 100`])
  await until(
    () => 'open',
    () => user.out === 'open\n',
  )
  served.child.kill('SIGTERM')
  await until(
    () => served.err,
    () => served.err.includes('serve.device_in_use'),
  )
  served.child.kill('SIGTERM')
  const { status } = await served.ended
  user.child.kill('SIGKILL')
  // By then the drain may have been through.
  expect([0, 3]).toContain(status)
  await harness.serve('--no-size')
  expect(await must('sh', '-c', `dd if=${device()} bs=1M count=3 iflag=direct 2>/dev/null | sha1sum`)).toBe(written)
})

/** Writes, and kills holder and engine in the same moment, before much of it can be on the backing. */
async function writeAndKill(served: Running): Promise<void> {
  const { enginePid } = (await harness.status()) as { enginePid: number }
  await fill(3)
  process.kill(served.child.pid as number, 'SIGKILL')
  process.kill(enginePid, 'SIGKILL')
  await served.ended
  await until(
    () => 'stopped-dirty',
    async () => (await harness.status())['state'] === 'stopped-dirty',
  )
}

test('killed while dirty: listed as such, at rest every invariant holds, and the next serve goes on', async () => {
  const served = await harness.serve('--dirty-age', '1h')
  expect(await harness.forebay('verify', harness.cache, '--state-dir', harness.state)).toMatchObject({
    status: 2,
    err: expect.stringContaining('being served'),
  })
  await writeAndKill(served)
  const table = await harness.about('status')
  expect(table.out).toContain('the cache holds writes that the backing lacks')
  const before = harness.fingerprint()
  const verified = await harness.forebay(
    'verify',
    harness.cache,
    '--state-dir',
    harness.state,
    '--backing',
    harness.backing,
  )
  expect(verified).toMatchObject({ status: 0, out: expect.stringMatching(/broken=0\n$/) })
  const inspected = await harness.forebay('inspect', harness.cache)
  expect(inspected).toMatchObject({ status: 0, out: expect.stringMatching(/^ {2}write seq=/m) })
  expect(inspected.out).not.toMatch(/"volumeKey":"[0-9a-f]/)
  expect(harness.fingerprint()).toBe(before)
  await harness.serve('--no-size')
  expect((await harness.about('stop')).status).toBe(0)
  expect((await harness.forebay('verify', harness.cache, '--state-dir', harness.state)).status).toBe(0)
})

test('verify finds a damaged record', async () => {
  const served = await harness.serve('--dirty-age', '1h')
  await writeAndKill(served)
  const { out } = await harness.forebay('inspect', harness.cache)
  const position = Number(/^batch .*position=(\d+).* count=[1-9]/m.exec(out)?.[1])
  const file = fs.openSync(harness.cache, 'r+')
  fs.writeSync(file, Buffer.alloc(64, 'x'), 0, 64, position + 8192)
  fs.closeSync(file)
  const verified = await harness.forebay('verify', harness.cache, '--state-dir', harness.state)
  expect(verified).toMatchObject({ status: 1, out: expect.stringContaining('BROKEN   log-ends-without-damage') })
})

test('Ctrl-C ends a watch without a mess', async () => {
  await harness.serve()
  const watch = new Running('bin/forebay', ['status', '--watch', '--output', 'json', '--state-dir', harness.state])
  await until(
    () => watch.err,
    () => watch.out.includes('\n'),
  )
  watch.child.kill('SIGINT')
  const watched = await watch.ended
  expect(watched).toMatchObject({ status: 0, err: '' })
  expect(JSON.parse(watched.out.split('\n')[0] as string)).toEqual([
    expect.objectContaining({ volume: harness.volume }),
  ])
  expect((await harness.status())['state']).toBe('serving')
})

test('the commands of the systemd unit', async () => {
  const unit = fs.readFileSync('docs/how-to/forebay@.service', 'utf8')
  const config = harness.write(
    'unit.yaml',
    `backing: ${harness.backing}\ncache: ${harness.cache}\ncacheSize: 32MiB\nstateDir: ${harness.state}\n`,
  )
  const line = (key: string): string => {
    const text = new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? ''
    return text
      .replaceAll('/opt/forebay', process.cwd())
      .replaceAll('/etc/forebay/%i.yaml', config)
      .replaceAll('%i', harness.volume)
      .replaceAll('$$', '$')
  }
  const served = new Running('/bin/sh', ['-c', `exec ${line('ExecStart')}`])
  harness.later(() => Promise.resolve(served.child.kill('SIGTERM')))
  const started = await run('/usr/bin/env', `MAINPID=${served.child.pid}`, '/bin/sh', '-c', line('ExecStartPost'))
  expect(started).toMatchObject({ status: 0 })
  expect(fs.existsSync(device())).toBe(true)
  served.child.kill('SIGTERM')
  expect((await served.ended).status).toBe(0)
  const dead = await run('/usr/bin/env', `MAINPID=${served.child.pid}`, '/bin/sh', '-c', line('ExecStartPost'))
  expect(dead.status).toBe(1)
})
