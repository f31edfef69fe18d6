// The world of one simulated run: one seed, one queue of events, one virtual clock. Nothing happens but by an event;
// events at the same time come in a seeded order. Between two events every promise reaction runs, so that the product's
// own async code runs unchanged.
// A Process is one life of an engine: everything it asks for goes through its ports, and once it is dead nothing it
// asked for has an effect on it and nothing it still says has an effect on the world. A process may die inside its own
// call (`dieAtStep`): the rest of that call then runs into the void, which is what a crash between two statements is.
import { setImmediate as afterMicrotasks } from 'node:timers'
import type { Clock, Timer, Timers } from '../../base/clock.ts'
import { createPrng, type Prng } from '../../base/prng.ts'
import { Trace } from './trace.ts'

/** A run that needs more events than this does not make progress. */
export const EVENTS_MAX = 2_000_000
/** A chain of `soon` callbacks longer than this within one event is an endless loop. */
export const SOON_CHAIN_MAX = 100_000

interface ScheduledEvent {
  readonly atMs: number
  readonly draw: number
  readonly id: number
  readonly name: string
  callback: (() => void) | null
}

export type RunEnd = 'condition' | 'no-more-events' | 'time-limit' | 'event-limit'

export class World {
  readonly seed: string
  readonly prng: Prng
  readonly trace = new Trace()
  nowMs = 0
  /** Events run so far. */
  events = 0
  private readonly order: Prng
  private readonly heap: ScheduledEvent[] = []
  private readonly soonCallbacks: (() => void)[] = []
  private lastId = 0
  private logicalTime = 0

  constructor(seed: string) {
    this.seed = seed
    this.prng = createPrng(seed)
    this.order = this.prng.fork('world.order')
  }

  /** Strictly increasing: orders happenings that share one instant of the virtual clock. */
  tick(): number {
    return ++this.logicalTime
  }

  /** Runs `callback` as an event of its own `delayMs` from now. */
  schedule(delayMs: number, name: string, callback: () => void): Timer {
    const event: ScheduledEvent = {
      atMs: this.nowMs + Math.max(0, delayMs),
      draw: this.order.u32(),
      id: ++this.lastId,
      name,
      callback,
    }
    push(this.heap, event)
    return {
      cancel() {
        event.callback = null
      },
    }
  }

  /** Runs `callback` after the present event, before the next one. */
  soon(callback: () => void): void {
    this.soonCallbacks.push(callback)
  }

  /** Runs events until `condition` holds (looked at after each event), nothing is left, or a limit is reached. */
  async run(condition: () => boolean, forMs: number): Promise<RunEnd> {
    const endMs = this.nowMs + forMs
    await this.settle()
    for (;;) {
      if (condition()) return 'condition'
      if (this.events >= EVENTS_MAX) return 'event-limit'
      const event = this.next()
      if (event === null) return 'no-more-events'
      if (event.atMs > endMs) {
        push(this.heap, event)
        this.nowMs = endMs
        return 'time-limit'
      }
      this.nowMs = event.atMs
      this.events++
      this.trace.add(this.nowMs, event.name)
      const callback = event.callback
      event.callback = null
      callback?.()
      await this.settle()
    }
  }

  /** Lets `promise` settle by running events; undefined when it did not within `forMs` of virtual time. */
  async waitFor<T>(promise: Promise<T>, forMs: number): Promise<Outcome<T> | undefined> {
    let outcome: Outcome<T> | undefined
    promise.then(
      (value) => {
        outcome = { value }
      },
      (error: unknown) => {
        outcome = { error }
      },
    )
    await this.run(() => outcome !== undefined, forMs)
    return outcome
  }

  /** Every microtask, then one `soon` callback, and so on until neither is left. */
  private async settle(): Promise<void> {
    await microtasks()
    for (let chain = 0; this.soonCallbacks.length > 0; chain++) {
      if (chain > SOON_CHAIN_MAX) throw new Error('endless chain of soon callbacks')
      this.soonCallbacks.shift()?.()
      await microtasks()
    }
  }

  private next(): ScheduledEvent | null {
    for (;;) {
      const event = pop(this.heap)
      if (event === null || event.callback !== null) return event
    }
  }
}

export type Outcome<T> = { readonly value: T } | { readonly error: unknown }

/** Resolves after all promise reactions that are due have run (measured: about 1 µs). */
function microtasks(): Promise<void> {
  return new Promise((resolve) => {
    afterMicrotasks(resolve)
  })
}

