// One merged write of a generation: its sectors come verified from the log, in one buffer, and it tells how it ended.
import { xxhash64Low32 } from '../../../../base/xxhash64.ts'
import { RunCursor } from '../../../../csi-driver/backing/backing-store.ts'
import { ScratchPool } from '../../../../csi-driver/engine/cache-reader.ts'
import { DestageRun, RUN_BYTES_MAX, type RunOwner } from '../../../../csi-driver/engine/destage-run.ts'
import { heapMemory, makeCore, TestMachine } from './harness.ts'

const LOG_SECTOR = 64

async function make() {
  const machine = new TestMachine()
  const core = await makeCore(machine)
  const told: string[] = []
  let goOn = true
  const owner: RunOwner = {
    onRunRead: () => {
      told.push('read')
      return goOn
    },
    onRunWritten: () => void told.push('written'),
    onRunFailed: () => void told.push('failed'),
    onRunUnreadable: (_run, message) => void told.push(message),
  }
  const run = new DestageRun(core, new ScratchPool(heapMemory))
  let next = LOG_SECTOR
  /** A record of `sectors` sectors from `first` of the block, filled with `fill`. */
  const put = (block: number, first: number, sectors: number, fill: number): void => {
    machine.cache.bytes.fill(fill, next * 512, (next + sectors) * 512)
    const hash = xxhash64Low32(machine.cache.bytes, next * 512, (next + sectors) * 512)
    core.index.putDirty(block, ((1 << sectors) - 1) << first, next - first, hash)
    next += sectors
  }
  const start = (): number => {
    const snapshot = core.index.freeze(core.zeros)
    const cursor = new RunCursor()
    cursor.reset(snapshot.block, snapshot.valid, snapshot.count, RUN_BYTES_MAX / 512)
    let runs = 0
    while (cursor.next()) {
      runs += 1
      run.start(snapshot, cursor, 0, owner)
    }
    return runs
  }
  return { machine, core, run, told, put, start, stop: () => void (goOn = false) }
}

test('fragments of several records and blocks become one write', async () => {
  const { machine, put, start, told } = await make()
  put(1, 4, 4, 0x11)
  put(2, 0, 8, 0x22)
  put(2, 2, 1, 0x33)
  put(3, 0, 2, 0x44)
  expect(start()).toBe(1)
  expect(told).toEqual(['read', 'written'])
  expect(machine.backing.begun).toEqual([`write ${4096 + 2048}+${2048 + 4096 + 1024}`])
  const expected = Buffer.alloc(7168, 0x22)
    .fill(0x11, 0, 2048)
    .fill(0x33, 2048 + 1024, 2048 + 1536)
    .fill(0x44, 6144)
  expect(machine.backing.bytes.subarray(6144, 6144 + 7168)).toEqual(expected)
})

test('a block with a hole is written by two runs', async () => {
  const { machine, put, start } = await make()
  put(1, 0, 2, 0x11)
  put(1, 5, 1, 0x22)
  expect(start()).toBe(2)
  expect(machine.backing.begun).toEqual(['write 4096+1024', 'write 6656+512'])
})

test('data that is not what was written never reaches the backing', async () => {
  const { machine, run, put, start, told } = await make()
  put(1, 0, 8, 0x11)
  machine.cache.bytes[LOG_SECTOR * 512 + 1] = 0
  start()
  expect(told).toEqual([expect.stringMatching(/dirty data unreadable sector=8 bytes=4096 reason=checksum mismatch/)])
  expect([machine.backing.count('write'), run.readAttempts]).toEqual([0, 1])
  machine.cache.bytes[LOG_SECTOR * 512 + 1] = 0x11
  run.readAgain()
  expect(told.slice(1)).toEqual(['read', 'written'])
})

test('a failed write keeps the data for the next attempt', async () => {
  const { machine, run, put, start, told } = await make()
  put(1, 0, 8, 0x11)
  machine.backing.fail('write', 2)
  start()
  machine.cache.fail('read', Infinity)
  run.writeAgain()
  run.writeAgain()
  expect(told).toEqual(['read', 'failed', 'failed', 'written'])
  expect(machine.backing.bytes[4096]).toBe(0x11)
})

test('an owner that stops gets no write', async () => {
  const { machine, put, start, stop } = await make()
  put(1, 0, 8, 0x11)
  stop()
  start()
  expect(machine.backing.count('write')).toBe(0)
})
