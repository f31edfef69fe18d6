// Proves the FUSE front end against the real kernel, with both kinds of channel: a file system lives on it, fio verifies
// what it wrote, discards read back as zeros, flushes arrive exactly when the queue says so, errors come through, and a
// server that is killed or replaced under load costs nobody an error.
import fs from 'node:fs'
import path from 'node:path'
import { command, describeOnKernel, RamDevice } from './ram-device-harness.ts'

let device: RamDevice
afterEach(async () => {
  await device.dispose()
})

const fioVerify = (target: string, ...more: string[]) =>
  command(
    'fio',
    '--name=verify',
    `--filename=${target}`,
    '--direct=1',
    '--ioengine=libaio',
    '--rw=randwrite',
    '--bsrange=512-128k',
    '--bs_unaligned=0',
    '--blockalign=512',
    '--size=48m',
    '--iodepth=32',
    '--verify=crc32c',
    '--verify_fatal=1',
    '--randseed=7',
    '--verify_state_save=0',
    ...more,
  )

/** Writes and verifies for five seconds, beside what the test does meanwhile. */
function load(): { readonly done: Promise<string>; readonly ended: () => boolean } {
  let ended = false
  const done = fioVerify(device.device, '--verify_backlog=256', '--time_based', '--runtime=5').finally(() => {
    ended = true
  })
  done.catch(() => {})
  return { done, ended: () => ended }
}

function largeWrites(): Promise<string> {
  const fixed = ['--name=large', `--filename=${device.device}`, '--direct=1', '--ioengine=libaio', '--rw=randwrite']
  const work = command('fio', ...fixed, '--bs=1M', '--size=48m', '--iodepth=32', '--number_ios=150')
  work.catch(() => {})
  return work
}

/** Until the kernel has several requests outstanding at once. */
async function underLoad(work: { readonly ended: () => boolean }): Promise<void> {
  while (!work.ended() && Number((await device.status())['inFlight']) < 4);
}

