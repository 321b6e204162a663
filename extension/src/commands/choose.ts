import { SyncError } from '@syncscope/protocol/errors';
import * as vscode from 'vscode';
import type { App } from '../app.ts';
import type { LiveSession } from '../live/live-session.ts';
import type { Node } from '../sessions/nodes.ts';
import type { Session } from '../sessions/store.ts';
import { plain } from '../text.ts';

const NODE_TYPES: readonly Node['type'][] = ['session', 'participant', 'desync', 'earlier'];

/**
 * What a command was called with: a node of the tree from a menu, an id from other code, or nothing from the palette.
 * Anything else counts as nothing.
 */
export function nodeOf(argument: unknown): Node | undefined {
  if (typeof argument !== 'object' || argument === null || !('type' in argument)) return undefined;
  return NODE_TYPES.some((type) => type === argument.type) ? (argument as Node) : undefined;
}

/** The session that is meant, asked for where there are several; `undefined` where the user turned back. */
export async function chooseSession(app: App, argument: unknown): Promise<Session | undefined> {
  const node = nodeOf(argument);
  if (node?.type === 'session') return node.session;
  await app.store.refresh();
  const sessions = app.store.list();
  if (typeof argument === 'string') {
    const named = sessions.find((session) => session.id === argument || session.url === argument);
    if (named) return named;
    throw noSession(vscode.l10n.t('There is no session {0}.', JSON.stringify(argument.slice(0, 100))));
  }
  if (sessions.length === 0) {
    throw noSession(vscode.l10n.t('No session is running on this machine. Start the sample server, or attach by URL.'));
  }
  return await pick(sessions, vscode.l10n.t('Which session?'));
}

/** An attached session: the one of the tree node or the panel in front, the only one, or the one that is picked. */
export async function chooseLive(
  app: App,
  argument: unknown,
  isWanted: (live: LiveSession) => boolean = (live) => live.isAttached,
): Promise<LiveSession | undefined> {
  const node = nodeOf(argument);
  const named = node?.type === 'session' ? node.session.live : node?.live;
  if (named) return named;
  const { active } = app.panels;
  if (active && isWanted(active)) return active;
  const candidates = app.store.live.filter(isWanted);
  if (candidates.length === 0) throw noSession(vscode.l10n.t('No such session is attached. Attach to one first.'));
  const sessions = candidates.map((live): Session => ({ id: live.url, title: live.title, url: live.url, live }));
  return (await pick(sessions, vscode.l10n.t('Which session?')))?.live;
}

async function pick(sessions: readonly Session[], title: string): Promise<Session | undefined> {
  if (sessions.length === 1) return sessions[0];
  const items = sessions.map((session) => ({ label: plain(session.title), description: session.url, session }));
  return (await vscode.window.showQuickPick(items, { title, matchOnDescription: true }))?.session;
}

function noSession(message: string): SyncError {
  return new SyncError('NO_SESSION', message, { origin: 'attach', retry: 'now' });
}
