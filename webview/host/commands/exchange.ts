import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { OpenCapture } from '@syncscope/protocol/capture';
import { SyncError } from '@syncscope/protocol/errors';
import {
  CaptureMaker,
  checkRules,
  examine,
  exportCsv,
  exportHar,
  exportJson,
  exportShiViz,
  filterCapture,
  harStart,
  headerOf,
  importedHeader,
  importHar,
  importShiViz,
  isRedacted,
  learnSecrets,
  type MergePart,
  mergeCaptures,
  mergedHeader,
  type RedactOptions,
  recoverCapture,
  redactCapture,
  redactedHeader,
} from '@syncscope/protocol/exchange';
import { keyedPseudonyms, openToRead, wholeFile, zstdCompression } from '@syncscope/protocol/node';
import type { TraceHeader } from '@syncscope/protocol/trace';
import { withCapture } from '../capture-file.ts';
import { withExpression } from '../caret.ts';
import { printDocument } from '../json.ts';
import { refuseInput } from '../output.ts';
import { count, escapeText, size } from '../print.ts';
import { clearProgress, withoutProgress } from '../progress.ts';

/** What a capture can be made into, and out of what one can be made. */
export const EXPORT_FORMATS = ['json', 'csv', 'shiviz', 'har'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];
export const IMPORT_FORMATS = ['shiviz', 'har'] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];

/** Bytes of a file to import, which is read as a whole. */
const IMPORT_MAX = 256 * 1024 * 1024;

interface Output {
  readonly output: string;
  readonly json?: boolean;
}

export interface ExportOptions {
  readonly format: ExportFormat;
  readonly filter?: string;
  readonly output?: string;
  /** Of an export into a file. */
  readonly json?: boolean;
  /** Redacts on the way. */
  readonly redact?: boolean;
  readonly path?: readonly string[];
  readonly pattern?: readonly string[];
  /** Sharing what may hold secrets has to be asked for. */
  readonly unredacted?: boolean;
}

const EXPORTS: Readonly<Record<ExportFormat, (capture: OpenCapture, filter?: string) => AsyncGenerator<string>>> = {
  json: exportJson,
  csv: exportCsv,
  shiviz: exportShiViz,
  har: exportHar,
};

/** `export`: a capture as text, to a file or standard output. */
export async function exportCapture(file: string, options: ExportOptions): Promise<void> {
  const { format, filter, output, unredacted, json } = options;
  const rules = redactionOf(options);
  if (output === undefined && process.stdout.isTTY) withoutProgress();
  await withCapture(file, async (capture) => {
    const header = headerOf(await capture.info());
    if (!rules && !unredacted && !isRedacted(header)) {
      throw new SyncError(
        'EXPORT_UNREDACTED',
        `${file} may hold secrets; say --redact, make a redacted capture first (syncscope redact), or say --unredacted`,
        { origin: 'setting', place: { file } },
      );
    }
    const print = async (one: OpenCapture): Promise<void> => {
      const text = Readable.from(EXPORTS[format](one, filter));
      if (output === undefined) await pipeline(text, process.stdout, { end: false }).catch(unlessClosed);
      else await intoNewFile(text, output);
    };
    await withExpression(filter, () => (rules ? withRedacted(capture, rules, print) : print(capture)));
  });
  if (output === undefined) return;
  const bytes = (await stat(output)).size;
  told('export', { file, output, format, size: bytes }, `${output}: ${size(bytes)} of ${format}`, json);
}

/** @throws SyncError `EXPORT_REDACT` for what contradicts itself, `REDACT_RULE` */
function redactionOf({ redact, unredacted, path = [], pattern = [] }: ExportOptions): RedactOptions | undefined {
  const rules = { paths: path, patterns: pattern };
  checkRules(rules);
  if (redact && !unredacted) return { ...rules, pseudonym: keyedPseudonyms() };
  if (!redact && path.length + pattern.length === 0) return undefined;
  throw new SyncError('EXPORT_REDACT', '--path and --pattern go with --redact, and --redact without --unredacted', {
    origin: 'setting',
  });
}

