// `forebay pki`: a private CA for hosts without one, and the certificates of the nodes.
import path from 'node:path'
import { CacheError } from '../../base/errors.ts'
import { pathSetting } from '../../base/setting-kinds.ts'
import { NODE_NAME_ALLOWED } from '../config-replication.ts'
import { RealProcesses } from '../io/real/exec.ts'
import { NODE_NAME_PATTERN } from '../io/peer-network.ts'
import { defineCommand, EXIT_FAILED, EXIT_OK, EXIT_REFUSED, type Positional } from './command.ts'
import { initAuthority, issueNode } from './pki/authority.ts'

const AUTHORITY_DIRECTORY_DEFAULT = '/etc/forebay/pki'

const ACTIONS = ['init', 'issue'] as const

const actionPositional: Positional = {
  name: 'init|issue',
  optional: false,
  help: 'init makes the CA, issue a certificate of it',
  check: (word) => (ACTIONS.some((one) => one === word) ? null : `must be ${ACTIONS.join(' or ')}`),
}

const nodePositional: Positional = {
  name: 'NODE',
  optional: true,
  help: 'with issue: the name of the host, as `serve --node` and `--peer` say it',
  check: (word) => (NODE_NAME_PATTERN.test(word) ? null : `must be ${NODE_NAME_ALLOWED}`),
}

export const pkiCommand = defineCommand({
  name: 'pki',
  summary: 'Make a private CA and the certificates of the hosts',
  positionals: [actionPositional, nodePositional],
  schema: {
    dir: pathSetting({
      default: AUTHORITY_DIRECTORY_DEFAULT,
      help: 'Directory of the CA: ca.crt, which every host gets, and ca.key, which none gets.',
      why: 'Whoever has ca.key can be any node, so it is kept on one host that runs no volume, or offline.',
    }),
    out: pathSetting({
      default: null,
      defaultText: 'a directory of the name NODE in --dir',
      help: 'With issue: where ca.crt, tls.crt and tls.key of the node are put.',
      why: 'It is copied to the host and named there with --tls-dir.',
    }),
  },
  description: [
    'Hosts that replicate to one another prove who they are with certificates of one CA. Where there is none yet, `forebay pki init` makes one, once, and `forebay pki issue NODE` makes the set of one host: ca.crt, tls.crt and tls.key. Any other CA serves as well; docs/how-to/certificates.md says what a certificate needs.',
    'Keys are EC P-256. The CA lasts 10 years, a certificate 825 days; a process that uses one says two weeks ahead that it ends. Files are readable by their owner only, and nothing that exists is written over. Needs the program openssl.',
  ],
  exits: [
    [EXIT_OK, 'made'],
    [EXIT_FAILED, 'openssl failed'],
    [EXIT_REFUSED, 'bad input, no CA, or there is something already; nothing was changed'],
  ],
  examples: [
    ['forebay pki init', 'Once, on one host:'],
    ['forebay pki issue host-b && scp -r /etc/forebay/pki/host-b root@host-b:/etc/forebay/tls', 'For each host:'],
  ],
  async run({ positionals, settings, terminal }) {
    const [action, node] = positionals
    const directory = path.resolve(settings.dir)
    const processes = new RealProcesses()
    if (action === 'init') {
      if (node !== undefined) throw refused(`is one word too many word=${JSON.stringify(node)}`)
      if (settings.out !== null) throw refused('--out is for issue only')
      await initAuthority(processes, directory, Date.now())
      terminal.out(
        `made the CA directory=${directory}\nKeep ca.key there and give it to nobody. Next: forebay pki issue NODE\n`,
      )
      return EXIT_OK
    }
    if (node === undefined) throw refused('NODE is missing; it is the name of the host')
    const out = path.resolve(settings.out ?? path.join(directory, node))
    const end = await issueNode(processes, { directory, node, out, nowMs: Date.now() })
    terminal.out(`issued node=${node} directory=${out} end=${end.toISOString().slice(0, 10)}\n`)
    terminal.out('Copy the directory to the host and name it there with --tls-dir.\n')
    return EXIT_OK
  },
})

function refused(problem: string): CacheError {
  return new CacheError('invalid', 'CACHE_PKI_WORDS', problem, { remedy: 'See: forebay pki --help' })
}
