// Proves: a loop that is held up and a collection are counted, each in its histogram; nothing is counted before the
// start and after the stop. How: the loop of the test itself is blocked, and V8 is asked to collect.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MetricsRegistry } from '../../../../base/metrics.ts'
import { EVENT_LOOP_DELAY, GC_PAUSE, RuntimeWatch } from '../../../../csi-driver/observe/runtime-watch.ts'

const BLOCKED_MS = 300

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function createWatch() {
  const registry = new MetricsRegistry()
  const watch = new RuntimeWatch(registry, 'data')
  const value = (series: string): number => {
    const line = registry
      .render()
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
    return Number(line?.split(' ').at(-1))
  }
  return {
    watch,
    delays: () => value(`${EVENT_LOOP_DELAY}_count{volume="data"}`),
    shortDelays: () => value(`${EVENT_LOOP_DELAY}_bucket{volume="data",le="0.1"}`),
    majors: () => value(`${GC_PAUSE}_count{volume="data",kind="major"}`),
  }
}

function block(): void {
  const endMs = performance.now() + BLOCKED_MS
  while (performance.now() < endMs);
}

/** The limit of the test itself ends what never comes true. */
async function expectSoon(holds: () => boolean): Promise<void> {
  // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

test('a loop that is held up', async () => {
  const { watch, delays, shortDelays } = createWatch()
  watch.start()
  await expectSoon(() => delays() > 0)
  block()
  await expectSoon(() => delays() > shortDelays())
  watch.stop()
})

test('a collection', async () => {
  const { watch, majors } = createWatch()
  watch.start()
  collect()
  await expectSoon(() => majors() > 0)
  watch.stop()
})

test('nothing before the start and after the stop', async () => {
  const { watch, delays, majors } = createWatch()
  const other = createWatch()
  const idle = async (): Promise<void> => {
    const seen = other.delays()
    collect()
    await expectSoon(() => other.delays() > seen + 2)
  }
  other.watch.start()
  await idle()
  expect([delays(), majors()]).toEqual([0, 0])
  watch.start()
  await expectSoon(() => delays() > 0)
  watch.stop()
  watch.stop()
  const stopped = [delays(), majors()]
  await idle()
  expect([delays(), majors()]).toEqual(stopped)
  other.watch.stop()
})
