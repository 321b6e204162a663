import * as vscode from 'vscode';
import type { App } from '../app.ts';
import { Disposables } from '../disposables.ts';
import { showError } from '../errors.ts';
import { COMMANDS, type CommandId } from '../ids.ts';
import type { LiveSession } from '../live/live-session.ts';
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

/** A click on a session attaches; on a participant, a desync or the status bar it goes to where that differs. */
async function reveal(app: App, argument: unknown): Promise<void> {
  const node = nodeOf(argument);
  if (node?.type === 'participant') {
    app.panels.show(node.live, node.status.differs?.position);
  } else if (node?.type === 'desync') {
    app.panels.show(node.live, node.marker.position);
  } else if (node?.session.live) {
    app.panels.show(node.session.live);
  } else if (node) {
    await attach(app, node);
  } else {
    const live = liveOf(argument);
    if (live) app.panels.show(live, live.status?.verdict.position);
  }
}

function liveOf(argument: unknown): LiveSession | undefined {
  return typeof argument === 'object' && argument !== null && 'live' in argument
    ? (argument.live as LiveSession)
    : undefined;
}
