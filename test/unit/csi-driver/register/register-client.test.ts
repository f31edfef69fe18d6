// Proves that the client carries every change through to a settled outcome under the three fates of a compare-and-swap,
// in the order intent, change, settled record (rule 1.3), one at a time; that it says fenced exactly when a newer epoch
// exists; and that stop ends its waiting. Random fates and rivals: an applied answer is always in the register's history.
import fc from 'fast-check'
import type { Timer, Timers } from '../../../../base/clock.ts'
import { MemoryEventLog } from '../../../../base/log.ts'
import { createPrng } from '../../../../base/prng.ts'
import { claim, setDirty, setPhase } from '../../../../csi-driver/protocol/register-transitions.ts'
import { type CasFate, type CasFates, MemoryRegister } from '../../../../csi-driver/register/memory-register.ts'
import type { RegisterRecord } from '../../../../csi-driver/register/record.ts'
import { OPENING_ATTEMPTS_MAX, RegisterClient } from '../../../../csi-driver/register/register-client.ts'
import type { CasReply, Register } from '../../../../csi-driver/register/register.ts'
import type { RegisterIntent } from '../../../../csi-driver/register/settlement.ts'
import { aRecord, MEMBER } from './records.ts'

/** Time passes as soon as somebody waits for it; `hold` makes it stand still. */
class Steps implements Timers {
  hold = false
  after(_delayMs: number, callback: () => void): Timer {
    let cancelled = false
    if (!this.hold) void Promise.resolve().then(() => (cancelled ? undefined : callback()))
    return { cancel: () => void (cancelled = true) }
  }
  soon(callback: () => void): void {
    this.after(0, callback)
  }
}

class World implements CasFates {
  readonly register = new MemoryRegister(this)
  readonly trace: string[] = []
  readonly late: (() => void)[] = []
  readonly timers = new Steps()
  fates: CasFate[] = []
  stuck: CasFate = 'answered'
  readsFailing = 0
  hookError: string | null = null
  intents: RegisterIntent[] = []

  fate(next: RegisterRecord): CasFate {
    const fate = this.fates.shift() ?? this.stuck
    this.trace.push(`send ${next.rv} ${fate}`)
    return fate
  }

  later(land: () => void): void {
    this.late.push(land)
  }

  readFails(): boolean {
    return this.readsFailing-- > 0
  }

  client(register: Register = this.register): RegisterClient {
    const hook = async (name: string): Promise<void> => {
      this.trace.push(name)
      if (this.hookError !== null && name.startsWith(this.hookError)) throw new Error('superblock')
    }
    const hooks = {
      beforeSend: (intent: RegisterIntent) => (
        this.intents.push(intent), hook(`intent ${intent.change} ${intent.expectedRv}`)
      ),
      afterSettled: (record: RegisterRecord) => hook(`settled ${record.rv}`),
    }
    return new RegisterClient({ register, hooks, timers: this.timers, prng: createPrng(1), log: new MemoryEventLog() })
  }
}

const START = aRecord({ rv: 1, phase: 'WriteThrough', dirty: false })
const toWriteBack = (record: RegisterRecord): RegisterRecord => setPhase(record, { phase: 'WriteBack', dirty: true })

async function started(): Promise<{ world: World; client: RegisterClient }> {
  const world = new World()
  await world.register.compareAndSwap(0, START)
  const client = world.client()
  await client.read()
  world.trace.length = 0
  return { world, client }
}

test('a look for a newer owner believes the register alone, and neither waits nor takes over what it sees', async () => {
  const { world, client } = await started()
  expect(await client.isOvertaken()).toBe(false)
  await rival(world, (record) => claim(record, { node: 'node-2' }))
  world.readsFailing = 1
  expect(await client.isOvertaken()).toBe(false)
  expect(await client.isOvertaken()).toBe(true)
  expect(client.record?.epoch).toBe(START.epoch)
})

/** Somebody else changes the register right now. */
async function rival(world: World, mutate: (record: RegisterRecord) => RegisterRecord): Promise<void> {
  const record = world.register.current!
  const { stuck, fates } = world
  const traced = world.trace.length
  Object.assign(world, { stuck: 'answered', fates: [] })
  const next = { ...mutate(record), rv: record.rv + 1, changeId: 'ab'.repeat(8) }
  expect(await world.register.compareAndSwap(record.rv, next)).toBe('applied')
  Object.assign(world, { stuck, fates })
  world.trace.length = traced
}

