// Settings of replication: which nodes hold copies, how many, and how they are reached and trusted. `forebay serve` and
// `forebay takeover` share them; `forebay peer` is the other side. What joins them is checked here, purely: whether the
// register and the certificates are usable is looked at by whoever opens them.
import {
  choiceSetting,
  listSetting,
  type Parsed,
  parseAddress,
  pathSetting,
  type Setting,
  type SocketAddress,
  textSetting,
} from '../base/setting-kinds.ts'
import type { SettingProblem, SettingsOf } from '../base/settings.ts'
import { NODE_NAME_PATTERN } from './io/peer-network.ts'

export const NODE_NAME_CHARACTERS_MAX = 253
export const NODE_NAME_ALLOWED =
  '1 to 253 of a-z, A-Z, 0-9, "-", "_" and ".", beginning and ending with a letter or digit'
/** A domain is only compared; the form is that of a node's name. */
const DOMAIN_PATTERN = NODE_NAME_PATTERN
/** Holds every node that is in no other (as in Kubernetes). */
export const DOMAIN_DEFAULT = 'default'
/** Copies on peers, of both kinds together; the protocol was explored up to here. */
export const REPLICAS_MAX = 2
/** Candidates; two or three do. */
export const PEERS_MAX = 16

export interface GivenPeer {
  readonly node: string
  readonly address: SocketAddress
  readonly domain: string
}

/** Copies wanted in the own domain, and in others. */
export interface ReplicasWanted {
  readonly same: number
  readonly other: number
}

const bad = (problem: string): Parsed<never> => ({ ok: false, problem })

/** A host to connect to: an address or a name, and a port. */
function parsePeerAddress(text: string): Parsed<SocketAddress> {
  const parsed = parseAddress(text)
  if (!parsed.ok) return bad('has no address ADDR:PORT behind the name, for example host-b=10.0.0.2:7070')
  const { host, port } = parsed.value
  if (text.startsWith(':') || host === '0.0.0.0' || host === '::') return bad('needs the address of one host')
  if (!host.includes(':') && !/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(host)) {
    return bad('has neither an address nor a host name before the port')
  }
  return port === 0 ? bad('needs a port from 1 to 65535') : parsed
}

/** Reads `NAME=ADDR:PORT[,domain=D]`. */
export function parsePeer(text: string): Parsed<GivenPeer> {
  const [first = '', ...options] = text.split(',')
  const equals = first.indexOf('=')
  if (equals < 0) return bad('is not NAME=ADDR:PORT')
  const node = first.slice(0, equals)
  if (!NODE_NAME_PATTERN.test(node)) return bad(`names no node; a name is ${NODE_NAME_ALLOWED}`)
  const address = parsePeerAddress(first.slice(equals + 1))
  if (!address.ok) return address
  const [option, surplus] = options
  if (surplus !== undefined) return bad('has more than ",domain=D" behind the address')
  if (option === undefined) return { ok: true, value: { node, address: address.value, domain: DOMAIN_DEFAULT } }
  const domain = /^domain=(.*)$/s.exec(option)?.[1]
  if (domain === undefined) return bad('has something else than ",domain=D" behind the address')
  if (!DOMAIN_PATTERN.test(domain)) return bad('has an unusable domain; its form is that of a host name')
  return { ok: true, value: { node, address: address.value, domain } }
}

/** Reads `N` (in the own domain) or `same=N,other=N`, either part alone too. */
export function parseReplicas(text: string): Parsed<ReplicasWanted> {
  const wanted = { same: 0, other: 0 }
  const parts = /^\d+$/.test(text) ? [`same=${text}`] : text.split(',')
  const seen = new Set<string>()
  for (const part of parts) {
    const [, kind, number] = /^(same|other)=(\d{1,3})$/.exec(part) ?? []
    if ((kind !== 'same' && kind !== 'other') || seen.has(kind)) {
      return bad('is neither a number nor same=N,other=N')
    }
    seen.add(kind)
    wanted[kind] = Number(number)
  }
  if (wanted.same + wanted.other > REPLICAS_MAX) return bad(`asks for too many copies; at most ${REPLICAS_MAX} in all`)
  return { ok: true, value: wanted }
}

