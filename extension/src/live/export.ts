import { unredactedHeader } from '@syncscope/protocol/exchange';
import { keyedPseudonyms, redactedFile } from '@syncscope/protocol/node';
import type * as vscode from 'vscode';
import { exportBytes } from '../capture-files/export.ts';
import { captureName } from '../capture-files/name.ts';
import { readSettings } from '../settings.ts';
import type { LiveSession } from './live-session.ts';
import { compression } from './recording.ts';

/** Writes what was captured so far of a session to where the user chooses, or to `target`; without secrets, unless recordings are to have them. */
export function exportLive(session: LiveSession, target?: vscode.Uri): Promise<vscode.Uri | undefined> {
  return exportBytes(() => fileOf(session), captureName(session.scenario, new Date()), target);
}

async function fileOf(session: LiveSession): Promise<Uint8Array> {
  const { capture } = session;
  // What happened a moment ago may be waiting to be sent with what comes next.
  await session.catchUp();
  // Whatever was told of the session, nobody has looked for its secrets yet.
  const header = unredactedHeader(capture.header);
  const file = capture.save(header);
  if (!readSettings().redactRecordings) return file;
  return redactedFile(file, header, { pseudonym: keyedPseudonyms() }, compression);
}
