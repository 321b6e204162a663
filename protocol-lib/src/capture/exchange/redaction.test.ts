import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Redaction } from './redaction.ts';
import { SecretTexts } from './secret-text.ts';

const parts = fc.constantFrom(
  ...[
    'authorization',
    'Cookie',
    'passwd',
    'my-Secret',
    'tokens',
    'x-api-key',
    'session_id',
    'key',
    'AUTH',
    'sig',
    'code',
  ],
  ...[
    '=',
    ':',
    ' ',
    '"',
    '": "',
    '&',
    '?',
    '-',
    '_',
    '//',
    '@',
    '/',
    '\u00a0',
    '\u212a',
    '\u017f',
    'abcd',
    'Bearer ',
    'basic\t',
  ],
  ...[
    'pin',
    '"',
    "'",
    '"pin":',
    '%22',
    '[',
    '{',
    ': expected x, got "',
    'ghp_',
    'sk-',
    '-----begin rsa private key-----',
  ],
  ...[' is ', ' was now: ', ' of ann', 'hunter22.', '47@1'],
  ...['eyJ', 'eyJhbGciOiJI.', 'CANARYjwt333.', 'me', 'x', '0123456789', '\n', '\\'],
);

test('what is taken out of a text makes everything that the text stands in suspicious, whatever stands around it', () => {
  const secrets = new SecretTexts(['pin']);
  const texts = fc.array(parts, { maxLength: 8 }).map((all) => all.join(''));
  fc.assert(
    fc.property(texts, fc.string({ maxLength: 3 }), fc.string({ maxLength: 3 }), (text, before, after) => {
      if (secrets.search(text, () => true).length > 0) expect(secrets.isSuspicious(before + text + after)).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ['key=HUSHhush12', true],
  ['{"password":"x"}', true],
  ['bet pass 5', false],
  ['tokens', false],
])('whether %j among bytes may be a secret, behind a length that reads as a letter: %s', (text, isFound) => {
  const redaction = new Redaction({ pseudonym: () => '', keepsHex: true });
  expect(redaction.isInBytes(new TextEncoder().encode(`a${text}`))).toBe(isFound);
});

test('a number of tokens is a count, and a list of them is secret', () => {
  const redaction = new Redaction({ pseudonym: () => 'gone' });
  const record = { tokens: 100, token: 100, authTokens: ['HUSHhush12'], args: '{"tokens":100,"token":100}' };
  const body = { kind: 'conflict', key: 'a/b', result: record } as const;
  expect(redaction.body(body as never)).toMatchObject({
    result: { tokens: 100, token: 'gone', authTokens: 'gone', args: '{"tokens":100,"token":"gone"}' },
  });
});

test.each([
  ['the password is hunter22.', 'the password is gone.'],
  ['Password for ann was "hunter22", sorry', 'Password for ann was "gone", sorry'],
  ['your token is now: 0a1b2c3d!', 'your token is now: gone!'],
  ['my pin is 4711, call me', 'my pin is gone, call me'],
  ['email of ann is ann@guests.example.', 'email of ann is gone.'],
  ['secret was correcthorse7', 'secret was gone'],
])('what somebody says that a secret is: %j', (text, shown) => {
  const redaction = new Redaction({
    pseudonym: () => 'gone',
    marks: ['player/*.pin', 'player/*.email'],
    keepsHex: true,
  });
  expect(redaction.text(text)).toBe(shown);
});

test.each([
  'the password is required',
  'password is too short (8 characters)',
  'the token is invalid: 32 digits were expected',
  'token is 32 digits long',
  'my pin is lost, so is my email',
  'the password is redacted-0123456789ab.',
])('what else is said of one stays: %j', (text) => {
  const redaction = new Redaction({
    pseudonym: () => 'gone',
    marks: ['player/*.pin', 'player/*.email'],
    keepsHex: true,
  });
  expect(redaction.text(text)).toBe(text);
});

test('what is said in a sentence is looked for elsewhere, where it is no word and long enough', () => {
  const redaction = new Redaction({ pseudonym: () => 'gone', keepsHex: true });
  const log = (text: string) => ({ kind: 'log', level: 'info', text }) as const;
  redaction.learn(log('the password is hunter22x'));
  expect(redaction.text('login with hunter22x refused')).toBe('login with gone refused');
});

test('a marked field may be called anything', () => {
  const names = fc
    .oneof(fc.string({ minLength: 1, maxLength: 6 }), fc.string({ minLength: 1, maxLength: 6, unit: 'binary' }))
    .filter((name) => !name.includes('.'));
  const fields = fc.oneof(names, fc.constantFrom('my-pin', 'a|b', '(', '\\', '[x', 'k/v', '\\E', '$&', '*'));
  fc.assert(
    fc.property(fields, (name) => {
      const redaction = new Redaction({ pseudonym: () => 'gone', marks: [`player/*.${name}`] });
      const body = {
        kind: 'conflict',
        key: 'player/a',
        result: Object.fromEntries([
          [name, 'x'],
          ['other', 1],
        ]),
      } as const;
      redaction.learn(body as never);
      const { result } = redaction.body(body as never) as unknown as typeof body;
      expect(Object.getOwnPropertyDescriptor(result, name)?.value).toBe('gone');
      const json = `{${JSON.stringify(name)}:"HUSHhush12"}`;
      if (JSON.stringify(name) === `"${name}"` && name.isWellFormed())
        expect(redaction.text(json)).not.toContain('HUSH');
      expect(redaction.isInBytes(new TextEncoder().encode(`\u00a3${name}x`))).toBe(name.isWellFormed());
    }),
    { numRuns: 60 },
  );
}, 60_000);
