/// <reference types="mocha" />
import assert from 'node:assert/strict';
import { AGREEMENT, type CaptureStatus, type Marker } from '@syncscope/protocol/capture';
import { replicaId, stateHash } from '@syncscope/protocol/state';
import * as vscode from 'vscode';
import { TREE_ITEMS } from '../../../extension/src/ids.ts';
import { inspectorHtml } from '../../../extension/src/inspector/html.ts';
import type { LiveSession } from '../../../extension/src/live/live-session.ts';
import { type Node, nodePosition } from '../../../extension/src/sessions/nodes.ts';
import type { Session } from '../../../extension/src/sessions/store.ts';
import { SessionsView } from '../../../extension/src/sessions/view.ts';

/** What the extension makes of VS Code's own parts: the page of a webview, and the rows of the tree. */
export function partTests(): void {
  describe('the page that a webview loads', pageTests);
  describe('the tree of sessions', treeTests);
}

function pageTests(): void {
  let panel: vscode.WebviewPanel;
  const extension = vscode.Uri.file('/an extension/in "quotes"');

  before(() => {
    panel = vscode.window.createWebviewPanel('syncscope.test', 'Test', vscode.ViewColumn.Active);
  });
  after(() => panel.dispose());

  it('lets nothing run or load but its own bundle', () => {
    const html = inspectorHtml(panel.webview, extension);
    const nonce = nonceOf(html);
    assert.match(nonce, /^[A-Za-z0-9+/]{24}$/);
    const own = panel.webview.cspSource.split(' ');
    assert.deepEqual(policyOf(html), {
      'default-src': ["'none'"],
      'script-src': [`'nonce-${nonce}'`],
      'style-src': [`'nonce-${nonce}'`, ...own],
      'img-src': [...own, 'data:'],
      'font-src': own,
      'worker-src': ['blob:'],
      'base-uri': ["'none'"],
      'form-action': ["'none'"],
    });
    // VS Code serves a webview's files from there, and from nowhere else.
    for (const source of own) assert.match(source, /^'self'$|^https:\/\/\*\.vscode-cdn\.net$|^http:\/\/127\.0\.0\.1:/);
  });

  it('has one script and one style sheet, both of the bundle and with its nonce, and nothing written into it', () => {
    const html = inspectorHtml(panel.webview, extension);
    const nonce = nonceOf(html);
    const tags = [...html.matchAll(/<(script|link|style|iframe|img|base|object|embed|form)\b[^>]*>/g)].map(
      ([tag]) => tag,
    );
    assert.equal(tags.length, 2, tags.join('\n'));
    for (const [at, file] of ['inspector.css', 'inspector.js'].entries()) {
      assert.ok(tags[at]?.includes(`nonce="${nonce}"`), tags[at]);
      const address = / (?:src|href)="([^"]*)"/.exec(tags[at] ?? '')?.[1] ?? '';
      const folder = panel.webview.asWebviewUri(vscode.Uri.joinPath(extension, 'dist', 'webview', file));
      assert.equal(address.replaceAll('&amp;', '&'), folder.toString());
    }
    assert.match(html, /<script [^>]*><\/script>/);
    assert.doesNotMatch(html, / on[a-z]+=| style=|javascript:/);
  });

  it('has another nonce each time', () => {
    const nonces = Array.from({ length: 20 }, () => nonceOf(inspectorHtml(panel.webview, extension)));
    assert.equal(new Set(nonces).size, nonces.length);
  });
}

function nonceOf(html: string): string {
  return /<meta property="csp-nonce" content="([^"]*)">/.exec(html)?.[1] ?? '';
}

function policyOf(html: string): Record<string, string[]> {
  const policy = /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/.exec(html)?.[1] ?? '';
  return Object.fromEntries(
    policy.split('; ').map((line) => {
      const [name = '', ...sources] = line.split(' ');
      return [name, sources];
    }),
  );
}

const EVIL = 'bot$(error)\u202e[x](command:y)';
const EVIL_SHOWN = 'bot$ (error)\\u202e[x](command:y)';

/** A session as far as the tree looks at it, which changes as the test says. */
class FakeSessions {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  sessions: Session[] = [];

  list(): Session[] {
    return this.sessions.map((session) => ({ ...session }));
  }

  watch(): () => void {
    return () => {};
  }

  set(version: number, desyncs: number, text = `2 replicas agree at v${version}`, position?: number): void {
    const marks = Array.from({ length: desyncs }, (_, at) => mark(desyncs - at));
    const live = {
      url: 'http://127.0.0.1:1',
      isAttached: true,
      authority: 'server',
      status: status(version, text, position),
      desyncs: marks.slice(0, 20),
      desyncCount: marks.length,
    };
    // Only what a row is made of.
    this.sessions = [{ id: 's', title: EVIL, url: live.url, live: live as unknown as LiveSession }];
    this.#changed.fire();
  }
}

function mark(number: number): Marker {
  const text = `bot-2 differs since v${number}`;
  return { position: number, time: number * 1e9, kind: 'desync', replica: replicaId('bot-2'), text };
}