export const domainSetting = textSetting({
  default: DOMAIN_DEFAULT,
  maxLength: NODE_NAME_CHARACTERS_MAX,
  pattern: DOMAIN_PATTERN,
  allowed: 'a name such as that of a rack or room',
  help: 'Fault domain of this host: hosts of one domain fail together.',
  why: 'A copy in another domain survives the loss of this one; a copy in the same domain is usually faster.',
})

export const tlsDirSetting: Setting<string | null> = pathSetting({
  default: null,
  defaultText: 'none',
  help: 'Directory with ca.crt, tls.crt and tls.key of this host, read again when they change.',
  why: 'Nodes prove to one another who they are; the certificate names the node. `forebay pki` makes a set.',
})

export const registerSetting: Setting<string | null> = pathSetting({
  default: null,
  defaultText: 'in --state-dir, for this host alone',
  help: 'Directory of the registers, shared by all hosts of the volume; docs/how-to/replicate.md says what it must guarantee.',
  why: 'Who owns a volume and which copies count is decided there and nowhere else, so all hosts need the same one.',
})

const replicasSetting: Setting<ReplicasWanted> = {
  placeholder: 'N|same=N,other=N',
  allowed: `0 to ${REPLICAS_MAX} in all`,
  fallback: { same: 0, other: 0 },
  fallbackText: '0',
  help: 'Copies on other hosts that a write is on before it is acknowledged: in the own fault domain (same), in others (other). A bare N means same=N.',
  why: 'Each copy lets a host die without loss and costs a round trip. Too few peers: write-through until there are enough.',
  required: false,
  parse: parseReplicas,
}

export const replicationSchema = {
  domain: domainSetting,
  replicas: replicasSetting,
  peer: listSetting({
    placeholder: 'NAME=ADDR:PORT[,domain=D]',
    allowed: `a node's name, its address and fault domain; up to ${PEERS_MAX} times`,
    read: parsePeer,
    help: 'A host that runs `forebay peer` and may hold a copy. Given once for each, in order of preference.',
    why: 'More candidates than copies let a lost peer be replaced at once.',
  }),
  register: registerSetting,
  tlsDir: tlsDirSetting,
  compression: choiceSetting({
    choices: ['auto', 'off'],
    default: 'auto',
    help: 'Compress what is sent to peers where that is faster: decided for each batch from link, CPU and data.',
    why: 'off is for measuring, and for data that is known not to compress.',
  }),
} as const

export type ReplicationSettingsGiven = SettingsOf<typeof replicationSchema>

/** Problems between the settings of replication. `node` is the own name, given or the host's. */
export function replicationProblems(node: string, settings: ReplicationSettingsGiven): SettingProblem[] {
  const { peer: peers, replicas, domain } = settings
  const problems: SettingProblem[] = []
  const say = (where: string, problem: string): number => problems.push({ where, problem })
  if (peers.length > PEERS_MAX) say('--peer', `is given too often; at most ${PEERS_MAX} given=${peers.length}`)
  const seen = new Set<string>()
  for (const { node: name } of peers) {
    if (name === node) say('--peer', `names this host; a copy there would be no other copy node=${name}`)
    else if (seen.has(name)) say('--peer', `is given more than once for node=${name}`)
    seen.add(name)
  }
  const near = peers.filter((one) => one.domain === domain).length
  problems.push(
    ...tooFew('same', replicas.same, near, domain),
    ...tooFew('other', replicas.other, peers.length - near, domain),
  )
  if (peers.length > 0 && settings.tlsDir === null) {
    say('--tls-dir', 'is needed with --peer; make the certificates with `forebay pki`')
  }
  if (peers.length > 0 && settings.register === null) {
    say('--register', 'is needed with --peer: a directory that all hosts of the volume share')
  }
  return problems
}

function tooFew(kind: keyof ReplicasWanted, wanted: number, found: number, domain: string): SettingProblem[] {
  if (wanted <= found) return []
  const where =
    kind === 'same' ? `in the domain of this host (${domain})` : `outside the domain of this host (${domain})`
  return [
    { where: '--replicas', problem: `wants more copies than peers: ${kind}=${wanted}, but ${found} --peer ${where}` },
  ]
}
