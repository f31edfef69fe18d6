// Proves that the users' side notices what no user may see: an answer given twice, an error that no disk has caused, old,
// foreign or vanished content in a read; and that it re-sends what is unanswered, under the same numbers, flagged.
import {
  REQUEST_EIO,
  REQUEST_FLUSH,
  REQUEST_OK,
  REQUEST_READ,
  REQUEST_WRITE,
  type Request,
} from '../../csi-driver/engine/request.ts'
import { fillSectors, INITIAL_ID } from './content.ts'
import { FrontEnd, type NewOperation } from './front-end.ts'
import { Oracle } from './oracle.ts'
import { Report } from './report.ts'
import { Process, World } from './world.ts'

const ORIGINS = { monotonicMs: 0, bootMs: 0, wallMs: 0 }

class Bench {
  readonly world = new World('front end')
  readonly report = new Report(this.world.trace, () => this.world.nowMs)
  readonly oracle = new Oracle(64)
  readonly requests: Request[] = []
  diskFailed = false
  process = new Process(this.world, 'engine', ORIGINS, () => undefined)
  readonly frontEnd = new FrontEnd({
    world: this.world,
    report: this.report,
    oracle: this.oracle,
    checkers: [],
    failedSince: () => this.diskFailed,
  })

  constructor() {
    this.attach()
  }

  attach(): void {
    this.process = new Process(this.world, 'engine', ORIGINS, () => undefined)
    this.frontEnd.attach({ submit: (request) => this.requests.push(request), kick: () => undefined }, this.process)
  }

  issue(kind: NewOperation['kind'], firstSector = 0, sectors = 1): Request {
    this.frontEnd.issue({ kind, firstSector, sectors, forceUnitAccess: false, mayUnmap: true })
    return this.requests.at(-1) as Request
  }

  get found(): string[] {
    return this.report.violations.map(({ checker }) => checker)
  }
}

describe('an answer', () => {
  test('given twice is found', () => {
    const bench = new Bench()
    const flush = bench.issue('flush')
    flush.complete(REQUEST_OK)
    expect(bench.found).toEqual([])
    flush.complete(REQUEST_OK)
    expect(bench.found).toEqual(['requests'])
  })

  test('with an error needs a disk that failed', () => {
    const bench = new Bench()
    bench.diskFailed = true
    bench.issue('write').complete(REQUEST_EIO)
    expect(bench.found).toEqual([])
    bench.diskFailed = false
    bench.issue('write').complete(REQUEST_EIO)
    expect(bench.found).toEqual(['errors'])
  })

  test('of a dead engine reaches nobody', () => {
    const bench = new Bench()
    const write = bench.issue('write')
    bench.process.die()
    write.complete(REQUEST_OK)
    expect(bench.frontEnd.outstanding.size).toBe(1)
  })
})

describe('a read', () => {
  function read(bench: Bench, id: number, sector = 3): void {
    const request = bench.issue('read', sector, 1)
    fillSectors(request.data, request.dataStart, id, sector, 1)
    request.complete(REQUEST_OK)
  }

  test('of what was written last is right', () => {
    const bench = new Bench()
    bench.issue('write', 3, 1).complete(REQUEST_OK)
    read(bench, 1)
    expect(bench.found).toEqual([])
  })

  test('of what an acknowledged write replaced is found', () => {
    const bench = new Bench()
    bench.issue('write', 3, 1).complete(REQUEST_OK)
    read(bench, INITIAL_ID)
    expect(bench.found).toEqual(['durability'])
  })

  test('of nothing at all is found', () => {
    const bench = new Bench()
    bench.issue('read').complete(REQUEST_OK)
    expect(bench.found).toEqual(['foreign-read'])
  })

  test('of another sector is found', () => {
    const bench = new Bench()
    const request = bench.issue('read', 3, 1)
    fillSectors(request.data, request.dataStart, INITIAL_ID, 4, 1)
    request.complete(REQUEST_OK)
    expect(bench.found).toEqual(['foreign-read'])
  })

  test('that takes back what another one has shown is found', () => {
    const bench = new Bench()
    bench.issue('write', 3, 1)
    read(bench, 1)
    read(bench, INITIAL_ID)
    expect(bench.found).toEqual(['committed-reads'])
  })
})

describe('a restart', () => {
  test('sends again what is unanswered, under its number and flagged, and what is new without the flag', () => {
    const bench = new Bench()
    bench.issue('write', 1, 1)
    bench.issue('read', 2, 1).complete(REQUEST_OK)
    bench.issue('flush')
    bench.process.die()
    bench.issue('read', 5, 1)
    const before = bench.requests.splice(0)
    bench.attach()
    bench.frontEnd.resend(bench.frontEnd.unanswered)
    bench.frontEnd.sendQueued()
    const told = bench.requests.map(({ kind, resent, uniqueLow }) => [kind, resent, uniqueLow])
    expect(told).toEqual([
      [REQUEST_WRITE, true, before[0]?.uniqueLow],
      [REQUEST_FLUSH, true, before[2]?.uniqueLow],
      [REQUEST_READ, false, (before[2]?.uniqueLow ?? 0) + 2],
    ])
  })

  test('of the connection starts the numbers anew', () => {
    const bench = new Bench()
    const first = bench.issue('flush').uniqueLow
    bench.issue('flush')
    bench.frontEnd.abandon()
    bench.frontEnd.reconnect()
    expect(bench.issue('flush').uniqueLow).toBe(first)
  })
})
