// Proves that progress is one line rewritten on a terminal and removed at the end, and elsewhere a line now and then, at
// once when the step or those who are waited for change.
import { ProgressLine } from '../../../../csi-driver/cli/progress-line.ts'
import type { Terminal } from '../../../../csi-driver/cli/terminal.ts'

function make(interactive: boolean) {
  const said = { out: '', err: '' }
  const terminal: Terminal = {
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    interactive,
    interrupted: new AbortController().signal,
    holdInterrupts: () => {},
  }
  return { said, line: new ProgressLine(terminal, 'drain v') }
}

test('on a terminal', () => {
  const { said, line } = make(true)
  for (let second = 0; second <= 2; second++) {
    line.update({ step: 'draining', dirtyBytes: (10 - second) * 2 ** 20 }, second * 1000)
  }
  line.end()
  expect(said.err).toBe('')
  const lines = said.out.split('\r\u001b[K').slice(1)
  expect(lines).toEqual([
    'drain v: draining, 10 MiB dirty',
    'drain v: draining, 9 MiB dirty at 1 MiB/s, about 9 s left',
    'drain v: draining, 8 MiB dirty at 1 MiB/s, about 8 s left',
    '',
  ])
})

test('elsewhere', () => {
  const { said, line } = make(false)
  line.update({ step: 'draining', dirtyBytes: 2048 }, 0)
  line.update({ step: 'draining', dirtyBytes: 1024 }, 1000)
  line.update({ step: 'waiting', dirtyBytes: 0, openBy: [{ kind: 'mount', name: '/m', pid: null }] }, 1500)
  line.update({ step: 'waiting', dirtyBytes: 0, openBy: [{ kind: 'mount', name: '/m', pid: null }] }, 1600)
  line.update({ step: 'waiting', dirtyBytes: 0, openBy: [{ kind: 'process', name: 'sh', pid: 7 }] }, 1700)
  line.end()
  expect(said.out).toBe('')
  expect(said.err.split('\n')).toEqual([
    'drain v: draining, 2 KiB dirty',
    'drain v: waiting, open by mount point /m',
    'drain v: waiting, open by process 7 (sh)',
    '',
  ])
})
