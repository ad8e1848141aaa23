const { slug } = require('../../src/lib/slug');

test('makes a slug', () => {
  expect(slug('A B')).toBe('a-b');
});
