import { describe, expect, it } from 'vitest';
import { chooseTheme } from '../theme/browser-theme.ts';
import { readAddress } from './host.ts';

const token = 'ab'.repeat(32);
const at = (hash: string) => ({ hash, origin: 'http://127.0.0.1:7000', protocol: 'http:', host: '127.0.0.1:7000' });

describe('what the page address asks for', () => {
  it.each([
    [`#token=${token}`, { page: 'attach', url: 'ws://127.0.0.1:7000/inspect', token }],
    [`#token=${token}&session=a%2Fb`, { page: 'attach', url: 'ws://127.0.0.1:7000/inspect/a%2Fb', token }],
    [`#token=${token}&file=x.mcap`, { page: 'openUrl', url: 'http://127.0.0.1:7000/capture', name: 'x.mcap', token }],
    [`#token=${token}&sessions=1`, undefined],
    ['', undefined],
    ['#token=not-a-token', undefined],
  ])('%s', (hash, message) => {
    expect(readAddress(at(hash))).toEqual(message);
  });
});

describe('the theme of a page in a browser', () => {
  const prefers =
    (...queries: string[]) =>
    (query: string) =>
      queries.includes(query);
  it.each([
    ['light', [], 'light'],
    [null, ['(prefers-color-scheme: light)'], 'light'],
    [null, [], 'dark'],
    [null, ['(prefers-contrast: more)'], 'high-contrast'],
    ['"><script>', ['(prefers-contrast: more)', '(prefers-color-scheme: light)'], 'high-contrast-light'],
  ] as const)('%s with %j is %s', (wanted, preferences, theme) => {
    expect(chooseTheme(wanted, prefers(...preferences))).toBe(theme);
  });
});
