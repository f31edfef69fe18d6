// The incidents of the cluster by name; what each does is in incidents.ts. Those that come more often stand here twice.

export const CLUSTER_INCIDENTS = [
  'engine-crash',
  'engine-crash-at-step',
  'engine-crash-at-step',
  'engine-crash-while-restarting',
  'owner-host-crash',
  'owner-host-crash',
  'owner-host-reboot',
  'owner-pause',
  'owner-pause',
  'owner-isolated',
  'owner-isolated',
  'peer-crash',
  'peer-crash',
  'peer-host-crash',
  'peer-pause',
  'store-loss',
  'cache-failure',
  'cache-failure',
  'store-slow',
  'cache-slow',
  'cut-one-way',
  'cut-one-way',
  'cut-both-ways',
  'connections-reset',
  'flaky-network',
  'slow-network',
  'register-outage',
  'register-unknown',
  'takeover',
  'takeover',
  'takeover-crash',
  'takeover-crash',
  'takeover-disturbed',
  'takeover-disturbed',
  'takeover-disturbed',
  'restart-disturbed',
  'restart-disturbed',
  'two-takeovers',
  'return-of-old-owner',
  'backing-hang',
  'backing-slow',
  'policy-switch',
  'drain',
  'close-and-open',
  'hand-over',
  'hand-over',
  'idle',
] as const

export type ClusterIncident = (typeof CLUSTER_INCIDENTS)[number]

/** By name, for command lines. */
export function clusterIncidentNamed(name: string): ClusterIncident | undefined {
  return CLUSTER_INCIDENTS.find((incident) => incident === name)
}
