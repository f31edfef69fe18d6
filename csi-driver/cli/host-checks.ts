// Can this host serve volumes at all? Facts about kernel, privileges and tools, and the rules over them.
import { constants } from 'node:fs'
import { access, open, readFile, stat } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { SettingProblem } from '../../base/settings.ts'
import type { ServeSettings } from '../config.ts'

/** Direct I/O of loop devices over FUSE works from here on (research: libfuse#56). */
const KERNEL_MIN = [5, 10] as const
/** FUSE_NOTIFY_RESEND: an engine that dies is replaced without an error. */
const KERNEL_RESEND = [6, 9] as const
const CAP_SYS_ADMIN = 21
/** Those that an NBD export needs no less than a block device, and those that only the latter does. */
const TOOLS = ['blkdiscard', 'blockdev', 'flock', 'setsid'] as const
const DEVICE_TOOLS = ['mount', 'umount', 'losetup'] as const

export interface HostFacts {
  readonly kernelRelease: string
  readonly isAdmin: boolean
  /** Null when it can be opened; otherwise why not. */
  readonly fuseProblem: string | null
  readonly hasLoopControl: boolean
  readonly missingTools: readonly string[]
  /** fs.fuse.default_request_timeout in seconds: the kernel would abort a volume that stalls. */
  readonly fuseTimeoutSeconds: number
}

export async function readHostFacts(): Promise<HostFacts> {
  const status = await readFile('/proc/self/status', 'utf8')
  const capabilities = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`)
  const timeout = await readFile('/proc/sys/fs/fuse/default_request_timeout', 'utf8').catch(() => '0')
  return {
    kernelRelease: os.release(),
    isAdmin: ((capabilities >> BigInt(CAP_SYS_ADMIN)) & 1n) === 1n,
    fuseProblem: await fuseProblem(),
    hasLoopControl: (await stat('/dev/loop-control').catch(() => null)) !== null,
    missingTools: await missingTools(),
    fuseTimeoutSeconds: Number(timeout.trim()),
  }
}

async function fuseProblem(): Promise<string | null> {
  try {
    const file = await open('/dev/fuse', constants.O_RDWR)
    await file.close()
    return null
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

async function missingTools(): Promise<string[]> {
  const directories = (process.env['PATH'] ?? '').split(':')
  const found = await Promise.all(
    [...DEVICE_TOOLS, ...TOOLS].map(async (tool) => {
      const tries = directories.map((directory) => access(path.join(directory, tool), constants.X_OK))
      return Promise.any(tries).then(
        () => true,
        () => false,
      )
    }),
  )
  return [...DEVICE_TOOLS, ...TOOLS].filter((_, i) => found[i] !== true)
}

function kernelIsBelow(release: string, least: readonly [number, number]): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10))
  return major < least[0] || (major === least[0] && minor < least[1])
}

/** Reasons why this host cannot serve. Without the privilege nothing else is worth saying. */
export function hostProblems(facts: HostFacts, frontend: ServeSettings['frontend']): SettingProblem[] {
  const problems: SettingProblem[] = []
  const add = (where: string, problem: string): void => void problems.push({ where, problem })
  if (frontend === 'fuse' && !facts.isAdmin) {
    add('privilege', 'to mount and attach devices is missing (CAP_SYS_ADMIN); run it as root')
    return problems
  }
  if (kernelIsBelow(facts.kernelRelease, KERNEL_MIN)) {
    add('kernel', `is too old; at least ${KERNEL_MIN.join('.')} found=${facts.kernelRelease}`)
  }
  if (frontend === 'fuse') addFuseProblems(facts, add)
  const needless: readonly string[] = frontend === 'fuse' ? [] : DEVICE_TOOLS
  const missing = facts.missingTools.filter((tool) => !needless.includes(tool))
  if (missing.length > 0) {
    add('PATH', `lacks ${missing.join(', ')}; install util-linux (apt-get install util-linux mount)`)
  }
  return problems
}

function addFuseProblems(facts: HostFacts, add: (where: string, problem: string) => void): void {
  if (facts.fuseProblem !== null) {
    add(
      '/dev/fuse',
      `cannot be opened; load the module (modprobe fuse) and, in a container, pass the device cause=${facts.fuseProblem}`,
    )
  }
  if (!facts.hasLoopControl)
    add('/dev/loop-control', 'is missing; load the module (modprobe loop), and in a container pass /dev')
  if (facts.fuseTimeoutSeconds > 0) {
    add(
      'kernel',
      `would abort a volume that waits for a slow backing; set it off with: sysctl fs.fuse.default_request_timeout=0 found=${facts.fuseTimeoutSeconds}`,
    )
  }
}

/** What the user should know although it works; null when there is nothing. */
export function resendNotice(kernelRelease: string): string | null {
  if (!kernelIsBelow(kernelRelease, KERNEL_RESEND)) return null
  return `kernel ${kernelRelease} cannot send requests again (6.9 can): if the engine dies, the device answers with I/O errors until the volume is served again; no acknowledged write is lost`
}
