// Proves: a sample counts for the product's file nearest to it in the stack, only those of the stretch count, and the
// table adds up.
import { breakdownTable, type CpuProfile, ELSEWHERE, GARBAGE, NATIVE, STAGES, timeByStage } from './cpu-profile.ts'

const frame = (functionName: string, url = ''): CpuProfile['nodes'][number]['callFrame'] => ({ functionName, url })
const PROFILE: CpuProfile = {
  startTime: 1000,
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 3, 4, 8] },
    { id: 2, callFrame: frame('(idle)') },
    { id: 3, callFrame: frame('(program)') },
    { id: 4, callFrame: frame('drain', 'file:///x/csi-driver/io/real/epoll-fuse-channel.ts'), children: [5] },
    { id: 5, callFrame: frame('writeReply', 'file:///x/csi-driver/io/real/fuse-reply.ts'), children: [6] },
    { id: 6, callFrame: frame('writeSync', 'node:fs'), children: [7] },
    { id: 7, callFrame: frame('(garbage collector)') },
    { id: 8, callFrame: frame('onStreamRead', 'node:internal/stream_base_commons') },
  ],
  samples: [2, 6, 4, 3, 7, 8, 2],
  timeDeltas: [0, 10, 20, 30, 40, 50, 60],
}
const [look, reply] = STAGES

test('every sample is the nearest file of the product, or what Node does by itself', () => {
  const spent = timeByStage(PROFILE, 0, 10_000)
  expect(Object.fromEntries(spent)).toEqual({
    [ELSEWHERE]: 10,
    [reply?.title ?? '']: 20,
    [look?.title ?? '']: 30,
    [NATIVE]: 40 + 60,
    [GARBAGE]: 50,
  })
  expect([...spent.keys()][0]).toBe(NATIVE)
})

test('only samples of the stretch count', () => {
  expect([...timeByStage(PROFILE, 1010, 1030).keys()]).toEqual([reply?.title])
  expect(timeByStage(PROFILE, 5000, 6000).size).toBe(0)
})

test('the table adds up, with small stages in one line', () => {
  const spent = new Map([
    [ELSEWHERE, 9000],
    ['a', 990],
    ['b', 1000],
    ['c', 5],
    ['d', 5],
  ])
  expect(breakdownTable(spent, 10).split('\n').slice(2)).toEqual([
    `| ${ELSEWHERE} | 900.0 | 82 % |`,
    '| a | 99.0 | 9 % |',
    '| b | 100.0 | 9 % |',
    '| everything else | 1.0 | 0 % |',
    '| **whole** | 1100.0 | 100 % |',
  ])
})
