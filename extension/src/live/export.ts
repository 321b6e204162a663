import type * as vscode from 'vscode';
import { exportBytes } from '../captures/export.ts';
import { captureName } from '../captures/name.ts';
import type { LiveSession } from './live-session.ts';

/** Writes what was captured so far of a session to where the user chooses, or to `target`. */
export function exportLive(session: LiveSession, target?: vscode.Uri): Promise<vscode.Uri | undefined> {
  return exportBytes(() => session.capture.save(), captureName(session.title, new Date()), target);
}
