import { expect, test } from 'vitest';
import { sum } from './index';

test('sum of none', () => {
  expect(sum([])).toBe(0);
});
