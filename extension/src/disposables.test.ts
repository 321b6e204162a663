import { expect, test } from 'vitest';
import { Disposables } from './disposables.ts';

function recorder() {
  const ended: string[] = [];
  return { ended, item: (name: string) => ({ dispose: () => void ended.push(name) }) };
}

test('ends everything once, the last added first', () => {
  const { ended, item } = recorder();
  const all = new Disposables();
  for (const name of ['a', 'b', 'c']) all.add(item(name));
  expect(all.size).toBe(3);
  all.dispose();
  all.dispose();
  expect(ended).toEqual(['c', 'b', 'a']);
  expect(all.size).toBe(0);
});

test('ends at once what is added after the end', () => {
  const { ended, item } = recorder();
  const all = new Disposables();
  all.dispose();
  all.add(item('late'));
  expect(ended).toEqual(['late']);
  expect(all.size).toBe(0);
});

test('ends one before the others', () => {
  const { ended, item } = recorder();
  const all = new Disposables();
  const first = all.add(item('first'));
  all.add(item('second'));
  all.end(first);
  all.end(first);
  expect(ended).toEqual(['first']);
  all.dispose();
  expect(ended).toEqual(['first', 'second']);
});
