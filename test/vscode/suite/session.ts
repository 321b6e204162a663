/// <reference types="mocha" />
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { openCapture } from '@syncscope/protocol/capture';
import { fileSource } from '@syncscope/protocol/node';
import * as vscode from 'vscode';
import { CAPTURE_EDITOR, COMMANDS, LIVE_PANEL } from '../../../extension/src/ids.ts';
import { api, closeAllTabs, tabs, until, untilSession } from './wait.ts';

const BOTS = 4;

/** The whole path: start, attach, corrupt, record, stop, open. */
export function sessionTests(): void {
  describe('a session', () => {
    let id: string;
    let file: vscode.Uri;

    after(async () => {
      await vscode.commands.executeCommand(COMMANDS.stopServer);
      await closeAllTabs();
    });

    it('starts with the sample server and is listed', async () => {
      const started = await vscode.commands.executeCommand<string | undefined>(COMMANDS.startServer);
      assert.ok(started, 'the sample server did not start');
      id = started;
      const session = await untilSession('the session to be listed', (one) => one.id === id);
      assert.equal(session.state, 'idle');
      assert.match(session.url, /^http:\/\/127\.0\.0\.1:\d+$/);
      assert.deepEqual(session.participants, []);
    });

    it('is not started twice', async () => {
      assert.equal(await vscode.commands.executeCommand(COMMANDS.startServer), undefined);
      assert.equal((await api()).sessions().length, 1);
    });

    it('is attached, with every participant and its version', async () => {
      await vscode.commands.executeCommand(COMMANDS.attach, id);
      const session = await untilSession(
        'the participants',
        (one) => one.id === id && one.participants.filter(({ version }) => version > 0).length === BOTS + 1,
      );
      assert.equal(session.state, 'attached');
      assert.ok(session.verdict, 'there is no verdict');
      assert.ok(session.participants.some(({ replica }) => replica === 'server'));
      const inputs = tabs().map((tab) => tab.input);
      const panels = inputs.filter((input) => input instanceof vscode.TabInputWebview);
      assert.ok(
        panels.some((input) => input.viewType.endsWith(LIVE_PANEL)),
        'no inspector panel is open',
      );
    });

    it('is attached once, however often it is asked for', async () => {
      await vscode.commands.executeCommand(COMMANDS.attach, id);
      assert.equal(tabs().filter((tab) => tab.input instanceof vscode.TabInputWebview).length, 1);
    });

    it('is recorded', async () => {
      const started = await vscode.commands.executeCommand<vscode.Uri | undefined>(COMMANDS.record, id);
      assert.ok(started, 'the recording did not start');
      file = started;
      const session = await untilSession('the recording', (one) => one.id === id && one.state === 'recording');
      assert.ok(existsSync(file.fsPath));
      // What follows is explained from what the file holds: every replica is to be seen agreeing in it first.
      const first = Math.max(...session.participants.map(({ version }) => version));
      await untilSession('the session to go on', (one) => one.participants.every(({ version }) => version > first));
    });

    it('shows a copy that a fault made drift', async () => {
      // An update may write over the corrupted value before anybody compares, and then nothing differed: again.
      const injecting = setInterval(corruptBot2, 5_000);
      try {
        corruptBot2();
        // A repair often follows within one look; the desync stays listed.
        const session = await untilSession('a desync', (one) => one.desyncs.length > 0);
        assert.equal(session.desyncs[0]?.replica, 'bot-2');
        assert.match(session.desyncs[0].text, /bot-2 differs since v\d+/);
      } finally {
        clearInterval(injecting);
      }
    });

    it('stops being recorded, and the file is whole', async () => {
      await untilSession(
        'bot-2 to be repaired',
        (one) =>
          one.participants.length > 0 && one.participants.every(({ differsSince }) => differsSince === undefined),
      );
      const stopped = await vscode.commands.executeCommand<vscode.Uri | undefined>(COMMANDS.stopRecording);
      assert.equal(stopped?.fsPath, file.fsPath);
      const source = await fileSource(file.fsPath);
      try {
        const capture = await openCapture(source);
        const info = await capture.info();
        assert.equal(info.cut, undefined);
        assert.equal(info.lost, 0);
        assert.equal(info.replicas.length, BOTS + 1);
        assert.ok(info.records > 100, `only ${info.records} records`);
        assert.ok((info.kinds.fault ?? 0) > 0, 'the fault is not in the capture');
        const marker = await capture.nextMarker(-1, 1, 'desync');
        assert.equal(marker?.replica, 'bot-2');
        const explanation = await capture.explain(marker.position);
        assert.equal(explanation?.replica, 'bot-2');
        assert.equal(explanation.class, 'corrupted-at-rest', JSON.stringify(explanation, null, 2));
        assert.equal(explanation.differences.length, 1);
      } finally {
        await source.close();
      }
    });

    it('is exported as captured so far', async () => {
      const target = vscode.Uri.joinPath(file, '..', 'exported.mcap');
      const live = (await api()).sessions().find((one) => one.id === id);
      assert.equal(live?.state, 'attached');
      const panel = tabs().find((tab) => tab.input instanceof vscode.TabInputWebview);
      assert.ok(panel?.isActive);
      await vscode.commands.executeCommand(COMMANDS.exportCapture, undefined, target);
      const source = await fileSource(target.fsPath);
      try {
        const info = await (await openCapture(source)).info();
        assert.equal(info.cut, undefined);
        assert.ok(info.records > 100);
      } finally {
        await source.close();
      }
    });

    it('opens again in the custom editor', async () => {
      await vscode.commands.executeCommand(COMMANDS.openCapture, file);
      const tab = await until('the editor', () =>
        tabs().find((one) => one.input instanceof vscode.TabInputCustom && one.input.uri.fsPath === file.fsPath),
      );
      assert.ok(tab.input instanceof vscode.TabInputCustom);
      assert.equal(tab.input.viewType, CAPTURE_EDITOR);
    });

    it('is left when its panel is closed', async () => {
      await closeAllTabs();
      await untilSession('the session to be idle', (one) => one.id === id && one.state === 'idle');
    });

    it('recorded while its server is stopped leaves a capture that opens', async () => {
      const started = await vscode.commands.executeCommand<vscode.Uri | undefined>(COMMANDS.record, id);
      assert.ok(started);
      await untilSession('records', (one) => one.participants.length === BOTS + 1);
      await vscode.commands.executeCommand(COMMANDS.stopServer);
      await until('the session to be over', async () => {
        await vscode.commands.executeCommand(COMMANDS.refresh);
        return (await api()).sessions().length === 0 ? true : undefined;
      });
      const source = await fileSource(started.fsPath);
      try {
        const info = await (await openCapture(source)).info();
        assert.equal(info.cut, undefined);
        assert.ok(info.records > 0);
      } finally {
        await source.close();
      }
    });
  });
}

function corruptBot2(): void {
  void vscode.commands.executeCommand(COMMANDS.injectFault, { fault: 'corrupt', target: 'bot-2' });
}

/** Every scenario is started by its name, listed, attached to and stopped; also those without an authority. */
export function scenarioTests(): void {
  describe('a scenario', () => {
    afterEach(async () => {
      await vscode.commands.executeCommand(COMMANDS.stopServer);
      await closeAllTabs();
    });

    for (const scenario of ['adventure', 'board', 'craps', 'call']) {
      it(`${scenario} starts and is attached, with its participants`, async () => {
        const id = await vscode.commands.executeCommand<string | undefined>(COMMANDS.startServerScenario, scenario);
        assert.ok(id, `${scenario} did not start`);
        assert.match(id, new RegExp(`^${scenario}`));
        await vscode.commands.executeCommand(COMMANDS.attach, id);
        const session = await untilSession(
          'several participants',
          (one) => one.id === id && one.participants.length > 2,
        );
        assert.equal(session.state, 'attached');
      });
    }
  });
}
