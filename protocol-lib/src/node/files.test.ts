import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rename, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { ByteSink } from '../ports/index.ts';
import { fileSink, fileSource, recordingSink, wholeFile } from './files.ts';
import { temporaryFolder } from './testing.ts';

const cleanups: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

test('what was written can be read from any place, by the user alone', async () => {
  const path = join(await temporaryFolder(cleanups), 'bytes');
  const sink = await fileSink(path);
  const bytes = Uint8Array.from({ length: 300_000 }, (_, index) => index * 7);
  await sink.write(bytes.subarray(0, 100_000));
  await sink.write(bytes.subarray(100_000));
  await sink.flush();
  const source = await fileSource(path);
  expect(await source.size()).toBe(300_000);
  expect(await source.read(99_990, 20)).toEqual(bytes.slice(99_990, 100_010));
  expect(await source.read(300_000, 0)).toEqual(new Uint8Array(0));
  await sink.write(Uint8Array.of(1, 2, 3));
  expect(await source.size()).toBe(300_003);
  await sink.close();
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await source.close();
});

test('a file that is there is written anew', async () => {
  const path = join(await temporaryFolder(cleanups), 'bytes');
  for (const text of ['a longer one', 'short']) {
    const sink = await fileSink(path);
    await sink.write(Buffer.from(text));
    await sink.close();
  }
  expect(await readFile(path, 'utf8')).toBe('short');
});

test('a pipe is refused and not waited for', async () => {
  const path = join(await temporaryFolder(cleanups), 'pipe');
  execFileSync('mkfifo', [path]);
  await expect(fileSource(path)).rejects.toMatchObject({ code: 'FILE_UNREADABLE', place: { file: path } });
});

test('reading beyond the end rejects and says where', async () => {
  const path = join(await temporaryFolder(cleanups), 'bytes');
  const sink = await fileSink(path);
  await sink.write(new Uint8Array(100));
  await sink.close();
  const source = await fileSource(path);
  await truncate(path, 50);
  await expect(source.read(40, 20)).rejects.toMatchObject({
    code: 'FILE_ENDS_EARLY',
    place: { file: path, offset: 40 },
  });
  await source.close();
});

test('what is no file, or in no folder, is refused by its name', async () => {
  const folder = await temporaryFolder(cleanups);
  await mkdir(join(folder, 'sub'));
  for (const path of [join(folder, 'none'), join(folder, 'sub')]) {
    await expect(fileSource(path)).rejects.toMatchObject({ code: 'FILE_UNREADABLE', place: { file: path } });
  }
  for (const path of [join(folder, 'none', 'file'), join(folder, 'sub')]) {
    await expect(fileSink(path)).rejects.toMatchObject({ code: 'FILE_UNWRITABLE', place: { file: path } });
  }
});

test('a file that is being written is refused to a second writer and left as it is', async () => {
  const path = join(await temporaryFolder(cleanups), 'one.mcap');
  const sink = await recordingSink(path);
  await sink.write(Uint8Array.of(1, 2, 3));
  await expect(recordingSink(path)).rejects.toMatchObject({ code: 'FILE_IN_USE' });
  await sink.close();
  expect([...(await readFile(path))]).toEqual([1, 2, 3]);
  await (await recordingSink(path)).close();
  expect(await readdir(dirname(path))).toEqual(['one.mcap']);
});

test('the mark of a writer that has died is taken over', async () => {
  const path = join(await temporaryFolder(cleanups), 'one.mcap');
  const dead = spawnSync(process.execPath, ['-e', '']);
  await writeFile(`${path}.recording`, `${dead.pid}\n`);
  await (await recordingSink(path)).close();
  expect(await readdir(dirname(path))).toEqual(['one.mcap']);
});

