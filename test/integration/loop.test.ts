// Proves what the loop device owes the host: settings that would lose somebody else's flushes are put back before the
// device is given away, also when everything of ours was killed; who holds a device is named; nothing is left over.
import fs from 'node:fs'
import path from 'node:path'
import { systemFiles } from '../../csi-driver/io/real/small-files.ts'
import { command, describeOnKernel, RamDevice } from './ram-device-harness.ts'

let device: RamDevice
const others: RamDevice[] = []
afterEach(async () => {
  for (const one of [device, ...others.splice(0)]) await one.dispose()
})

const bound = (loop: string): boolean => fs.existsSync(`/sys/block/${path.basename(loop)}/loop/backing_file`)

/** Attaches a plain file to that very loop device and returns its settings as the next user finds them. */
async function settingsOfNextUser(loop: string): Promise<object> {
  const file = path.join(device.directory, 'plain')
  fs.writeFileSync(file, Buffer.alloc(1 << 20))
  await command('losetup', loop, file)
  try {
    return {
      writeCache: device.queue('write_cache'),
      strictLimit: device.bdi('strict_limit'),
      dirtyLimited: Number(device.bdi('max_bytes')) <= 300 << 20,
    }
  } finally {
    await command('losetup', '-d', loop)
  }
}

describeOnKernel('a loop device', () => {
  test('an attached volume has its settings, its name, direct I/O and no visible mount', async () => {
    device = new RamDevice('epoll', { sectorBytes: 4096 })
    await device.start()
    expect(device.queue('write_cache')).toBe('write through')
    expect(device.queue('max_sectors_kb')).toBe('1024')
    expect(device.queue('logical_block_size')).toBe('4096')
    expect(device.bdi('strict_limit')).toBe('1')
    expect(Math.abs(Number(device.bdi('max_bytes')) - (256 << 20))).toBeLessThan(16 << 20)
    expect(fs.readFileSync(`/sys/block/${path.basename(device.device)}/loop/dio`, 'utf8').trim()).toBe('1')
    expect(fs.readlinkSync(`/dev/forebay/${device.volume}`)).toBe(device.device)
    expect(fs.readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(device.runDirectory)
  })

  test('after a detach the next user of the loop device has flushes again', async () => {
    device = new RamDevice('epoll')
    await device.start()
    const loop = device.device
    await device.ask('detach', 'gone')
    expect(bound(loop)).toBe(false)
    expect(fs.existsSync(`/dev/forebay/${device.volume}`)).toBe(false)
    expect(fs.existsSync(path.join(device.runDirectory, 'attach.json'))).toBe(false)
    expect(await settingsOfNextUser(loop)).toEqual({ writeCache: 'write back', strictLimit: '0', dirtyLimited: false })
  })

  test('one that goes away while it is asked for what is behind it is gone, and no error', async () => {
    device = new RamDevice('epoll')
    await device.start()
    const file = path.join(device.directory, 'plain')
    fs.writeFileSync(file, Buffer.alloc(1 << 20))
    const loop = (await command('losetup', '--find')).trim()
    const ask = (): Promise<string | null> => systemFiles.read(`/sys/block/${path.basename(loop)}/loop/backing_file`)
    for (let i = 0; i < 20; i++) {
      await command('losetup', loop, file)
      let isGone = false
      const detached = command('losetup', '-d', loop).then(() => (isGone = true))
      // Many at once, so that some have opened the attribute when the kernel takes it away.
      while (!isGone) await Promise.all(Array.from({ length: 8 }, ask))
      await detached
      expect(await ask()).toBeNull()
    }
  })

  test('after everything was killed the clean-up does the same', async () => {
    device = new RamDevice('epoll')
    await device.start()
    const loop = device.device
    await device.kill()
    device.closeHolder()
    expect(await device.cleanUp()).toEqual({ found: true, detached: [loop], lingering: [] })
    expect(bound(loop)).toBe(false)
    expect(fs.existsSync(`/dev/forebay/${device.volume}`)).toBe(false)
    expect(await settingsOfNextUser(loop)).toEqual({ writeCache: 'write back', strictLimit: '0', dirtyLimited: false })
    expect(await device.cleanUp()).toEqual({ found: false, detached: [], lingering: [] })
  })

  test('a connection whose descriptor somebody still holds is aborted, its users get errors', async () => {
    device = new RamDevice('epoll')
    await device.start()
    await device.ask('delay 600000', 'delaying')
    const stuck = command('dd', 'if=/dev/zero', `of=${device.device}`, 'bs=4k', 'count=1', 'oflag=direct')
    stuck.catch(() => {})
    while (Number((await device.status())['inFlight']) === 0);
    await device.kill()
    expect(await device.cleanUp()).toMatchObject({ found: true })
    await expect(stuck).rejects.toThrow('Input/output error')
  })

  test('a mounted device is detached when it is unmounted, and until then somebody is named', async () => {
    device = new RamDevice('epoll')
    await device.start()
    const loop = device.device
    const mountPoint = path.join(device.directory, 'fs')
    fs.mkdirSync(mountPoint)
    await command('mkfs.ext4', '-q', loop)
    await command('mount', loop, mountPoint)
    const gone = device.until('gone')
    const held = await device.ask('detach', 'held')
    expect(held['holders']).toContain(`mounted at ${mountPoint}`)
    expect(device.queue('write_cache')).toBe('write back')
    fs.writeFileSync(path.join(mountPoint, 'still'), 'served')
    await command('umount', mountPoint)
    await gone
    expect(bound(loop)).toBe(false)
  })

  test('a process that has the device open is named', async () => {
    device = new RamDevice('readers')
    await device.start()
    const fd = fs.openSync(device.device, 'r')
    try {
      const held = await device.ask('detach', 'held')
      expect(String(held['holders'])).toContain(`open in process ${process.pid}`)
    } finally {
      fs.closeSync(fd)
    }
    await device.until('gone')
  })

  test('the clean-up of one volume leaves another alone', async () => {
    device = new RamDevice('epoll')
    await device.start()
    const other = new RamDevice('epoll')
    others.push(other)
    await other.start()
    await device.kill()
    device.closeHolder()
    await device.cleanUp()
    await command('dd', 'if=/dev/zero', `of=${other.device}`, 'bs=1M', 'count=4', 'oflag=direct')
    expect(bound(other.device)).toBe(true)
  })
})