function status(version: number, text: string, position: number | undefined): CaptureStatus {
  const root = stateHash('0'.repeat(16));
  const idle = { connection: 'connected', root, lag: 0, behindFor: 0, pending: 0, oldestPending: 0 } as const;
  const one = (name: string, at: number) => {
    return { ...idle, replica: replicaId(name), version: at, agreement: AGREEMENT.agrees };
  };
  const replicas = [one('server', 1), one('bot-2', version)];
  const verdict =
    position === undefined ? { level: 'quiet' as const, text } : { level: 'error' as const, text, position };
  return { position: version, replicas, verdict };
}

function treeTests(): void {
  let sessions: FakeSessions;
  let view: SessionsView;
  let drawn: Array<readonly Node[] | undefined>;

  beforeEach(() => {
    sessions = new FakeSessions();
    view = new SessionsView(sessions);
    drawn = [];
    view.onDidChangeTreeData((nodes) => drawn.push(nodes));
    sessions.set(1, 2);
    draw();
    drawn = [];
  });
  afterEach(() => view.dispose());

  /** As VS Code does: a row, then what is below it. */
  function draw(node?: Node): void {
    if (node) view.getTreeItem(node);
    for (const child of view.getChildren(node)) draw(child);
  }

  function texts(node?: Node): unknown[][] {
    return view.getChildren(node).map((child) => {
      const { label, description } = view.getTreeItem(child);
      return [label, description];
    });
  }

  it('writes out what a session calls itself and says of itself', () => {
    assert.deepEqual(texts(), [[EVIL_SHOWN, '2 replicas agree']]);
    sessions.set(1, 0, EVIL);
    assert.deepEqual(texts(), [[EVIL_SHOWN, EVIL_SHOWN]]);
  });

  it('draws the row anew whose version went on, and no other', () => {
    const [session] = view.getChildren();
    const [, bot] = view.getChildren(session);
    sessions.set(2, 2);
    assert.deepEqual(drawn, [[bot]]);
    assert.equal(drawn[0]?.[0], bot, 'VS Code knows a row by its object');
    assert.match(String(view.getTreeItem(bot as Node).description), /^v2 /);
  });

  it('draws nothing where nothing changed', () => {
    sessions.set(1, 2);
    assert.deepEqual(drawn, []);
  });

  it('draws the session anew where something came below it', () => {
    sessions.set(1, 3);
    assert.deepEqual(drawn, [view.getChildren()]);
  });

  it('lists the newest five desyncs, and folds the others away with their number', () => {
    sessions.set(1, 30);
    const [session] = view.getChildren();
    const below = view.getChildren(session);
    assert.deepEqual(
      texts(session).map(([label]) => label),
      ['server', 'bot-2', ...[30, 29, 28, 27, 26].map((v) => `bot-2 differs since v${v}`), '25 more, earlier'],
    );
    const earlier = below.at(-1) as Node;
    const item = view.getTreeItem(earlier);
    assert.equal(item.contextValue, TREE_ITEMS.earlier);
    assert.equal(item.collapsibleState, vscode.TreeItemCollapsibleState.Collapsed);
    assert.equal(view.getChildren(earlier).length, 15);
    assert.match(String(item.tooltip), /latest 20 .* inspector/);
  });

  it('has a command in each row that needs no arguments, which VS Code would forget when it draws the row anew', async () => {
    const [session] = view.getChildren();
    const nodes = [session as Node, ...view.getChildren(session)];
    const commands = nodes.map((node) => view.getTreeItem(node).command);
    sessions.set(9, 2);
    draw();
    assert.deepEqual(
      nodes.map((node) => view.getTreeItem(node).command?.command),
      commands.map((command) => command?.command),
    );
    assert.equal(new Set(commands.map((command) => command?.command)).size, nodes.length);
    const known = new Set(await vscode.commands.getCommands());
    for (const command of commands) {
      assert.equal(command?.arguments, undefined);
      assert.ok(command && known.has(command.command), command?.command);
    }
  });

  it('leads from any row that says that somebody differs to where that began, as it said when it was drawn', async () => {
    sessions.set(1, 2, 'bot-2 differs since v7', 70);
    const [session] = view.getChildren() as [Node];
    const item = view.getTreeItem(session);
    assert.equal(item.description, 'bot-2 differs since v7');
    assert.equal(item.command?.command, view.getTreeItem(session).command?.command);
    const [desync] = view.getChildren(session).slice(-2) as [Node];
    assert.deepEqual([nodePosition(session), nodePosition(desync)], [70, 2]);
    const asked: unknown[][] = [];
    const reveals = new SessionsView(sessions, (...args) => asked.push(args));
    try {
      const [drawn] = reveals.getChildren() as [Node];
      const { command } = reveals.getTreeItem(drawn);
      // Repaired, and the row not drawn anew yet.
      sessions.set(2, 2);
      await vscode.commands.executeCommand(command?.command ?? '');
      assert.deepEqual(asked, [[drawn, 70]]);
    } finally {
      reveals.dispose();
    }
  });

  it('keeps the command of a row that is gone until the next change: a click may be under way', async () => {
    const [session] = view.getChildren();
    const gone = view.getTreeItem(view.getChildren(session).at(-1) as Node).command?.command ?? '';
    sessions.set(1, 0);
    assert.ok((await vscode.commands.getCommands()).includes(gone));
    sessions.set(2, 0);
    assert.ok(!(await vscode.commands.getCommands()).includes(gone));
  });
}
