// Proves that a seed repeats its schedule, that every fault has its turn, and that no engine loses its copy so often that
// the campaign would only wait for peers to be trusted again.
import { FAULT_NAMES, FAULTS, scheduleOf } from './schedule.ts'

test('a seed repeats its schedule, another seed has another one', () => {
  expect(scheduleOf(7, 50)).toEqual(scheduleOf(7, 50))
  expect(scheduleOf(7, 50)).not.toEqual(scheduleOf(8, 50))
})

test.each([1, 20, 200])('so many kills: %i', (kills) => {
  const rounds = scheduleOf(3, kills)
  expect(rounds.filter(({ fault }) => FAULTS[fault].kill)).toHaveLength(kills)
})

test('every fault has its turn', () => {
  const seen = new Set(scheduleOf(1, 200).map(({ fault }) => fault))
  expect([...seen].toSorted()).toEqual(FAULT_NAMES.toSorted())
})

test('a copy is lost at most twice in a row', () => {
  let inARow = 0
  for (const { fault } of scheduleOf(5, 500)) {
    inARow = FAULTS[fault].losesCopy ? inARow + 1 : 0
    expect(inARow).toBeLessThanOrEqual(2)
  }
})
