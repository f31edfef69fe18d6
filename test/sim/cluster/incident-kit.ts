// What incidents are made of: whom they meet, and how what they leave behind ends.
import type { Ms } from '../../../base/units.ts'
import type { SimulatedDisk } from '../disk.ts'
import type { Holder } from './holder.ts'
import type { Host } from './host.ts'
import type { LogOnDisk } from './log-on-disk.ts'
import type { ClusterSimulation } from './simulation.ts'

/** Users go on for so many operations while an incident lasts, at most. */
export const OPERATIONS_MAX = 20

/** Rather one that holds a copy than another. */
export function aPeer(run: ClusterSimulation): Host {
  const { cluster, prng } = run
  const owner = cluster.present?.host
  const others = cluster.hosts.filter((host) => host !== owner)
  const members = others.filter(({ name }) => cluster.record?.members.some(({ node }) => node === name))
  return prng.pick(members.length > 0 && prng.chance(0.8) ? members : others)
}

/** Null: its copies are needed. */
export function mayCrash({ cluster }: ClusterSimulation, host: Host | undefined): Host | null {
  if (host === undefined || !host.isUp) return null
  const needed = host.settings.resource === 'memory' && !cluster.mayDestroy(host, ['cache', 'store'])
  return needed ? null : host
}

export function takeOverElsewhere(run: ClusterSimulation, from: Host | null): Holder | null {
  const host = run.operator.anotherHost(from)
  return host === null ? null : run.operator.takeOver(host)
}

/** Returns what brings the host back. */
export function outOfSight(run: ClusterSimulation, host: Host): () => void {
  const { network, hosts } = run.cluster
  const how = run.prng.below(4)
  if (how === 0) {
    host.pause()
    return () => host.resume()
  }
  if (how === 1) return () => {}
  const others = hosts.filter((one) => one !== host)
  for (const other of others) {
    network.cut(host.name, other.name)
    if (how === 2) network.cut(other.name, host.name)
  }
  return () => {
    for (const other of others) {
      network.uncut(host.name, other.name)
      network.uncut(other.name, host.name)
    }
  }
}

/** What is left over when everything is healed does nothing any more. */
export function later(run: ClusterSimulation, delayMs: Ms, end: () => void): void {
  run.world.schedule(delayMs, 'fault.ends', end)
}

/** Nobody reaches the host, and it reaches nobody; returns what ends that. */
export function cutOff({ cluster }: ClusterSimulation, host: Host): () => void {
  const { network, register, hosts } = cluster
  const others = hosts.filter((one) => one !== host)
  for (const other of others) network.cutBoth(host.name, other.name)
  register.cutFrom.add(host.name)
  return () => {
    register.cutFrom.delete(host.name)
    for (const other of others) {
      network.uncut(host.name, other.name)
      network.uncut(other.name, host.name)
    }
  }
}

/** What a disk holds of the log. */
export function logOn({ cluster }: ClusterSimulation, disk: SimulatedDisk): LogOnDisk {
  return cluster.copies.find((copy) => copy.disk === disk) as LogOnDisk
}

/** A host other than the owner's whose store is a member; null: there is none. */
export function memberHost({ cluster, prng }: ClusterSimulation, owner: Host): Host | null {
  const members = cluster.record?.members ?? []
  const found = cluster.hosts.filter((host) => host !== owner && members.some(({ node }) => node === host.name))
  return found.length === 0 ? null : prng.pick(found)
}
