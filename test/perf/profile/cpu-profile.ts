// What a profile of V8 (`node --cpu-prof`) says about a stretch of time: how long the engine's thread was in each stage of
// an I/O. A sample belongs to the product's file that is nearest to it in the stack, so that a system call counts for
// who made it.

/** As V8 writes it: times in microseconds of the monotonic clock. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string }
  readonly children?: readonly number[]
}

export interface Stage {
  readonly title: string
  /** Parts of the path of the product's file, seen from the root; the first stage that matches takes the sample. */
  readonly files: readonly string[]
}

/** The engine has nothing to do: the time is somebody else's. */
export const ELSEWHERE =
  'application, block layer, loop, FUSE, wake-ups; the device, where a thread of the pool waits for it'
export const NATIVE = 'event loop of Node; read(2) of the first request'
export const GARBAGE = 'garbage collection'
export const OTHER = 'the rest of the product'

export const STAGES: readonly Stage[] = [
  { title: 'read(2) of further requests', files: ['io/real/epoll-fuse-channel.ts', 'io/real/busy-poll.ts'] },
  { title: 'write(2) of the reply: the kernel copies it and completes the request', files: ['io/real/fuse-reply.ts'] },
  { title: 'read(2) and write(2) of the cache device', files: ['io/real/file-storage.ts', 'io/real/latency-guard.ts'] },
  { title: 'checksums', files: ['base/xxhash64.ts'] },
  { title: 'frames of FUSE, pooled requests', files: ['frontend/fuse/'] },
  {
    title: 'log: batches, records, ring',
    files: ['batch/', 'journal/', 'engine/write-path.ts', 'engine/log-copies.ts'],
  },
  { title: 'index and read cache', files: ['engine/index/', 'engine/read-cache/', 'engine/apply-record.ts'] },
  {
    title: 'destage: runs, slots, settled blocks',
    files: ['engine/destage', 'engine/generation.ts', 'backing/'],
  },
  {
    title: 'copies: frames, TLS, membership',
    files: ['replica/', 'engine/replication/', 'io/real/tls', 'io/real/stream', 'io/real/socket-stream.ts'],
  },
  { title: 'read path, admission, phases', files: ['engine/'] },
]

const ELSEWHERE_FRAMES: ReadonlySet<string> = new Set(['(idle)'])
const PRODUCT_FOLDERS = ['/csi-driver/', '/base/']

function stageOfUrl(url: string): string | null {
  const folder = PRODUCT_FOLDERS.find((name) => url.includes(name))
  if (folder === undefined || url.includes('/node_modules/')) return null
  return STAGES.find(({ files }) => files.some((file) => url.includes(`/${file}`)))?.title ?? OTHER
}

/** Stage of each node by its id; wasm and Node's own functions take that of their caller. */
function stagesOf({ nodes }: CpuProfile): Map<number, string> {
  const parents = new Map<number, ProfileNode>()
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node)
  const stages = new Map<number, string>()
  for (const node of nodes) {
    const { functionName } = node.callFrame
    let stage: string | null = null
    if (ELSEWHERE_FRAMES.has(functionName)) stage = ELSEWHERE
    else if (functionName === '(garbage collector)') stage = GARBAGE
    for (let at: ProfileNode | undefined = node; stage === null && at !== undefined; at = parents.get(at.id)) {
      stage = stageOfUrl(at.callFrame.url)
    }
    stages.set(node.id, stage ?? NATIVE)
  }
  return stages
}

/** Microseconds in each stage between two moments of the monotonic clock; longest first. */
export function timeByStage(profile: CpuProfile, fromMicros: number, toMicros: number): ReadonlyMap<string, number> {
  const stages = stagesOf(profile)
  const spent = new Map<string, number>()
  let atMicros = profile.startTime
  profile.samples.forEach((id, i) => {
    // A sample stands for the time until the next one.
    atMicros += profile.timeDeltas[i] ?? 0
    if (atMicros < fromMicros || atMicros >= toMicros) return
    const stage = stages.get(id) ?? OTHER
    spent.set(stage, (spent.get(stage) ?? 0) + (profile.timeDeltas[i + 1] ?? 0))
  })
  return new Map([...spent].toSorted(([, a], [, b]) => b - a))
}

/** A table of microseconds for each I/O; stages below a fiftieth of what the engine does are one line. */
export function breakdownTable(spent: ReadonlyMap<string, number>, operations: number): string {
  const whole = [...spent.values()].reduce((sum, micros) => sum + micros, 0)
  const busy = whole - (spent.get(ELSEWHERE) ?? 0)
  const large = [...spent].filter(([, micros]) => micros >= busy / 50)
  const small = whole - large.reduce((sum, [, micros]) => sum + micros, 0)
  const line = (title: string, micros: number): string =>
    `| ${title} | ${(micros / operations).toFixed(1)} | ${Math.round((100 * micros) / whole)} % |`
  return [
    '| where | µs for each I/O | share |',
    '| --- | --: | --: |',
    ...large.map(([title, micros]) => line(title, micros)),
    ...(small > 0 ? [line('everything else', small)] : []),
    line('**whole**', whole),
  ].join('\n')
}