for (const kind of ['epoll', 'readers'] as const) {
  describeOnKernel(`channel ${kind}`, () => {
    test('an ext4 file system lives on the device', async () => {
      device = new RamDevice(kind, { sizeBytes: 128 << 20 })
      await device.start()
      const mountPoint = path.join(device.directory, 'fs')
      fs.mkdirSync(mountPoint)
      await command('mkfs.ext4', '-q', device.device)
      await command('mount', device.device, mountPoint)
      await command('cp', '-r', path.resolve('base'), mountPoint)
      await command('umount', mountPoint)
      await command('e2fsck', '-fn', device.device)
      await command('mount', device.device, mountPoint)
      await command('diff', '-r', path.resolve('base'), path.join(mountPoint, 'base'))
      await command('umount', mountPoint)
      const status = await device.status()
      expect(status['failed']).toBe(0)
      expect(status['inFlight']).toBe(0)
    })

    test('fio finds what it wrote, in sizes from 512 bytes to 128 KiB at depth 32', async () => {
      device = new RamDevice(kind)
      await device.start()
      await fioVerify(device.device)
      await command(
        'fio',
        '--name=large',
        `--filename=${device.device}`,
        '--direct=1',
        '--ioengine=libaio',
        '--rw=write',
        '--bs=4m',
        '--iodepth=16',
        '--verify=crc32c',
        '--verify_fatal=1',
        '--size=64m',
      )
      expect((await device.status())['failed']).toBe(0)
    })

    test('discarded and zeroed ranges read back as zeros, their neighbours as before', async () => {
      device = new RamDevice(kind)
      await device.start()
      await command(
        'sh',
        '-c',
        `tr '\\000' 'x' </dev/zero | dd of=${device.device} bs=64k count=16 oflag=direct iflag=fullblock`,
      )
      await command('blkdiscard', '-o', '512', '-l', '1024', device.device)
      await command('blkdiscard', '-z', '-o', '65536', '-l', '65536', device.device)
      const copy = path.join(device.directory, 'copy')
      await command('dd', `if=${device.device}`, `of=${copy}`, 'bs=64k', 'count=16', 'iflag=direct')
      const expected = Buffer.alloc(16 * 65_536, 'x')
        .fill(0, 512, 1536)
        .fill(0, 65_536, 131_072)
      expect(fs.readFileSync(copy).equals(expected)).toBe(true)
      expect((await device.status())['zeroes']).toBe(2)
    })

    test('a flush arrives in write back and not in write through', async () => {
      device = new RamDevice(kind)
      await device.start()
      const writeAndSync = () =>
        command('dd', 'if=/dev/zero', `of=${device.device}`, 'bs=4k', 'count=1', 'oflag=direct', 'conv=fsync')
      expect(device.queue('write_cache')).toBe('write through')
      const before = Number((await device.status())['flushes'])
      await writeAndSync()
      expect(Number((await device.status())['flushes'])).toBe(before)
      await device.ask('write-back', 'set')
      await writeAndSync()
      const first = Number((await device.status())['flushes'])
      await writeAndSync()
      expect(first).toBeGreaterThan(before)
      expect(Number((await device.status())['flushes'])).toBeGreaterThan(first)
    })

    test('an error of the engine reaches the application', async () => {
      device = new RamDevice(kind)
      await device.start()
      await device.ask(`fail ${32 << 20}`, 'failing')
      await command('dd', 'if=/dev/zero', `of=${device.device}`, 'bs=1M', 'count=32', 'oflag=direct')
      const write = command('dd', 'if=/dev/zero', `of=${device.device}`, 'bs=1M', 'seek=32', 'count=1', 'oflag=direct')
      await expect(write).rejects.toThrow('Input/output error')
      const read = command(
        'dd',
        `if=${device.device}`,
        'of=/dev/null',
        'bs=4k',
        'skip=10000',
        'count=1',
        'iflag=direct',
      )
      await expect(read).rejects.toThrow('Input/output error')
    })

    test('servers killed under load: the successor gets every unanswered request, fio sees no error', async () => {
      const store = `/dev/shm/forebay-fuse-${process.pid}-${kind}`
      fs.writeFileSync(store, Buffer.alloc(64 << 20))
      try {
        device = new RamDevice(kind, { store, delayMs: 4 })
        const first = await device.start()
        const work = load()
        let resent = 0
        for (let round = 0; round < 3; round++) {
          await underLoad(work)
          await device.kill()
          const drained = device.until('resend-drained')
          const ready = await device.start()
          expect(ready['session']).toEqual(first['session'])
          resent += Number((await drained)['resent'])
        }
        await work.done
        expect(resent).toBeGreaterThan(0)
      } finally {
        fs.rmSync(store)
      }
    })

    test('servers killed while the kernel hands them their first large requests cost nobody an error', async () => {
      const store = `/dev/shm/forebay-fuse-${process.pid}-${kind}`
      fs.writeFileSync(store, Buffer.alloc(64 << 20))
      try {
        device = new RamDevice(kind, { store, delayMs: 4 })
        await device.start()
        for (let round = 0; round < 12; round++) {
          const work = largeWrites()
          while (Number((await device.status())['inFlight']) === 0);
          await new Promise((resolve) => setTimeout(resolve, round % 3))
          await device.kill()
          await device.start()
          expect(await work).toContain('err= 0')
        }
      } finally {
        fs.rmSync(store)
      }
    })

    test('an upgrade under load: answers what it has taken, the rest waits for the successor', async () => {
      const store = `/dev/shm/forebay-fuse-${process.pid}-${kind}`
      fs.writeFileSync(store, Buffer.alloc(64 << 20))
      try {
        device = new RamDevice(kind, { store, delayMs: 4 })
        await device.start()
        const work = load()
        for (let round = 0; round < 3; round++) {
          await underLoad(work)
          await device.ask('stop', 'stopped')
          expect(await device.ended()).toBe(0)
          const drained = device.until('resend-drained')
          await device.start()
          await drained
        }
        expect(await work.done).toContain('err= 0')
      } finally {
        fs.rmSync(store)
      }
    })

    test('without RESEND an idle or busy server can be replaced too: it answers all that it has read', async () => {
      const store = `/dev/shm/forebay-fuse-${process.pid}-${kind}`
      fs.writeFileSync(store, Buffer.alloc(64 << 20))
      try {
        device = new RamDevice(kind, { store, delayMs: 1, maskResend: true })
        await device.start()
        await device.ask('stop', 'stopped')
        expect(await device.ended()).toBe(0)
        await device.start()
        const work = load()
        for (let round = 0; round < 3; round++) {
          await underLoad(work)
          await device.ask('stop', 'stopped')
          expect(await device.ended()).toBe(0)
          await device.start()
        }
        expect(await work.done).toContain('err= 0')
      } finally {
        fs.rmSync(store)
      }
    })

    test('a grown volume is seen through the loop device', async () => {
      device = new RamDevice(kind)
      await device.start()
      await device.ask(`grow ${96 << 20}`, 'grown')
      expect((await command('blockdev', '--getsize64', device.device)).trim()).toBe(String(96 << 20))
      await command('dd', 'if=/dev/zero', `of=${device.device}`, 'bs=1M', 'seek=95', 'count=1', 'oflag=direct')
    })

    test('more and larger requests than there are buffers for: reading pauses, everything is answered', async () => {
      device = new RamDevice(kind, { delayMs: 5 })
      await device.start()
      await command(
        'fio',
        '--name=flood',
        `--filename=${device.device}`,
        '--direct=1',
        '--ioengine=libaio',
        '--rw=randread',
        '--bs=1m',
        '--iodepth=64',
        '--numjobs=2',
        '--size=64m',
        '--loops=2',
      )
      const status = await device.status()
      expect(Number(status['pauses'])).toBeGreaterThan(0)
      expect(Number(status['readMemoryBytes'])).toBeLessThanOrEqual(48 << 20)
      expect(status['inFlight']).toBe(0)
    })

    test('a kernel without RESEND is told apart', async () => {
      device = new RamDevice(kind, { maskResend: true })
      const ready = await device.start()
      expect(ready['session']).toMatchObject({ resend: false, flags2: 0 })
      await fioVerify(device.device, '--size=4m')
    })
  })
}