test('intent, change, settled record: in this order', async () => {
  const { world, client } = await started()
  expect(await client.change('write-back', toWriteBack)).toBe('applied')
  expect(world.trace).toEqual(['intent write-back 1', 'send 2 answered', 'settled 2'])
  expect(client.record).toEqual(world.register.current)
  expect(client.record).toMatchObject({ rv: 2, dirty: true })
  expect(client.intent).toBeNull()
})

test('an unknown outcome is repeated until it is settled; the stricter outcome holds meanwhile', async () => {
  const { world, client } = await started()
  world.fates = ['lands-later', 'reply-lost']
  world.timers.hold = true
  const done = client.change('write-back', toWriteBack)
  while (world.late.length === 0) await Promise.resolve()
  await Promise.resolve()
  expect(client.unsettled).toMatchObject({ freeze: true, maybeClean: true, members: [MEMBER] })
  expect(client.intent).toMatchObject({ change: 'write-back', expectedRv: 1 })
  expect(client.record).toMatchObject({ rv: 1 })
  client.stop()
  await expect(done).rejects.toMatchObject({ kind: 'unknown-outcome', code: 'CACHE_REGISTER_STOPPED' })
  expect(client.intent).not.toBeNull()
  await expect(client.change('again', setDirty)).rejects.toMatchObject({ code: 'CACHE_REGISTER_STOPPED' })
})

test.each<[string, CasFate[]]>([
  ['the reply is lost', ['reply-lost']],
  ['nothing arrives twice', ['lands-later', 'lands-later']],
  ['the reply of the repetition is lost too', ['lands-later', 'reply-lost', 'reply-lost']],
])('applied once when %s', async (_name, fates) => {
  const { world, client } = await started()
  world.fates = fates
  expect(await client.change('write-back', toWriteBack)).toBe('applied')
  for (const land of world.late) land()
  expect(world.register.history()).toHaveLength(2)
  expect(client.record).toEqual(world.register.current)
  expect(world.trace.filter((event) => event.startsWith('intent'))).toHaveLength(1)
})

test('a newer epoch fences; what holds there is not stored', async () => {
  const { world, client } = await started()
  await rival(world, (record) => claim(record, { node: 'node-2' }))
  expect(await client.change('write-back', toWriteBack)).toBe('fenced')
  expect(client.record).toEqual(START)
  expect(world.trace.filter((event) => event.startsWith('settled'))).toEqual([])
})

test('fenced is found out also behind a lost reply', async () => {
  const { world, client } = await started()
  world.fates = ['lands-later']
  world.readsFailing = 2
  const done = client.change('write-back', toWriteBack)
  await rival(world, (record) => claim(record, { node: 'node-2' }))
  expect(await done).toBe('fenced')
})

test('a late change of the own epoch is taken in, and the wanted one made on top', async () => {
  const { world, client } = await started()
  await rival(world, (record) => ({ ...record, lastSeq: 5000 }))
  expect(await client.change('write-back', toWriteBack)).toBe('applied')
  expect(world.trace).toEqual([
    'intent write-back 1',
    'send 2 answered',
    'settled 2',
    'intent write-back 2',
    'send 3 answered',
    'settled 3',
  ])
  expect(client.record).toMatchObject({ rv: 3, lastSeq: 5000, dirty: true })
})

test('a claim is decided anew after any other change', async () => {
  const { world, client } = await started()
  await rival(world, (record) => ({ ...record, lastSeq: 5000 }))
  expect(await client.claim((record) => claim(record, { node: 'node-1' }))).toBe('fenced')
  await client.read()
  expect(await client.claim((record) => claim(record, { node: 'node-1' }))).toBe('applied')
  expect(client.record).toMatchObject({ epoch: 3, lastSeq: 5000 })
})

test('changes wait for one another', async () => {
  const { world, client } = await started()
  world.fates = ['lands-later', 'answered']
  const both = [
    client.change('write-back', toWriteBack),
    client.change('drain', (record) => setPhase(record, { phase: 'DrainWT', dirty: true })),
  ]
  expect(await Promise.all(both)).toEqual(['applied', 'applied'])
  expect(world.trace.map((event) => event.split(' ')[0])).toEqual([
    'intent',
    'send',
    'send',
    'settled',
    'intent',
    'send',
    'settled',
  ])
})

