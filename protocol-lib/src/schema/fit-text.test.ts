import { expect, test } from 'vitest';
import { fitText } from './fit-text.ts';

test.each([
  { text: 'short', max: 10, fitted: 'short' },
  { text: 'too long', max: 3, fitted: 'too' },
  { text: 'a😀b', max: 2, fitted: 'a' },
  { text: 'a😀b', max: 3, fitted: 'a😀' },
  { text: '\ud83d alone', max: 10, fitted: '\ufffd alone' },
  { text: '', max: 0, fitted: '' },
])('$text in $max is $fitted', ({ text, max, fitted }) => {
  expect(fitText(text, max)).toBe(fitted);
});
