import type * as vscode from 'vscode';
import { exportBytes } from '../capture-files/export.ts';
import { captureName } from '../capture-files/name.ts';
import type { LiveSession } from './live-session.ts';

/** Writes what was captured so far of a session to where the user chooses, or to `target`. */
export function exportLive(session: LiveSession, target?: vscode.Uri): Promise<vscode.Uri | undefined> {
  return exportBytes(() => session.capture.save(), captureName(session.scenario, new Date()), target);
}
