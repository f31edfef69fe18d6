// Proves: only what stands between the marks changes, again and again, and a page without them is refused.
import { withMarked } from './marked-page.ts'

const MARKS = { begin: '<!-- begin -->', end: '<!-- end -->' }
const PAGE = 'before\n<!-- begin -->\nold\n<!-- end -->\nafter\n'

test('only what is between the marks changes', () => {
  const once = withMarked(PAGE, MARKS, 'new\n')
  expect(once).toBe('before\n<!-- begin -->\n\nnew\n\n<!-- end -->\nafter\n')
  expect(withMarked(once, MARKS, 'new')).toBe(once)
})

test.each(['no marks', '<!-- begin --> only', '<!-- end -->\n<!-- begin -->'])('refuses %j', (page) => {
  expect(() => withMarked(page, MARKS, 'new')).toThrow('in this order')
})
