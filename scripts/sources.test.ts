import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
/** Characters that nobody sees or that reorder what is seen, with which a source can say one thing and show another (CVE-2021-42574). */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}]|(?![\n\t])\p{Cc}/u;
const SOURCES = /\.(ts|tsx|mjs|js|json|md|css|html|txt|yml|yaml|svg)$|(^|\/)(LICENSE|\.gitignore|\.npmrc)$/;

/** Frames of the protocol, kept to the byte, some of which are about just these characters. */
const KEPT = /^test\/vectors\/v\d+\//;

interface LockedPackage {
  readonly link?: boolean;
  readonly inBundle?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
}

function tracked(): string[] {
  return execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((path) => SOURCES.test(path) && !KEPT.test(path));
}

/** Where the first invisible character of a text stands, as `line:column U+XXXX`. */
function firstInvisible(text: string): string | undefined {
  const at = text.search(INVISIBLE);
  if (at === -1) return undefined;
  const before = text.slice(0, at).split('\n');
  return `${before.length}:${before.at(-1)!.length + 1} U+${text.codePointAt(at)!.toString(16).padStart(4, '0')}`;
}

function lockedPackages(): [string, LockedPackage][] {
  const lock = JSON.parse(readFileSync(resolve(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  return Object.entries(lock.packages).filter(([path, { link }]) => path.includes('node_modules/') && !link);
}

describe('what the project is made of (T19)', () => {
  test('no source has an invisible character', () => {
    const files = tracked();
    expect(files.length).toBeGreaterThan(100);
    const found = files.flatMap((path) => {
      const place = firstInvisible(readFileSync(resolve(root, path), 'utf8'));
      return place === undefined ? [] : [`${path}:${place}`];
    });
    expect(found).toEqual([]);
  });

  test.each(['\u202e', '\u200b', '\ufeff', '\u2066', '\u{e0041}', '\u0000', '\r'])(
    'and one would be found: %j',
    (hidden) => {
      expect(firstInvisible(`one\ntwo${hidden}`)).toMatch(/^2:4 U\+/);
    },
  );

  test('each locked package is pinned by its bytes', () => {
    const packages = lockedPackages();
    expect(packages.length).toBeGreaterThan(50);
    const loose = packages.filter(([, { integrity, inBundle }]) => !inBundle && !/^sha512-/.test(integrity ?? ''));
    expect(loose.map(([path]) => path)).toEqual([]);
  });

  test('nothing that is shipped, and that cannot be done without, runs a script when it is installed', () => {
    const scripted = lockedPackages().filter(([, one]) => one.hasInstallScript && !one.dev && !one.optional);
    expect(scripted.map(([path]) => path)).toEqual([]);
  });
});
