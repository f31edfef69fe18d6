// Proves that the self-test passes on a kernel that keeps its promises, that each of its checks fails when the promise
// is broken on purpose, and that it leaves nothing behind either way.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { MemoryEventLog } from '../../base/log.ts'
import type { PlantedFault } from '../../csi-driver/frontend/fuse/scratch-server.ts'
import { runSelfTest } from '../../csi-driver/frontend/fuse/self-test.ts'
import { SystemAlignedMemory } from '../../csi-driver/io/real/aligned-memory.ts'
import { RealProcesses } from '../../csi-driver/io/real/exec.ts'
import { createFuseDevices } from '../../csi-driver/io/real/fuse-devices.ts'
import { systemFiles } from '../../csi-driver/io/real/small-files.ts'
import { systemClock, systemTimers } from '../../csi-driver/io/real/system-clock.ts'
import { describeOnKernel } from './ram-device-harness.ts'

const SESSION = 'feedface00000001'

describeOnKernel('self-test', () => {
  let directory: string
  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'forebay-self-test-'))
  })
  afterEach(() => {
    fs.rmSync(directory, { recursive: true })
  })

  /** What a run that should have taken itself down has left. */
  function leftovers(): string[] {
    const files = fs.readdirSync('/sys/block').map((name) => `/sys/block/${name}/loop/backing_file`)
    const bound = files.filter((file) => fs.existsSync(file) && fs.readFileSync(file, 'utf8').includes(SESSION))
    return [...bound, ...fs.readdirSync(directory)]
  }

  const run = (planted: PlantedFault, maskResend = false) =>
    runSelfTest(
      {
        host: { processes: new RealProcesses(), files: systemFiles, timers: systemTimers, log: new MemoryEventLog() },
        devices: createFuseDevices(new SystemAlignedMemory()),
        clock: systemClock,
      },
      { runDirectory: path.join(directory, 'scratch'), kind: 'epoll', sessionHex: SESSION, planted, maskResend },
    )

  test('passes, and says what the kernel grants', async () => {
    const { session } = await run('none')
    expect(session).toMatchObject({ sessionHex: SESSION, maxWrite: 1 << 20 })
    expect(leftovers()).toEqual([])
  })

  test('with RESEND masked it reports none and does not ask for it', async () => {
    expect((await run('resend-ignored', true)).session.resend).toBe(false)
  })

  test.each<[PlantedFault, string]>([
    ['no-async-dio', 'answered short counts as written'],
    ['fsync-enosys', 'did not reach us'],
    ['discard-ignored', 'does not read back as zeros'],
    ['resend-ignored', 'was not sent again'],
  ])('planted %s is found', async (planted, what) => {
    await expect(run(planted)).rejects.toMatchObject({ code: 'CACHE_SELF_TEST' })
    await expect(run(planted)).rejects.toThrow(what)
    expect(leftovers()).toEqual([])
  })
})