test('a file that was renamed while it is open leaves its name to the next', async () => {
  const path = join(await temporaryFolder(cleanups), 'one.log');
  const first = await fileSink(`${path}.new`);
  await rename(`${path}.new`, path);
  const second = await fileSink(`${path}.new`);
  await first.write(Uint8Array.of(1));
  await second.write(Uint8Array.of(2));
  await Promise.all([first.close(), second.close()]);
  expect([...(await readFile(path))]).toEqual([1]);
  expect([...(await readFile(`${path}.new`))]).toEqual([2]);
});

test('a file that is made whole takes the place of the one before, or leaves it as it was', async () => {
  const folder = await temporaryFolder(cleanups);
  const path = join(folder, 'made.mcap');
  const fill = async (sink: ByteSink, text: string): Promise<string> => {
    await sink.write(Buffer.from(text));
    await sink.close();
    return text;
  };
  expect(await wholeFile(path, (sink) => fill(sink, 'first'))).toBe('first');
  await wholeFile(path, (sink) => fill(sink, 'second'));
  expect(await readFile(path, 'utf8')).toBe('second');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const failing = wholeFile(path, async (sink) => {
    await fill(sink, 'half');
    throw new Error('no more');
  });
  await expect(failing).rejects.toThrow('no more');
  expect(await readFile(path, 'utf8')).toBe('second');
  const link = join(folder, 'link.mcap');
  await symlink(path, link);
  await wholeFile(link, (sink) => fill(sink, 'third'));
  expect(await readFile(path, 'utf8')).toBe('third');
  const recording = await recordingSink(join(folder, 'busy.mcap'));
  await expect(wholeFile(join(folder, 'busy.mcap'), (sink) => fill(sink, ''))).rejects.toMatchObject({
    code: 'FILE_IN_USE',
  });
  await recording.close();
  for (const none of [folder, join(folder, 'none', 'made.mcap')]) {
    await expect(wholeFile(none, (sink) => fill(sink, ''))).rejects.toMatchObject({ code: 'FILE_UNWRITABLE' });
  }
  expect((await readdir(folder)).sort()).toEqual(['busy.mcap', 'link.mcap', 'made.mcap']);
});

test('what was written is written anew whole, or stays as it was; the new one is the user’s alone, and nothing is left beside it', async () => {
  const folder = await temporaryFolder(cleanups);
  const path = join(folder, 'bytes');
  const sink = await recordingSink(path);
  await sink.write(Buffer.from('first'));
  await sink.rewrite!(async (written) => {
    expect(Buffer.from(await written.read(0, await written.size())).toString()).toBe('first');
  });
  expect(await readFile(path, 'utf8')).toBe('first');
  const broken = sink.rewrite!(async (_, instead) => {
    await (await instead()).write(Buffer.from('half'));
    throw new Error('no room');
  });
  await expect(broken).rejects.toThrow('no room');
  expect(await readFile(path, 'utf8')).toBe('first');
  await writeAnew(sink, 'second');
  expect((await readdir(folder)).sort()).toEqual(['bytes', 'bytes.recording']);
  await sink.close();
  expect(await readdir(folder)).toEqual(['bytes']);
  expect(await readFile(path, 'utf8')).toBe('second');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a file that was renamed while it is open is written anew where it is, and what has its name now stays', async () => {
  const folder = await temporaryFolder(cleanups);
  const [path, moved] = [join(folder, 'bytes'), join(folder, 'moved')];
  const sink = await fileSink(path);
  await sink.write(Buffer.from('a longer first one'));
  await rename(path, moved);
  await writeFile(path, 'of somebody else');
  await writeAnew(sink, 'second');
  await sink.close();
  expect(await readFile(moved, 'utf8')).toBe('second');
  expect(await readFile(path, 'utf8')).toBe('of somebody else');
});

async function writeAnew(sink: ByteSink, text: string): Promise<void> {
  await sink.rewrite!(async (_, instead) => {
    const other = await instead();
    await other.write(Buffer.from(text));
    await other.flush();
    await other.close();
  });
}
