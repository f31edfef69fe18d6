// Which machine this is, whatever it is called.
import { createHmac } from 'node:crypto'
import type { SmallFiles } from '../files.ts'

export const MACHINE_ID_FILE = '/etc/machine-id'
const MACHINE_ID = /^[0-9a-f]{32}\n?$/

/**
 * 32 hex digits, the same after every boot and another on every machine; null where the machine has no identity. Made from
 * the machine ID and not that itself, which others need not know (machine-id(5)).
 */
export async function readHostId(files: SmallFiles): Promise<string | null> {
  const text = await files.read(MACHINE_ID_FILE)
  if (text === null || !MACHINE_ID.test(text)) return null
  return createHmac('sha256', text.trim()).update('forebay').digest('hex').slice(0, 32)
}
