// Proves that every mistake about peers, certificates, register and fence in the words of `serve` and `takeover` is
// refused with status 2, one clear message that says what to do, and nothing changed: no file, no device, no record.
import fs from 'node:fs'
import { days, TestAuthority } from '../../tls/test-authority.ts'
import { CliHarness } from '../cli-harness.ts'

const PEER = ['--peer', 'b=127.0.0.1:7070']
let harness: CliHarness
let tlsDir = ''
let authority: TestAuthority
beforeAll(async () => {
  tlsDir = fs.mkdtempSync('/var/tmp/forebay-tls-')
  authority = await TestAuthority.make()
  await authority.issue(tlsDir, 'a')
})
afterAll(() => fs.rmSync(tlsDir, { recursive: true }))
beforeEach(() => {
  harness = new CliHarness()
})
afterEach(() => harness.dispose())

const register = (): string[] => ['--register', harness.path('register')]
const tls = (): string[] => ['--tls-dir', harness.path('tls')]

/** State and register directories and certificates of node a, as they should be. Certificates are made once. */
function makeSurroundings(): TestAuthority {
  fs.mkdirSync(harness.path('register'))
  fs.mkdirSync(harness.path('state/run'), { recursive: true })
  fs.cpSync(tlsDir, harness.path('tls'), { recursive: true })
  return authority
}

/** Refused, and nothing has changed. */
async function expectRefusal(words: readonly string[], ...expected: RegExp[]): Promise<void> {
  const before = harness.fingerprint()
  const { status, out, err } = await harness.refused('--node', 'a', ...words)
  expect({ status, out, err }).toMatchObject({ status: 2, out: '' })
  for (const part of expected) expect(err).toMatch(part)
  expect(err.split('\n').filter((line) => /^forebay/.test(line))).toHaveLength(expected.length)
  expect(harness.fingerprint()).toBe(before)
  expect(fs.existsSync(`/run/forebay/volumes/${harness.volume}`)).toBe(false)
}

describe('words of serve', () => {
  test.each<[string[], RegExp]>([
    [['--peer', 'b'], /--peer is not NAME=ADDR:PORT/],
    [['--peer', 'b=10.0.0.2'], /--peer has no address ADDR:PORT behind the name/],
    [['--peer', 'b=10.0.0.2:0'], /--peer needs a port from 1 to 65535/],
    [['--peer', 'b=10.0.0.2:70000'], /--peer has no address ADDR:PORT/],
    [['--peer', 'b=0.0.0.0:7070'], /--peer needs the address of one host/],
    [['--peer', 'b=no host:7070'], /--peer has (neither an address nor a host name|no address)/],
    [['--peer', '-b=10.0.0.2:7070'], /--peer names no node/],
    [['--peer', 'b=10.0.0.2:7070,rack=1'], /--peer has something else than ",domain=D"/],
    [['--peer', 'a=10.0.0.2:7070'], /--peer names this host/],
    [[...PEER, ...PEER], /--peer is given more than once for node=b/],
    [[...PEER, '--replicas', '2'], /--replicas wants more copies than peers: same=2, but 1 --peer/],
    [[...PEER, '--replicas', '3'], /--replicas asks for too many copies; at most 2 in all/],
    [[...PEER, '--replicas', 'two'], /--replicas is neither a number nor same=N,other=N/],
    [[...PEER, '--replicas', 'same=0,other=1'], /--replicas wants more copies than peers: other=1, but 0/],
    [['--replicas', '1'], /--replicas wants more copies than peers/],
    [[...PEER, '--compression', 'lz4'], /--compression is none of auto, off/],
    [[...PEER, '--domain', 'a b'], /--domain must be/],
    [['--fenced'], /--fenced is unknown/],
  ])('%j', async (words, expected) => {
    makeSurroundings()
    await expectRefusal([...words, ...register(), ...tls()], expected)
  })

  test('peers without certificates or register', async () => {
    makeSurroundings()
    await expectRefusal([...PEER, ...register()], /--tls-dir is needed with --peer/)
    await expectRefusal([...PEER, ...tls()], /--register is needed with --peer/)
  })
})