test('a claim and a creation give up, and leave the intent open', async () => {
  const { world, client } = await started()
  world.stuck = 'lands-later'
  await expect(client.claim((record) => claim(record, { node: 'node-1' }))).rejects.toMatchObject({
    code: 'CACHE_REGISTER_UNSETTLED',
  })
  expect(world.late).toHaveLength(OPENING_ATTEMPTS_MAX)
  await expect(client.change('later', setDirty)).rejects.toMatchObject({ code: 'CACHE_REGISTER_UNSETTLED' })
  const fresh = new World()
  fresh.fates = ['reply-lost']
  const creator = fresh.client()
  expect(await creator.create(START)).toBe('applied')
  expect(fresh.register.current).toMatchObject({ rv: 1, volume: 'tank' })
})

test('a hook that fails before sending sends nothing; one that fails after leaves the intent open', async () => {
  const { world, client } = await started()
  world.hookError = 'intent'
  await expect(client.change('write-back', toWriteBack)).rejects.toThrow('superblock')
  expect(world.trace).toEqual(['intent write-back 1'])
  expect(client.intent).toBeNull()
  world.hookError = 'settled'
  await expect(client.change('write-back', toWriteBack)).rejects.toThrow('superblock')
  expect(client.intent).not.toBeNull()
  expect(client.record).toMatchObject({ rv: 1 })
})

const toDrain = (record: RegisterRecord): RegisterRecord => setPhase(record, { phase: 'DrainWT', dirty: true })

test('another register in the place of the known one is refused', async () => {
  const { world, client } = await started()
  await client.change('write-back', toWriteBack)
  const other = new World()
  await other.register.compareAndSwap(0, { ...START, registerNonce: 'f'.repeat(START.registerNonce.length) })
  const confused = world.client(other.register)
  confused.adopt(client.record!)
  await expect(confused.change('drain', toDrain)).rejects.toMatchObject({
    kind: 'corrupt',
    code: 'CACHE_REGISTER_REPLACED',
  })
})

/** What a register shows whose file system comes and goes: `shown`, or what really stands in it. */
class Mount implements Register {
  shown: RegisterRecord | null | 'all' = 'all'
  sent = 0
  private readonly register: Register
  private readonly looks: (look: number) => void
  private look = 0

  constructor(register: Register, looks: (look: number) => void) {
    this.register = register
    this.looks = looks
  }

  async read(): Promise<RegisterRecord | null> {
    this.looks((this.look += 1))
    return this.shown === 'all' ? this.register.read() : this.shown
  }

  async compareAndSwap(expectedRv: number, next: RegisterRecord): Promise<CasReply> {
    this.sent += 1
    return this.shown === 'all' ? this.register.compareAndSwap(expectedRv, next) : 'conflict'
  }
}

test.each([
  ['is not mounted', null],
  ['shows an older state', START],
])('a register that %s for a while is waited for', async (_name, shown) => {
  const { world, client } = await started()
  await client.change('write-back', toWriteBack)
  const errors = new Set<string>()
  const mount = new Mount(world.register, (look) => {
    errors.add(owner.lastError)
    if (look === 5) mount.shown = 'all'
  })
  mount.shown = shown
  const owner = world.client(mount)
  owner.adopt(client.record!)
  expect(await owner.change('drain', toDrain)).toBe('applied')
  expect([...errors].join(' ')).toMatch('is its file system mounted?')
  expect(owner.lastError).toBe('none')
  expect((await world.register.read())?.phase).toBe('DrainWT')
  // The first attempt and the one after the return; nothing is thrown at what cannot be the newest state.
  expect(mount.sent).toBe(2)
})

test('what others wrote on top of an older state is not overwritten, even under the same version', async () => {
  const { world, client } = await started()
  await client.change('write-back', toWriteBack)
  const restored = new World()
  const mount = new Mount(restored.register, (look) => {
    if (look === 2) void restored.register.compareAndSwap(1, { ...START, rv: 2, changeId: 'e'.repeat(16) })
    if (look === 6) owner.stop()
  })
  await restored.register.compareAndSwap(0, START)
  const owner = world.client(mount)
  owner.adopt(client.record!)
  await expect(owner.change('drain', toDrain)).rejects.toMatchObject({ code: 'CACHE_REGISTER_STOPPED' })
  expect(await restored.register.read()).toMatchObject({ rv: 2, changeId: 'e'.repeat(16) })
})

