// What is measured: the C floor, the engine on both resources, and the bare disks. Floor and engine get the same loop
// device set-up. Everything is registered with the test bed, which takes it down.
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SILENT_LOG } from '../../base/log.ts'
import { setUpLoop } from '../../csi-driver/frontend/loop/attach.ts'
import { applySettings, restoreSettings } from '../../csi-driver/frontend/loop/loop-device.ts'
import { RealProcesses } from '../../csi-driver/io/real/exec.ts'
import { systemFiles } from '../../csi-driver/io/real/small-files.ts'
import { systemTimers } from '../../csi-driver/io/real/system-clock.ts'
import { Served } from '../integration/harness/served.ts'
import { command, MIB, type TestBed, tryCommand } from '../integration/harness/test-bed.ts'

export interface BenchSettings {
  readonly spanBytes: number
  readonly volumeBytes: number
  readonly cacheBytes: number
  readonly busyPollMicros: number
}

export interface Target {
  readonly name: string
  readonly path: string
  /** Process that serves it; asked anew for each run. 0: none. */
  readonly pid: () => number
  readonly served: Served | null
}

const SECTOR_BYTES = 512
const FLOOR_SOURCE = fileURLToPath(new URL('floor.c', import.meta.url))
const host = { processes: new RealProcesses(), files: systemFiles, timers: systemTimers, log: SILENT_LOG }

export async function floorTarget(bed: TestBed, name: string, settings: BenchSettings): Promise<Target> {
  const program = bed.path('floor')
  await command('gcc', '-O2', '-Wall', '-o', program, FLOOR_SOURCE)
  const mountPoint = bed.path('floor-mount')
  mkdirSync(mountPoint)
  const words = [mountPoint, String(settings.volumeBytes / MIB), String(settings.busyPollMicros)]
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = new Promise((resolve) => child.on('exit', resolve))
  bed.later('floor', () => {
    child.kill('SIGKILL')
    return gone
  })
  await Promise.race([
    new Promise((resolve) => child.stdout.once('data', resolve)),
    gone.then(() => Promise.reject(new Error('the floor has ended before it was mounted'))),
  ])
  const path = await setUpLoop(host, `${mountPoint}/volume`, SECTOR_BYTES)
  bed.later(`floor device ${path}`, async () => {
    await restoreSettings(host, path)
    await command('losetup', '-d', path)
  })
  await applySettings(host, path, 'write through')
  await tryCommand('umount', ['-l', mountPoint])
  return { name, path, pid: () => child.pid ?? 0, served: null }
}

export async function servedTarget(
  bed: TestBed,
  name: string,
  settings: BenchSettings,
  resource: 'memory' | 'flash',
): Promise<Target> {
  const disk = await bed.slowDisk({ sizeBytes: settings.volumeBytes })
  const inMemory = resource === 'memory'
  const served = await Served.serve(bed, {
    backing: disk.device,
    cacheSize: `${settings.cacheBytes / MIB}MiB`,
    ...(inMemory ? { cache: `${bed.memoryDirectory(settings.cacheBytes + 16 * MIB)}/cache` } : {}),
    flags: [
      '--resource',
      resource,
      ...(inMemory ? ['--allow-volatile'] : []),
      '--busy-poll',
      String(settings.busyPollMicros),
    ],
  })
  return { name, path: served.device, pid: () => served.enginePid, served }
}

export async function rawBackingTarget(bed: TestBed, name: string, settings: BenchSettings): Promise<Target> {
  const disk = await bed.slowDisk({ sizeBytes: settings.volumeBytes })
  return { name, path: disk.device, pid: () => 0, served: null }
}

/** A file on the cache's disk, written once, as the cache file is. */
export async function rawFilePath(bed: TestBed, settings: BenchSettings): Promise<string> {
  const path = bed.path('raw-cache')
  await command('dd', 'if=/dev/urandom', `of=${path}`, 'bs=1M', `count=${settings.spanBytes / MIB}`, 'oflag=direct')
  await command('sync', path)
  return path
}
