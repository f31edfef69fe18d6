// Proves what the settings of replication accept, that each mistake gives one clear message, and that flags and file
// both can name several peers.
import { readSettings, splitArguments } from '../../../base/settings.ts'
import {
  parsePeer,
  parseReplicas,
  replicationProblems,
  replicationSchema,
  type ReplicationSettingsGiven,
} from '../../../csi-driver/config-replication.ts'

function read(
  words: readonly string[],
  file: unknown = null,
): ReturnType<typeof readSettings<typeof replicationSchema>> {
  const { flags } = splitArguments(replicationSchema, words)
  return readSettings(replicationSchema, { flags, file: { name: 'f.yaml', content: file } })
}

const TRUST = ['--tls-dir', '/tls', '--register', '/shared']

function problems(...words: string[]): string[] {
  const { settings, problems } = read(words)
  return [...problems, ...replicationProblems('host-a', settings)].map(({ where, problem }) => `${where} ${problem}`)
}

test.each<[string, object]>([
  ['b=10.0.0.2:7070', { node: 'b', address: { host: '10.0.0.2', port: 7070 }, domain: 'default' }],
  ['b=[fd00::2]:1', { node: 'b', address: { host: 'fd00::2', port: 1 }, domain: 'default' }],
  [
    'B.ex_1=host-b.example:65535,domain=rack-2',
    { node: 'B.ex_1', address: { host: 'host-b.example', port: 65_535 }, domain: 'rack-2' },
  ],
])('peer %s', (text, value) => {
  expect(parsePeer(text)).toEqual({ ok: true, value })
})

test.each([
  ['', 'is not NAME=ADDR:PORT'],
  ['b', 'is not NAME=ADDR:PORT'],
  ['=10.0.0.2:1', 'names no node'],
  ['b c=10.0.0.2:1', 'names no node'],
  ['b=10.0.0.2', 'has no address ADDR:PORT'],
  ['b=fd00::2:1', 'has no address ADDR:PORT'],
  ['b=10.0.0.2:70000', 'has no address ADDR:PORT'],
  ['b=10.0.0.2:0', 'needs a port'],
  ['b=:7070', 'the address of one host'],
  ['b=0.0.0.0:7070', 'the address of one host'],
  ['b=[::]:7070', 'the address of one host'],
  ['b=ho$t:7070', 'neither an address nor a host name'],
  ['b=10.0.0.2:1,rack=2', 'something else than'],
  ['b=10.0.0.2:1,domain=', 'unusable domain'],
  ['b=10.0.0.2:1,domain=a b', 'unusable domain'],
  ['b=10.0.0.2:1,domain=a,domain=b', 'more than'],
])('peer %j is refused', (text, problem) => {
  expect(parsePeer(text)).toEqual({ ok: false, problem: expect.stringContaining(problem) as string })
})

test.each<[string, number, number]>([
  ['0', 0, 0],
  ['2', 2, 0],
  ['same=1', 1, 0],
  ['other=2', 0, 2],
  ['other=1,same=1', 1, 1],
])('replicas %s', (text, same, other) => {
  expect(parseReplicas(text)).toEqual({ ok: true, value: { same, other } })
})

test.each([
  '',
  '-1',
  '1.5',
  'two',
  'same=1,same=1',
  'same=',
  'same=1;other=1',
  'any=1',
  '3',
  'same=2,other=1',
  '99999999999',
])('replicas %j is refused', (text) => {
  expect(parseReplicas(text).ok).toBe(false)
})

test('peers from flags, from a file, and flags win over the file', () => {
  const nodes = (settings: ReplicationSettingsGiven): string[] => settings.peer.map(({ node }) => node)
  expect(nodes(read(['--peer', 'c=h:1', '--peer=b=h:1,domain=x']).settings)).toEqual(['c', 'b'])
  expect(nodes(read([], { peer: ['b=h:1', 'c=h:1'] }).settings)).toEqual(['b', 'c'])
  expect(nodes(read([], { peer: 'b=h:1' }).settings)).toEqual(['b'])
  expect(nodes(read(['--peer', 'd=h:1'], { peer: ['b=h:1', 'c=h:1'] }).settings)).toEqual(['d'])
  expect(nodes(read([]).settings)).toEqual([])
  expect(read([], { peer: [['b=h:1']] }).problems).toMatchObject([
    { problem: 'must be a single value or a list of such' },
  ])
  expect(read([], { replicas: ['1'] }).problems).toMatchObject([{ problem: 'must be a single value' }])
  expect(read(['--replicas', '1', '--replicas', '2']).problems).toMatchObject([{ problem: 'is given more than once' }])
})

test('nothing given, nothing wrong', () => {
  expect(problems()).toEqual([])
  expect(problems('--replicas', '1', '--peer', 'b=h:1', ...TRUST)).toEqual([])
  expect(
    problems('--replicas', 'same=1,other=1', '--domain', 'x', '--peer', 'b=h:1,domain=x', '--peer', 'c=h:1', ...TRUST),
  ).toEqual([])
})

test.each<[string[], string[]]>([
  [
    ['--peer', 'b=h', ...TRUST],
    ['--peer has no address ADDR:PORT behind the name, for example host-b=10.0.0.2:7070 given="b=h"'],
  ],
  [['--peer', 'b=h:1', '--peer', 'b=h:2', ...TRUST], ['--peer is given more than once for node=b']],
  [['--peer', 'host-a=h:1', ...TRUST], ['--peer names this host; a copy there would be no other copy node=host-a']],
  [
    ['--replicas', '2', '--peer', 'b=h:1', ...TRUST],
    ['--replicas wants more copies than peers: same=2, but 1 --peer in the domain of this host (default)'],
  ],
  [
    ['--replicas', 'other=1', '--peer', 'b=h:1', ...TRUST],
    ['--replicas wants more copies than peers: other=1, but 0 --peer outside the domain of this host (default)'],
  ],
  [
    ['--peer', 'b=h:1'],
    [
      '--tls-dir is needed with --peer; make the certificates with `forebay pki`',
      '--register is needed with --peer: a directory that all hosts of the volume share',
    ],
  ],
  [
    [...TRUST, ...Array.from({ length: 17 }, (_, i) => ['--peer', `n${i}=h:1`]).flat()],
    ['--peer is given too often; at most 16 given=17'],
  ],
  [['--compression', 'zstd'], ['--compression is none of auto, off given="zstd"']],
  [['--domain', ''], ['--domain must be a name such as that of a rack or room given=""']],
])('%j', (words, said) => {
  expect(problems(...words)).toEqual(said)
})
