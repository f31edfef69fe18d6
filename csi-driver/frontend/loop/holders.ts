// Who has a block device open: mounts in any mount namespace, processes, swap, other block devices on top of it. Read
// from /proc and sysfs, so a snapshot of a moving picture: good for messages, not for decisions. Whether a loop device
// is really gone is asked of the device itself.
import type { SmallFiles } from '../../io/files.ts'
import { nameOf } from './loop-device.ts'
import { mountsOf } from './mount-table.ts'

export type DeviceHolder =
  | { readonly kind: 'mount'; readonly mountPoint: string; readonly pid: number }
  | { readonly kind: 'process'; readonly pid: number; readonly command: string }
  | { readonly kind: 'device'; readonly name: string }
  | { readonly kind: 'swap' }

/** More are of no use in a message. */
export const HOLDERS_MAX = 20

export function describeHolder(holder: DeviceHolder): string {
  switch (holder.kind) {
    case 'mount':
      return `mounted at ${holder.mountPoint}`
    case 'process':
      return `open in process ${holder.pid} (${holder.command})`
    case 'device':
      return `used by block device ${holder.name}`
    case 'swap':
      return 'used as swap'
  }
}

async function mountHolders(files: SmallFiles, device: string, pids: readonly string[]): Promise<DeviceHolder[]> {
  const number = (await files.read(`/sys/block/${nameOf(device)}/dev`))?.trim()
  const namespaces = new Set<string>()
  const found: DeviceHolder[] = []
  for (const pid of pids) {
    const namespace = await files.readLink(`/proc/${pid}/ns/mnt`)
    if (namespace === null || namespaces.has(namespace)) continue
    namespaces.add(namespace)
    for (const mount of await mountsOf(files, pid)) {
      // A file system of several devices (btrfs) has a number of its own; its source still names one of them.
      if (mount.device !== number && mount.source !== device) continue
      const { mountPoint } = mount
      const known = found.some((holder) => holder.kind === 'mount' && holder.mountPoint === mountPoint)
      if (!known) found.push({ kind: 'mount', mountPoint, pid: Number(pid) })
    }
  }
  return found
}

async function processHolders(files: SmallFiles, device: string, pids: readonly string[]): Promise<DeviceHolder[]> {
  const found: DeviceHolder[] = []
  for (const pid of pids) {
    for (const fd of await files.list(`/proc/${pid}/fd`).catch(() => [])) {
      if ((await files.readLink(`/proc/${pid}/fd/${fd}`)) !== device) continue
      const command = (await files.read(`/proc/${pid}/comm`))?.trim() ?? '?'
      found.push({ kind: 'process', pid: Number(pid), command })
      break
    }
    if (found.length >= HOLDERS_MAX) break
  }
  return found
}

/** Everybody who can be seen to use `device` (/dev/loopN), at most HOLDERS_MAX. */
export async function findHolders(files: SmallFiles, device: string): Promise<DeviceHolder[]> {
  const pids = (await files.list('/proc')).filter((name) => /^\d+$/.test(name))
  const above = await files.list(`/sys/block/${nameOf(device)}/holders`)
  const swaps = (await files.read('/proc/swaps')) ?? ''
  const holders: DeviceHolder[] = [
    ...(await mountHolders(files, device, pids)),
    ...above.map((name): DeviceHolder => ({ kind: 'device', name })),
    ...(swaps.split('\n').some((line) => line.startsWith(`${device} `)) ? [{ kind: 'swap' } as const] : []),
    ...(await processHolders(files, device, pids)),
  ]
  return holders.slice(0, HOLDERS_MAX)
}
