// Whether the listed members are what the policy asks for: so many copies on other nodes of the own domain, so many in
// others. A copy on the own node dies with it and counts for nothing.
import type { Member } from '../../register/record.ts'
import type { ReplicationSettings } from '../volume-settings.ts'

export function policyMet(
  { replication, node }: { readonly replication: ReplicationSettings | null; readonly node: string },
  members: readonly Member[],
): boolean {
  if (replication === null) return true
  const { peers, domain, wanted } = replication
  const domains = members
    .filter((member) => member.node !== node)
    .map((member) => peers.find((peer) => peer.node === member.node)?.domain)
  const same = domains.filter((found) => found === domain).length
  const other = domains.filter((found) => found !== domain && found !== undefined).length
  return same >= wanted.same && other >= wanted.other
}
