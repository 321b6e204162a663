import { toHex } from '../../bytes/index.ts';
import { writeJson } from '../../messages/index.ts';
import type { OpenCapture } from '../engine.ts';
import { DecodedFrames } from './decoded-frames.ts';
import { passing } from './passing.ts';

/**
 * One JSON document a line: the header first, as `{"header":…}`, then each record. Bytes are `{"$bytes":hex}`, as in the text protocol. Beside a frame stands
 * what it says: `message`, or `messageError` where that cannot be told.
 */
export async function* exportJson(capture: OpenCapture, filter = ''): AsyncGenerator<string> {
  const { header } = await capture.info();
  yield `${writeJson({ format: 'syncscope/records@1', header })}\n`;
  const frames = new DecodedFrames(capture);
  for await (const one of passing(capture, filter)) {
    yield `${writeJson({ position: one.position, ...one.record, ...(await frames.of(one)) })}\n`;
  }
}

const COLUMNS = [
  'position',
  'seq',
  'time_ns',
  'replica',
  'kind',
  'severity',
  'frame_bytes',
  'causes',
  'summary',
  'frame',
] as const;

/** A line a record (RFC 4180), for a spreadsheet. */
export async function* exportCsv(capture: OpenCapture, filter = ''): AsyncGenerator<string> {
  yield `${COLUMNS.join(',')}\r\n`;
  for await (const { position, record, summary, severity } of passing(capture, filter)) {
    const { seq, time, replica, cause, body, wire } = record;
    const cells = [
      position,
      seq,
      time,
      replica,
      body.kind,
      severity,
      wire?.length ?? 0,
      cause.join(' '),
      summary,
      wire ? toHex(wire) : '',
    ];
    yield `${cells.map((one) => csvCell(String(one))).join(',')}\r\n`;
  }
}

/** Quoted where it must be. A spreadsheet takes a text that begins so for a formula, so such a cell begins with an apostrophe. */
function csvCell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
