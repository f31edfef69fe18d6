// Proves: a lease lasts from the sending of the newest answered heartbeat, and answers to anything else mean nothing; a
// sleep of the host is noticed once, a coarse boot clock is none.
import { LEASE_MS } from '../../../../../csi-driver/protocol/lease-times.ts'
import {
  HEARTBEATS_REMEMBERED,
  PeerLease,
  SLEEP_MS,
  SleepWatch,
} from '../../../../../csi-driver/replica/replicator/peer-lease.ts'

test('an answer counts from when its heartbeat was sent', () => {
  const lease = new PeerLease()
  expect(lease.untilMs).toBe(-Infinity)
  const zeroth = lease.send(500)
  const first = lease.send(1000)
  const second = lease.send(2000)
  expect(lease.answered(zeroth)).toBe(true)
  expect(lease.untilMs).toBe(500 + LEASE_MS)
  expect(lease.answered(second)).toBe(true)
  expect(lease.untilMs).toBe(2000 + LEASE_MS)
  // Overtaken: it changes nothing.
  expect(lease.answered(first)).toBe(false)
  expect(lease.answered(second)).toBe(false)
  expect(lease.untilMs).toBe(2000 + LEASE_MS)
})

test('answers to what was never sent, or long ago, mean nothing', () => {
  const lease = new PeerLease()
  const old = lease.send(1000)
  for (const number of [0, -1, 2, 7, Number.MAX_SAFE_INTEGER, Number.NaN]) expect(lease.answered(number)).toBe(false)
  for (let i = 0; i < HEARTBEATS_REMEMBERED; i++) lease.send(1000 + i)
  expect(lease.answered(old)).toBe(false)
  expect(lease.untilMs).toBe(-Infinity)
})

test('after void only what is sent later counts', () => {
  const lease = new PeerLease()
  const before = lease.send(1000)
  lease.void()
  expect(lease.answered(before)).toBe(false)
  expect(lease.answered(lease.send(5000))).toBe(true)
  expect(lease.untilMs).toBe(5000 + LEASE_MS)
})

test('a sleep is told once; small steps of the boot clock add up to one', () => {
  const clock = { boot: 50, mono: 10, wallMs: () => 0, monotonicMs: () => clock.mono, bootMs: () => clock.boot }
  const watch = new SleepWatch(clock)
  clock.mono += 5000
  clock.boot += 5000 + SLEEP_MS / 2
  expect(watch.slept()).toBe(false)
  clock.boot += SLEEP_MS / 2 + 1
  expect(watch.slept()).toBe(true)
  expect(watch.slept()).toBe(false)
  clock.boot += 60_000
  expect(watch.slept()).toBe(true)
  expect(watch.slept()).toBe(false)
})