test('reading is tried a few times', async () => {
  const { world, client } = await started()
  world.readsFailing = OPENING_ATTEMPTS_MAX - 1
  expect(await client.read()).toEqual(START)
  world.readsFailing = OPENING_ATTEMPTS_MAX
  await expect(client.read()).rejects.toMatchObject({ kind: 'retry' })
  expect(client.lastError).toBe('the register does not answer')
})

describe('settling what a crash left open', () => {
  async function crashed(fate: CasFate): Promise<{ world: World; intent: RegisterIntent; client: RegisterClient }> {
    const { world, client } = await started()
    world.stuck = fate
    world.timers.hold = true
    const open = client.change('write-back', toWriteBack)
    while (client.intent === null || !world.trace.some((event) => event.startsWith('send'))) await Promise.resolve()
    client.stop()
    await expect(open).rejects.toMatchObject({ kind: 'unknown-outcome' })
    Object.assign(world, { stuck: 'answered' })
    world.timers.hold = false
    const next = world.client()
    next.adopt(START)
    return { world, intent: world.intents[0]!, client: next }
  }

  test('it took effect', async () => {
    const { client, intent } = await crashed('reply-lost')
    expect(await client.settle(intent)).toBe('settled')
    expect(client.record).toMatchObject({ rv: 2, phase: 'WriteBack' })
  })

  test('it did not: the version is moved, and it never will', async () => {
    const { world, client, intent } = await crashed('lands-later')
    world.fates = ['lands-later', 'reply-lost']
    expect(await client.settle(intent)).toBe('settled')
    for (const land of world.late) land()
    expect(world.register.current).toMatchObject({ rv: 2, phase: 'WriteThrough', dirty: false })
    expect(client.record).toEqual(world.register.current)
    expect(world.trace.at(-1)).toBe('settled 2')
  })

  test('it lands while it is being settled', async () => {
    const { world, client, intent } = await crashed('lands-later')
    world.fates = ['lands-later']
    const settling = client.settle(intent)
    world.late[0]?.()
    expect(await settling).toBe('settled')
    expect(client.record).toMatchObject({ rv: 2, phase: 'WriteBack' })
  })

  test('somebody else owns the volume by now', async () => {
    const { world, client, intent } = await crashed('lands-later')
    await rival(world, (record) => claim(record, { node: 'node-2' }))
    expect(await client.settle(intent)).toBe('fenced')
  })
})

test('random fates, late landings and rivals: every change is applied once, in order, or fenced', async () => {
  const fate = fc.constantFrom<CasFate>('answered', 'reply-lost', 'lands-later')
  const run = async (fates: CasFate[], landings: number[], rivalAfter: number): Promise<void> => {
    const { world, client } = await started()
    const wanted: Promise<string>[] = []
    world.fates = [...fates]
    for (let i = 0; i < 4; i++) {
      if (i === rivalAfter) await rival(world, (record) => claim(record, { node: 'node-2' }))
      const change = client.change(`seq-${i}`, (record) => ({ ...record, lastSeq: record.lastSeq + 1 }))
      wanted.push(change)
      await Promise.race([change, new Promise((resolve) => world.timers.soon(() => resolve(null)))])
      world.late[landings[i] ?? 0]?.()
    }
    const results = await Promise.all(wanted)
    for (const land of world.late) land()
    const own = world.register.history().filter((record) => record.owner === 'node-1')
    const applied = results.filter((result) => result === 'applied').length
    // Each is applied once and in order. One that the rival's claim replaced before its reply came is called fenced.
    const replaced = own.length - 1 - applied
    expect([0, 1]).toContain(replaced)
    if (rivalAfter > 3) expect(applied).toBe(4)
    expect(own.map((record) => record.lastSeq - START.lastSeq)).toEqual([...own.keys()])
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fate, { maxLength: 12 }),
      fc.array(fc.nat({ max: 8 }), { maxLength: 4 }),
      fc.nat({ max: 6 }),
      run,
    ),
    { numRuns: 200 },
  )
})
