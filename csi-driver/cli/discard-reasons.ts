// Why a copy may go or stays, in words: the rows of replica/receiver/garbage.ts and protocol/discard-table.ts by their
// labels, which `--output json` has as they are. Orders of an engine (learn) are no garbage and stand for nothing here.
const REASONS: Readonly<Record<string, string>> = {
  'in-use': 'an engine uses it',
  'register-unknown': 'its register cannot be read',
  'register-behind': 'its register shows less than this copy knows',
  'named-but-needed': 'named, but its register still needs this copy',
  named: 'named as gone for good',
  damaged: 'it is damaged, and perhaps all that is left; if the volume is gone for good, name it with --gone',
  'volume-gone': 'nothing of it is missing on the backing',
  'superseded-not-listed': 'its register names a newer log, and other copies',
  'superseded-by-own-log': 'the newer log that its register names is held here as well',
  'named-log-missing': 'its register counts on this copy, whose newer log is not here',
  'authoritative-or-pending': 'its register may need it; if the volume is gone for good, name it with --gone',
}

export function discardReason(label: string): string {
  return REASONS[label] ?? label
}
