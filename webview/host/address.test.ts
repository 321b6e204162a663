import { expect, it } from 'vitest';
import { type PageAddress, pageFragment, parsePageFragment } from './address.ts';

const token = 'ab'.repeat(32);

it.each<PageAddress>([
  { token, show: { kind: 'live' } },
  { token, show: { kind: 'live', session: 'adventure-1' } },
  { token, show: { kind: 'file', name: 'a b&c#d=é.mcap' } },
  { token, show: { kind: 'sessions' } },
])('comes back from the fragment: %j', (address) => {
  expect(parsePageFragment(pageFragment(address))).toEqual(address);
});

it.each(['', '#', '#token=', '#token=xyz', '#file=a.mcap', `#token=${token}g`])('reads nothing from %j', (fragment) => {
  expect(parsePageFragment(fragment)).toBeUndefined();
});