function before(a: ScheduledEvent, b: ScheduledEvent): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs
  return a.draw !== b.draw ? a.draw < b.draw : a.id < b.id
}

function push(heap: ScheduledEvent[], event: ScheduledEvent): void {
  let index = heap.length
  heap.push(event)
  while (index > 0) {
    const parent = (index - 1) >> 1
    const above = heap[parent] as ScheduledEvent
    if (!before(event, above)) break
    heap[index] = above
    index = parent
  }
  heap[index] = event
}

function pop(heap: ScheduledEvent[]): ScheduledEvent | null {
  const top = heap[0]
  const last = heap.pop()
  if (top === undefined || last === undefined) return null
  if (heap.length === 0) return top
  let index = 0
  for (;;) {
    let child = 2 * index + 1
    if (child >= heap.length) break
    const right = heap[child + 1]
    if (right !== undefined && before(right, heap[child] as ScheduledEvent)) child++
    const below = heap[child] as ScheduledEvent
    if (!before(below, last)) break
    heap[index] = below
    index = child
  }
  heap[index] = last
  return top
}

/** Offsets of a process's clocks: their origins differ from life to life, as they do after a reboot. */
export interface ClockOrigins {
  readonly monotonicMs: number
  readonly bootMs: number
  readonly wallMs: number
  /** How fast the clocks of the host run; absent: as the world's. */
  readonly rate?: number
}

export class Process {
  readonly name: string
  readonly world: World
  readonly clock: Clock
  readonly timers: Timers
  alive = true
  /** Effects on the world so far: submitted I/O, timers, replies, register calls. */
  steps = 0
  /** Timers that are set and have not fired. */
  timersSet = 0
  /** The process dies at this step, before or after its effect; 0: never. */
  dieAtStep = 0
  dieAfterEffect = false
  /** Nothing of it runs; what it would have been told waits. */
  paused = false
  /** What it will be told when it runs again, in order. */
  private readonly untold: (() => void)[] = []
  private readonly rate: number
  private readonly onDeath: () => void

  constructor(world: World, name: string, origins: ClockOrigins, onDeath: () => void) {
    const rate = origins.rate ?? 1
    this.world = world
    this.name = name
    this.rate = rate
    this.onDeath = onDeath
    this.clock = {
      monotonicMs: () => world.nowMs * rate + origins.monotonicMs,
      bootMs: () => world.nowMs * rate + origins.bootMs,
      wallMs: () => Math.floor(world.nowMs * rate + origins.wallMs),
    }
    this.timers = {
      after: (delayMs, callback) => this.after(delayMs, callback),
      soon: (callback) => {
        world.soon(() => {
          if (this.alive) callback()
        })
      },
    }
  }

  /** From here on nothing the process does has an effect. Idempotent. */
  die(): void {
    if (!this.alive) return
    this.alive = false
    this.onDeath()
  }

  /** As SIGSTOP does: what happens meanwhile it hears of when it runs again. */
  pause(): void {
    this.paused = true
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.tellNext()
  }

  /** Tells the process something: now, or in its turn after a pause; never, if it is dead. */
  deliver(callback: () => void): void {
    if (!this.alive) return
    if (this.paused || this.untold.length > 0) this.untold.push(callback)
    else callback()
  }

  /** Counts and carries out one effect of the process. False: the process is dead and nothing happened. */
  effect(act: () => void): boolean {
    if (!this.alive) return false
    this.steps++
    const dies = this.steps === this.dieAtStep
    if (dies && !this.dieAfterEffect) {
      this.die()
      return false
    }
    act()
    if (dies) this.die()
    return true
  }

  /** Each as an event of its own, so that what follows from one happens before the next. */
  private tellNext(): void {
    if (this.untold.length === 0) return
    this.world.schedule(0, `resumed ${this.name}`, () => {
      if (this.paused || !this.alive) return
      this.untold.shift()?.()
      this.tellNext()
    })
  }

  private after(delayMs: number, callback: () => void): Timer {
    let waiting = false
    let timer: Timer | null = null
    this.effect(() => {
      waiting = true
      this.timersSet++
      timer = this.world.schedule(delayMs / this.rate, 'timer', () =>
        this.deliver(() => {
          if (!waiting) return
          waiting = false
          this.timersSet--
          callback()
        }),
      )
    })
    return {
      cancel: () => {
        if (!waiting) return
        waiting = false
        this.timersSet--
        timer?.cancel()
      },
    }
  }
}