/** What is exported then is a redacted capture, which nobody but this process can read, and which is gone at the end. */
async function withRedacted(
  capture: OpenCapture,
  rules: RedactOptions,
  use: (redacted: OpenCapture) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'syncscope-export-'));
  try {
    const path = join(folder, 'redacted.mcap');
    const { header } = await capture.info();
    const known = { ...rules, known: await learnSecrets(capture, rules) };
    await write(path, redactedHeader(header, known), (maker) => redactCapture(capture, maker, known));
    await withCapture(path, use);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whoever reads, such as `head`, may have had enough. */
function unlessClosed(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

/** @throws SyncError `OUTPUT_EXISTS`, and what the text throws; then nothing is left */
async function intoNewFile(text: Readable, path: string): Promise<void> {
  const file = await newFile(path);
  try {
    await pipeline(text, file);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** For the user alone: a capture holds whatever the session held. @throws SyncError `OUTPUT_EXISTS` */
async function newFile(path: string): Promise<Writable> {
  try {
    return (await open(path, 'wx', 0o600)).createWriteStream();
  } catch (cause) {
    throw new SyncError('OUTPUT_EXISTS', `${path} is there already or cannot be written; name a new file`, {
      origin: 'setting',
      place: { file: path },
      cause,
    });
  }
}

export interface ImportOptions extends Output {
  readonly format: ImportFormat;
  readonly pattern?: string;
}

/** `import`: a capture made of a log with vector clocks, or of an HTTP archive. */
export async function importCapture(file: string, { format, pattern, output, json }: ImportOptions): Promise<void> {
  await refuseInput(output, [file]);
  const { text, mtimeMs } = await textOf(file);
  const header = importedHeader(file, format === 'har' ? harStart(text) : Math.floor(mtimeMs));
  const records = await write(output, header, (maker) =>
    format === 'har' ? importHar(text, maker) : importShiViz(text, maker, pattern),
  );
  told('import', { file, output, records }, `${output}: ${count(records, 'record')}`, json);
}

/** @throws SyncError `FILE_UNREADABLE`, `IMPORT_TOO_LARGE` */
async function textOf(file: string): Promise<{ readonly text: string; readonly mtimeMs: number }> {
  const handle = await openToRead(file);
  try {
    const { size: bytes, mtimeMs } = await handle.stat();
    if (bytes <= IMPORT_MAX) return { text: await handle.readFile('utf8'), mtimeMs };
    const told = `${file} has ${bytes} bytes, at most ${IMPORT_MAX} are imported; cut it first`;
    throw new SyncError('IMPORT_TOO_LARGE', told, { origin: 'capture', place: { file } });
  } finally {
    await handle.close();
  }
}

export interface FilterCommandOptions extends Output {
  readonly strict?: boolean;
}

/** `filter`: a capture of the records that pass, and of those that states need. */
export async function filter(
  file: string,
  expression: string,
  { strict, output, json }: FilterCommandOptions,
): Promise<void> {
  await refuseInput(output, [file]);
  await withCapture(file, async (capture) => {
    const header = headerOf(await capture.info());
    let left = 0;
    const records = await withExpression(expression, () =>
      write(output, header, async (maker) => {
        ({ left } = await filterCapture(capture, expression, maker, { isStrict: strict === true }));
      }),
    );
    told(
      'filter',
      { file, output, records, left },
      `${output}: ${count(records, 'record')}, ${count(left, 'record')} left out`,
      json,
    );
  });
}

/** `recover`: what can be read of a damaged capture. Exit 3 where something is lost. */
export async function recover(file: string, { output, json }: Output): Promise<number> {
  await refuseInput(output, [file]);
  return withCapture(file, async (capture) => {
    const header = headerOf(await capture.info());
    let found: Awaited<ReturnType<typeof recoverCapture>> = { kept: 0, lost: [], why: [] };
    await write(output, header, async (maker) => {
      found = await recoverCapture(capture, maker);
    });
    const lost = found.lost.reduce((sum, { from, to }) => sum + to - from + 1, 0);
    const lines = [
      `${output}: ${count(found.kept, 'record')}, ${lost === 0 ? 'none lost' : `${count(lost, 'record')} lost`}`,
      ...found.why,
    ];
    told('recover', { file, output, ...found }, lines.join('\n'), json);
    return found.why.length === 0 && lost === 0 ? 0 : 3;
  });
}

/** `doctor`: what is wrong with a capture, or unusual. Exit 3 where there is a warning. */
export async function doctor(file: string, { json }: { readonly json?: boolean }): Promise<number> {
  return withCapture(file, async (capture) => {
    const found = await examine(capture);
    const lines = found.symptoms.map(
      ({ level, what, position }) =>
        `${level.padEnd(7)}  ${what}${position === undefined ? '' : ` (from position ${position})`}`,
    );
    const head = `${file}: ${count(found.records, 'record')}`;
    told(
      'doctor',
      { file, ...found },
      [head, ...(lines.length > 0 ? lines : ['nothing is wrong with it'])].join('\n'),
      json,
    );
    return found.symptoms.some(({ level }) => level === 'warning') ? 3 : 0;
  });
}

/** `merge`: captures of several processes of one session, in causal order. */
export async function merge(files: readonly string[], { output, json }: Output): Promise<void> {
  await refuseInput(output, files);
  await withCaptures(files, [], async (parts) => {
    let merged: Awaited<ReturnType<typeof mergeCaptures>> | undefined;
    const records = await write(output, await mergedHeader(parts), async (maker) => {
      merged = await mergeCaptures(parts, maker);
    });
    const { paired = 0, offsets = [], twice = 0, renamed = [] } = merged ?? {};
    const clocks = parts.map(
      ({ name }, index) => `${name}: clock moved by ${((offsets[index] ?? 0) / 1e6).toFixed(3)} ms`,
    );
    const lines = [`${output}: ${count(records, 'record')}, ${count(paired, 'message')} between the parts`, ...clocks];
    if (twice > 0) lines.push(`${count(twice, 'record')} told by two recordings of one process are there once`);
    for (const { part, from, to } of renamed) {
      lines.push(`${from} of ${parts[part]?.name} is ${to}: another process had that name at the same time`);
    }
    told('merge', { files, output, records, paired, offsets, twice, renamed }, lines.join('\n'), json);
  });
}

async function withCaptures(
  files: readonly string[],
  opened: readonly MergePart[],
  use: (parts: readonly MergePart[]) => Promise<void>,
): Promise<void> {
  const [name, ...others] = files;
  if (name === undefined) return use(opened);
  await withCapture(name, (capture) => withCaptures(others, [...opened, { name, capture }], use));
}

export interface RedactCommandOptions extends Output {
  readonly path?: readonly string[];
  readonly pattern?: readonly string[];
  readonly key?: string;
}

/** `redact`: a capture without its secrets. */
export async function redact(
  file: string,
  { path = [], pattern = [], key, output, json }: RedactCommandOptions,
): Promise<void> {
  await refuseInput(output, [file]);
  const pseudonym = keyedPseudonyms(key);
  await withCapture(file, async (capture) => {
    const { header } = await capture.info();
    let values = 0;
    const asked = { paths: path, patterns: pattern, pseudonym };
    const rules = { ...asked, known: await learnSecrets(capture, asked) };
    const records = await write(output, redactedHeader(header, rules), async (maker) => {
      ({ values } = await redactCapture(capture, maker, rules));
    });
    told(
      'redact',
      { file, output, records, values },
      `${output}: ${count(records, 'record')}, ${count(values, 'value')} redacted, no frames`,
      json,
    );
  });
}

/** Answers how many records were written. Where that fails, a file that was there is as it was. */
function write(output: string, header: TraceHeader, fill: (maker: CaptureMaker) => Promise<unknown>): Promise<number> {
  return wholeFile(output, async (sink) => {
    const maker = new CaptureMaker(sink, header, { compression: zstdCompression });
    try {
      await fill(maker);
    } finally {
      await maker.end();
    }
    return maker.records;
  });
}

type Verb = 'import' | 'export' | 'filter' | 'recover' | 'doctor' | 'merge' | 'redact';

function told(verb: Verb, document: Readonly<Record<string, unknown>>, text: string, json: boolean | undefined): void {
  clearProgress();
  if (json) printDocument(verb, document);
  else console.log(text.split('\n').map(escapeText).join('\n'));
}
