import { expect, test } from 'vitest';
import { parseAddress } from './address.ts';

const token = '0123456789abcdef'.repeat(4);

test('a session is attached by the URL that it printed', () => {
  const expected = { url: 'http://127.0.0.1:4000', token };
  expect(parseAddress(`http://127.0.0.1:4000/#token=${token}`)).toEqual(expected);
  expect(parseAddress(`  http://127.0.0.1:4000/#token=${token}\n`)).toEqual(expected);
  expect(parseAddress({ url: 'http://127.0.0.1:4000', token })).toEqual(expected);
  expect(parseAddress({ url: `http://127.0.0.1:4000/#token=${token}` })).toEqual(expected);
});

test('a token may be asked for later', () => {
  expect(parseAddress('http://127.0.0.1:4000', { tokenMayBeMissing: true })).toEqual({
    url: 'http://127.0.0.1:4000',
    token: '',
  });
});

test.each([
  ['', 'ATTACH_URL_INVALID'],
  ['127.0.0.1:4000', 'ATTACH_URL_INVALID'],
  ['file:///etc/passwd', 'ATTACH_URL_INVALID'],
  ['javascript:alert(1)', 'ATTACH_URL_INVALID'],
  [42, 'ATTACH_URL_INVALID'],
  [null, 'ATTACH_URL_INVALID'],
  [{ url: 7 }, 'ATTACH_URL_INVALID'],
  ['http://127.0.0.1:4000', 'ATTACH_TOKEN_MISSING'],
  [`http://127.0.0.1:4000/?token=${token}`, 'ATTACH_TOKEN_MISSING'],
  ['http://127.0.0.1:4000/#token=xyz', 'ATTACH_TOKEN_MISSING'],
  [{ url: 'http://127.0.0.1:4000', token: 'short' }, 'ATTACH_TOKEN_MISSING'],
])('%j is refused: %s', (value, code) => {
  expect(() => parseAddress(value)).toThrow(expect.objectContaining({ code }));
});
