import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import type { SessionSummary, SyncscopeApi } from '../../../extension/src/api.ts';
import { COMMANDS, EXTENSION_ID } from '../../../extension/src/ids.ts';

const LOOK_EVERY_MS = 50;

/** The extension's own account of what it holds. */
export async function api(): Promise<SyncscopeApi> {
  const extension = vscode.extensions.getExtension<SyncscopeApi>(EXTENSION_ID);
  assert.ok(extension, `${EXTENSION_ID} is not installed here`);
  return await extension.activate();
}

/** Asks again until there is an answer; says what it waited for where none comes. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | Promise<T | undefined>,
  limit = 30_000,
): Promise<T> {
  const deadline = Date.now() + limit;
  while (true) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${limit} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** Waits for a session that is in a state, such as one whose participants are known. */
export async function untilSession(
  what: string,
  isWanted: (session: SessionSummary) => boolean,
): Promise<SessionSummary> {
  const { sessions } = await api();
  return await until(what, async () => {
    await vscode.commands.executeCommand(COMMANDS.refresh);
    return sessions().find(isWanted);
  });
}

export function tabs(): vscode.Tab[] {
  return vscode.window.tabGroups.all.flatMap((group) => group.tabs);
}

export async function closeAllTabs(): Promise<void> {
  await vscode.window.tabGroups.close(tabs(), false);
}