describe('certificates', () => {
  test.each<[string, (authority: TestAuthority) => Promise<unknown> | void, RegExp]>([
    [
      'none',
      () => fs.rmSync(harness.path('tls'), { recursive: true }),
      /--tls-dir .*CACHE_TLS_UNREADABLE|cannot be read/,
    ],
    ['expired', (authority) => authority.issue(harness.path('tls'), 'a', days(-9, -1)), /--tls-dir .*expired/],
    ['of the future', (authority) => authority.issue(harness.path('tls'), 'a', days(1, 9)), /--tls-dir .*clock/],
    [
      'of another node',
      (authority) => authority.issue(harness.path('tls'), 'c'),
      /--tls-dir .*certificate=c node=a|another node/,
    ],
    [
      'of another CA',
      async () => {
        const other = await TestAuthority.make()
        await other.issue(harness.path('other'), 'a')
        fs.copyFileSync(harness.path('other/ca.crt'), harness.path('tls/ca.crt'))
        fs.rmSync(harness.path('other'), { recursive: true })
      },
      /--tls-dir .*(CA|authority)/,
    ],
    [
      'a key of another certificate',
      async () => {
        const other = await TestAuthority.make()
        await other.issue(harness.path('other'), 'a')
        fs.copyFileSync(harness.path('other/tls.key'), harness.path('tls/tls.key'))
        fs.rmSync(harness.path('other'), { recursive: true })
      },
      /--tls-dir .*key/,
    ],
    ['no certificate at all in the file', () => fs.writeFileSync(harness.path('tls/tls.crt'), 'hello'), /--tls-dir/],
  ])('%s', async (_, spoil, expected) => {
    await spoil(makeSurroundings())
    await expectRefusal([...PEER, ...register(), ...tls()], expected)
  })
})

describe('register', () => {
  const words = (): string[] => [...PEER, '--replicas', '0', ...register(), ...tls()]

  /** The newest file of the volume's record. */
  const recordFile = (): string => {
    const directory = harness.path(`register/${harness.volume}`)
    return `${directory}/${fs.readdirSync(directory).toSorted().at(-1) ?? ''}`
  }

  /** Served once, and stopped. */
  async function servedOnce(): Promise<void> {
    makeSurroundings()
    const running = await harness.serve('--node', 'a', ...words())
    running.child.kill('SIGTERM')
    expect((await running.ended).status).toBe(0)
  }

  test('is no directory', async () => {
    makeSurroundings()
    fs.rmdirSync(harness.path('register'))
    fs.writeFileSync(harness.path('register'), '')
    await expectRefusal(words(), /--register is no directory that can be read and written; mount .*cause="can't cd to/)
  })

  test('is not there: a wrong path must not begin a second history of the volume', async () => {
    makeSurroundings()
    fs.rmdirSync(harness.path('register'))
    await expectRefusal(words(), /--register is no directory that can be read and written; mount/)
  })

  test.each<[string, (text: string) => string, RegExp]>([
    ['is damaged', (text) => text.slice(0, text.length / 2), /CACHE_REGISTER_CORRUPT/],
    ['is of another volume', (text) => text.replace(harness.volume, 'another-one'), /CACHE_REGISTER_CORRUPT/],
    ['is of a newer format', (text) => text.replace('"formatVersion":1', '"formatVersion":99'), /CACHE_REGISTER_\w+/],
  ])('%s', async (_, spoil, expected) => {
    await servedOnce()
    const text = fs.readFileSync(recordFile(), 'utf8')
    const spoilt = spoil(text)
    expect(spoilt).not.toBe(text)
    fs.writeFileSync(recordFile(), spoilt)
    await expectRefusal(words(), expected)
    fs.writeFileSync(recordFile(), text)
    await harness.serve('--node', 'a', ...words())
  })
})

describe('takeover', () => {
  async function expectTakeoverRefusal(words: readonly string[], ...expected: RegExp[]): Promise<void> {
    const before = harness.fingerprint()
    const [, ...rest] = harness.serveWords('--node', 'a', ...register(), ...tls(), ...PEER, ...words)
    const { status, out, err } = await harness.forebay('takeover', ...rest)
    expect({ status, out, err }).toMatchObject({ status: 2, out: '' })
    for (const part of expected) expect(err).toMatch(part)
    expect(harness.fingerprint()).toBe(before)
  }

  test.each<[string[], RegExp]>([
    [[], /--fence-command|--fenced/],
    [['--fenced', '--fence-command', 'true'], /--fence/],
    [['--fence-command', ''], /--fence-command/],
    // Nobody owns it: there is nothing to take over.
    [['--fenced'], /CACHE_\w+/],
  ])('%j', async (words, expected) => {
    makeSurroundings()
    await expectTakeoverRefusal(words, expected)
  })
})
