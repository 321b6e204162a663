import { SyncError } from '@syncscope/protocol/errors';
import * as vscode from 'vscode';
import type { App } from '../app.ts';
import { recordingFolder } from '../capture-files/folder.ts';
import { captureName } from '../capture-files/name.ts';
import { askFault, parseFault } from '../faults.ts';
import { CAPTURE_EDITOR } from '../ids.ts';
import type { LiveSession } from '../live/live-session.ts';
import type { SessionAddress } from '../live/recording.ts';
import type { Session } from '../sessions/store.ts';
import { readSettings } from '../settings.ts';
import { notification } from '../text.ts';
import { requireTrust } from '../trust.ts';
import { parseAddress } from './address.ts';
import { chooseLive, chooseSession, nodeOf } from './choose.ts';

/** Attaches to a session and shows it. Returns its URL. */
export async function attach(app: App, argument: unknown): Promise<string | undefined> {
  requireTrust(vscode.l10n.t('Attaching to a session'));
  const session = await chooseSession(app, argument);
  if (!session) return undefined;
  const live = await attached(app, session);
  app.panels.show(live);
  return live.url;
}

/** Attaches to a session that no discovery file names: `{url, token}`, or asks for them. */
export async function attachUrl(app: App, argument: unknown): Promise<string | undefined> {
  requireTrust(vscode.l10n.t('Attaching to a session'));
  const address = argument === undefined ? await askAddress() : parseAddress(argument);
  if (!address) return undefined;
  const live = await app.store.attach(address);
  app.panels.show(live);
  return live.url;
}

/** Finishes a recording where there is one, closes the panel and forgets the capture. */
export async function detach(app: App, argument: unknown): Promise<void> {
  const live = await chooseLive(app, argument);
  if (!live) return;
  if (live.recording) await live.stopRecording();
  app.panels.close(live);
  app.store.remove(live);
}

/** Records a session to a file, attaching to it where that is not yet so. Returns the file. */
export async function record(app: App, argument: unknown): Promise<vscode.Uri | undefined> {
  requireTrust(vscode.l10n.t('Recording a session'));
  const live = await liveToRecord(app, argument);
  if (!live) return undefined;
  const file = vscode.Uri.joinPath(recordingFolder(app.context), captureName(live.scenario, new Date()));
  await live.startRecording(file, readSettings().redactRecordings);
  // It is listed from the start, wherever the setting puts it.
  app.recent.add(file);
  return file;
}

/** Finishes the file and offers to open it. Returns the file. */
export async function stopRecording(app: App, argument: unknown): Promise<vscode.Uri | undefined> {
  const live = await chooseLive(app, argument, (one) => one.recording !== undefined);
  if (!live) return undefined;
  const file = await live.stopRecording();
  app.captures.refresh();
  void offer(file);
  return file;
}

/** Asks a session for a fault; the argument is the fault itself, or a tree node whose participant is struck. */
export async function injectFault(app: App, argument: unknown): Promise<void> {
  requireTrust(vscode.l10n.t('Injecting a fault'));
  const live = await chooseLive(app, argument);
  if (!live) return;
  if (!live.mayInject) {
    throw new SyncError(
      'ATTACH_FORBIDDEN',
      vscode.l10n.t('{0} was attached with a token that may only observe.', live.title),
      {
        origin: 'attach',
      },
    );
  }
  const node = nodeOf(argument);
  const target = node?.type === 'participant' ? node.status.replica : undefined;
  const spec = node || argument === undefined ? await askFault(live, target) : parseFault(argument);
  if (spec) await live.inject(spec);
}

async function attached(app: App, session: Session): Promise<LiveSession> {
  if (session.live?.isAttached) return session.live;
  const { discovery } = session;
  if (!discovery) {
    throw new SyncError('ATTACH_CLOSED', vscode.l10n.t('{0} has ended.', session.title), { origin: 'attach' });
  }
  // The stronger token of the user's own session: faults are asked for from the same window.
  return await app.store.attach({ url: discovery.url, token: discovery.injectToken });
}

async function liveToRecord(app: App, argument: unknown): Promise<LiveSession | undefined> {
  const { active } = app.panels;
  if (argument === undefined && active?.isAttached) return active;
  const session = await chooseSession(app, argument);
  return session && (await attached(app, session));
}

async function askAddress(): Promise<SessionAddress | undefined> {
  const text = await vscode.window.showInputBox({
    title: vscode.l10n.t('Attach by URL'),
    prompt: vscode.l10n.t('The URL that the session printed, best with its token'),
    placeHolder: 'http://127.0.0.1:4000/#token=…',
    ignoreFocusOut: true,
  });
  if (!text) return undefined;
  const withToken = parseAddress(text, { tokenMayBeMissing: true });
  if (withToken.token !== '') return withToken;
  const token = await vscode.window.showInputBox({
    title: vscode.l10n.t('Token of {0}', withToken.url),
    prompt: vscode.l10n.t('64 hex digits, from where the session was started'),
    password: true,
    ignoreFocusOut: true,
  });
  return token ? parseAddress({ url: withToken.url, token }) : undefined;
}

async function offer(file: vscode.Uri): Promise<void> {
  const open = vscode.l10n.t('Open Capture');
  const said = notification(vscode.l10n.t('Recorded to {0}.', file.fsPath));
  const choice = await vscode.window.showInformationMessage(said, open);
  if (choice === open) await vscode.commands.executeCommand('vscode.openWith', file, CAPTURE_EDITOR);
}
