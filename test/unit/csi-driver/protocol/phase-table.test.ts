// The phases of an open volume: every phase with every event, and what no row may ever do.
import { movePhase, PHASE_EVENTS, PHASE_ROWS, writeRoute } from '../../../../csi-driver/protocol/phase-table.ts'
import { setPhase } from '../../../../csi-driver/protocol/register-transitions.ts'
import { PHASES } from '../../../../csi-driver/register/record.ts'
import { aRecord } from '../register/records.ts'

test('no phase and event have two rows', () => {
  for (const phase of PHASES) {
    for (const event of PHASE_EVENTS) {
      const rows = PHASE_ROWS.filter((row) => row.event === event && row.from.includes(phase))
      expect(rows.length).toBeLessThanOrEqual(1)
      expect(movePhase(phase, event)?.label ?? null).toBe(rows[0]?.label ?? null)
    }
  }
})

test('every event has a row, every row its own label and a reason', () => {
  for (const event of PHASE_EVENTS) expect(PHASE_ROWS.some((row) => row.event === event)).toBe(true)
  expect(new Set(PHASE_ROWS.map(({ label }) => label)).size).toBe(PHASE_ROWS.length)
  for (const row of PHASE_ROWS) expect(row.why).not.toBe('')
})

test('every phase that serves knows what to do about each event', () => {
  const moves = (['WriteBack', 'DrainWT', 'WriteThrough'] as const).flatMap((phase) =>
    PHASE_EVENTS.map((event) => `${phase} ${event} ${movePhase(phase, event)?.to ?? '-'}`),
  )
  expect(moves).toEqual([
    'WriteBack want-write-through DrainWT',
    'WriteBack want-write-back WriteBack',
    'WriteBack log-empty -',
    'WriteBack cache-failed DrainWT',
    'WriteBack dirty-unreadable Blocked',
    'WriteBack dirty-readable -',
    'WriteBack close DrainWT',
    'DrainWT want-write-through DrainWT',
    'DrainWT want-write-back WriteBack',
    'DrainWT log-empty WriteThrough',
    'DrainWT cache-failed DrainWT',
    'DrainWT dirty-unreadable Blocked',
    'DrainWT dirty-readable -',
    'DrainWT close DrainWT',
    'WriteThrough want-write-through WriteThrough',
    'WriteThrough want-write-back WriteBack',
    'WriteThrough log-empty -',
    'WriteThrough cache-failed WriteThrough',
    'WriteThrough dirty-unreadable Blocked',
    'WriteThrough dirty-readable -',
    'WriteThrough close Closing',
  ])
})

test('only what can be read again leads out of Blocked, and nothing out of the rest', () => {
  for (const phase of ['Detached', 'Opening', 'Closing', 'Blocked'] as const) {
    const out = PHASE_EVENTS.filter((event) => movePhase(phase, event) !== null)
    expect(out).toEqual(phase === 'Blocked' ? ['dirty-readable'] : [])
  }
})

test('a volume is clean only where nothing is logged, and a change of the rule is always in the register', () => {
  const wrong = PHASE_ROWS.filter(({ from, to, cas }) => {
    const logs = to === 'WriteBack' || to === 'DrainWT' || to === 'Blocked'
    if (cas === undefined) return from.some((phase) => phase !== to)
    return cas.dirty !== logs
  })
  expect(wrong).toEqual([])
})

test('the register takes every move', () => {
  for (const row of PHASE_ROWS) {
    if (row.cas === undefined) continue
    for (const phase of row.from) {
      const record = aRecord({ phase, dirty: phase !== 'WriteThrough' })
      const to = row.to as Parameters<typeof setPhase>[1]['phase']
      expect(setPhase(record, { phase: to, dirty: row.cas.dirty })).toMatchObject({
        phase: row.to,
        dirty: row.cas.dirty,
      })
    }
  }
})

test('the way of a write', () => {
  expect(PHASES.map((phase) => `${phase} ${writeRoute(phase)}`)).toEqual([
    'Detached wait',
    'Opening wait',
    'WriteBack log',
    'DrainWT log-and-backing',
    'WriteThrough backing',
    'Closing wait',
    'Blocked wait',
  ])
})
