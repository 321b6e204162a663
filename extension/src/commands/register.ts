import * as vscode from 'vscode';
import type { App } from '../app.ts';
import { Disposables } from '../disposables.ts';
import { showError } from '../errors.ts';
import { COMMANDS, type CommandId } from '../ids.ts';
import { REVEAL_COMMAND } from '../sessions/view.ts';
import { exportCapture, openCapture, openSampleCapture } from './capture-commands.ts';
import { nodeOf } from './choose.ts';
import { startServer, startServerScenario, startServerWithFault, stopServer } from './server-commands.ts';
import { attach, attachUrl, detach, injectFault, record, stopRecording } from './session-commands.ts';

type Handler = (app: App, argument: unknown, second: unknown) => unknown;

const HANDLERS: Readonly<Record<CommandId, Handler>> = {
  [COMMANDS.startServer]: startServer,
  [COMMANDS.startServerWithFault]: startServerWithFault,
  [COMMANDS.startServerScenario]: startServerScenario,
  [COMMANDS.stopServer]: stopServer,
  [COMMANDS.attach]: attach,
  [COMMANDS.attachUrl]: attachUrl,
  [COMMANDS.detach]: detach,
  [COMMANDS.record]: record,
  [COMMANDS.stopRecording]: stopRecording,
  [COMMANDS.injectFault]: injectFault,
  [COMMANDS.openCapture]: (_app, argument) => openCapture(argument),
  [COMMANDS.openSampleCapture]: openSampleCapture,
  [COMMANDS.exportCapture]: exportCapture,
  [COMMANDS.refresh]: async (app) => {
    app.captures.refresh();
    await app.store.refresh();
  },
  [COMMANDS.showLog]: (app) => app.log.show(true),
};

/** Registers every command. An error is shown to whoever asked and logged; the command then gives `undefined`. */
export function registerCommands(app: App): vscode.Disposable {
  const all = new Disposables();
  const register = (id: string, handler: Handler) =>
    all.add(
      vscode.commands.registerCommand(id, async (argument: unknown, second: unknown) => {
        try {
          return await handler(app, argument, second);
        } catch (error) {
          void showError(error, app.log);
          return undefined;
        }
      }),
    );
  for (const [id, handler] of Object.entries(HANDLERS)) register(id, handler);
  register(REVEAL_COMMAND, reveal);
  return all;
}

/**
 * A click on a session that is only offered attaches; on any other row, and on the status bar, it shows the session, at the record of which
 * was spoken there.
 */
async function reveal(app: App, argument: unknown, position: unknown): Promise<void> {
  const node = nodeOf(argument);
  if (node?.type === 'session' && !node.session.live) return void (await attach(app, node));
  const live = node === undefined ? app.store.shown : node.type === 'session' ? node.session.live : node.live;
  if (!live) return;
  if (node) app.panels.show(live, typeof position === 'number' ? position : undefined);
  else app.panels.show(live, live.status?.verdict.position);
}
