// Proves that every lack of the host is named with its remedy, that a missing privilege hides the rest, and which
// kernels are told about RESEND. The facts of this very host can be read.
import { hostProblems, readHostFacts, resendNotice, type HostFacts } from '../../../../csi-driver/cli/host-checks.ts'

const GOOD: HostFacts = {
  kernelRelease: '6.18.44-generic',
  isAdmin: true,
  fuseProblem: null,
  hasLoopControl: true,
  missingTools: [],
  fuseTimeoutSeconds: 0,
}

test('a good host', () => expect(hostProblems(GOOD, 'fuse')).toEqual([]))

test.each<[Partial<HostFacts>, string]>([
  [{ kernelRelease: '5.4.0' }, 'kernel is too old; at least 5.10 found=5.4.0'],
  [{ kernelRelease: '4.19.1' }, 'kernel is too old'],
  [{ fuseProblem: 'ENOENT' }, 'modprobe fuse'],
  [{ hasLoopControl: false }, 'modprobe loop'],
  [{ missingTools: ['losetup', 'flock'] }, 'PATH lacks losetup, flock; install util-linux'],
  [{ fuseTimeoutSeconds: 30 }, 'sysctl fs.fuse.default_request_timeout=0'],
])('%j', (change, expected) => {
  const problems = hostProblems({ ...GOOD, ...change }, 'fuse').map(({ where, problem }) => `${where} ${problem}`)
  expect(problems).toEqual([expect.stringContaining(expected)])
})

test('without the privilege only that is said', () => {
  const problems = hostProblems({ ...GOOD, isAdmin: false, fuseProblem: 'EACCES', hasLoopControl: false }, 'fuse')
  expect(problems).toEqual([{ where: 'privilege', problem: expect.stringContaining('run it as root') }])
})

test('an NBD export needs neither FUSE, loop devices, mounts nor the privilege for them', () => {
  const lacking = { isAdmin: false, fuseProblem: 'ENOENT', hasLoopControl: false, fuseTimeoutSeconds: 30 }
  expect(hostProblems({ ...GOOD, ...lacking, missingTools: ['mount', 'losetup'] }, 'nbd')).toEqual([])
  expect(hostProblems({ ...GOOD, missingTools: ['mount', 'flock'] }, 'nbd')).toEqual([
    { where: 'PATH', problem: expect.stringContaining('lacks flock;') },
  ])
})

test.each([
  ['6.9.0', false],
  ['6.10.3', false],
  ['7.0.0', false],
  ['6.8.12', true],
  ['5.10.0-30-amd64', true],
])('kernel %s gets the notice: %p', (release, expected) => {
  expect(resendNotice(release) !== null).toBe(expected)
})

test('facts of this host', async () => {
  expect(await readHostFacts()).toMatchObject({
    kernelRelease: expect.stringMatching(/^\d+\.\d+/),
    missingTools: expect.any(Array),
  })
})
