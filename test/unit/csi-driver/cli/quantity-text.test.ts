// Proves how sizes and ages are rounded for people.
import { bytesText, secondsText } from '../../../../csi-driver/cli/quantity-text.ts'

test.each([
  [0, '0 B'],
  [512, '512 B'],
  [4096, '4 KiB'],
  [1536, '1.5 KiB'],
  [10 * 1024 + 600, '11 KiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [4 * 2 ** 30, '4 GiB'],
  [2 ** 50, '1024 TiB'],
])('%p bytes are %p', (bytes, text) => expect(bytesText(bytes)).toBe(text))

test.each([
  [0, '0 s'],
  [-3, '0 s'],
  [12.4, '12 s'],
  [59.6, '1 min'],
  [200, '3 min 20 s'],
  [7500, '2 h 5 min'],
  [7200, '2 h'],
  [356_400, '4 d 3 h'],
])('%p seconds are %p', (seconds, text) => expect(secondsText(seconds)).toBe(text))
