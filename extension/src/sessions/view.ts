import { AGREEMENT, type Marker, type ReplicaStatus } from '@syncscope/protocol/capture';
import { unreachable } from '@syncscope/protocol/errors';
import * as vscode from 'vscode';
import { Disposables } from '../disposables.ts';
import { TREE_ITEMS, VIEWS } from '../ids.ts';
import type { LiveSession } from '../live/live-session.ts';
import { plain } from '../text.ts';
import type { Session, SessionStore } from './store.ts';

/** Internal command of a click in the tree; not in the manifest, and so not in the palette. */
export const REVEAL_COMMAND = '_syncscope.reveal';

export interface SessionNode {
  readonly type: 'session';
  readonly session: Session;
}

export interface ParticipantNode {
  readonly type: 'participant';
  readonly live: LiveSession;
  readonly status: ReplicaStatus;
  readonly isAuthority: boolean;
}

export interface DesyncNode {
  readonly type: 'desync';
  readonly live: LiveSession;
  readonly marker: Marker;
}

export type Node = SessionNode | ParticipantNode | DesyncNode;

/** Running sessions, and below an attached one each participant with its version and state, and what diverged. */
export class SessionsView implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  readonly #store: SessionStore;
  readonly #own = new Disposables();
  readonly #changed = this.#own.add(new vscode.EventEmitter<void>());
  readonly onDidChangeTreeData = this.#changed.event;
  #stopWatching: (() => void) | undefined;

  constructor(store: SessionStore) {
    this.#store = store;
    this.#own.add(store.onDidChange(() => this.#changed.fire()));
  }

  register(): vscode.Disposable {
    const view = this.#own.add(vscode.window.createTreeView(VIEWS.sessions, { treeDataProvider: this }));
    const follow = (isVisible: boolean) => {
      if (isVisible) this.#stopWatching ??= this.#store.watch();
      else {
        this.#stopWatching?.();
        this.#stopWatching = undefined;
      }
    };
    this.#own.add(view.onDidChangeVisibility(({ visible }) => follow(visible)));
    follow(view.visible);
    return this;
  }

  getChildren(node?: Node): Node[] {
    if (!node) return this.#store.list().map((session) => ({ type: 'session', session }));
    if (node.type !== 'session' || !node.session.live) return [];
    const { live } = node.session;
    const { authority } = live;
    const participants = (live.status?.replicas ?? []).map(
      (status): Node => ({ type: 'participant', live, status, isAuthority: status.replica === authority }),
    );
    return [...participants, ...live.desyncs.map((marker): Node => ({ type: 'desync', live, marker }))];
  }

  getTreeItem(node: Node): vscode.TreeItem {
    switch (node.type) {
      case 'session':
        return sessionItem(node.session);
      case 'participant':
        return participantItem(node);
      case 'desync':
        return desyncItem(node);
      default:
        return unreachable(node);
    }
  }

  dispose(): void {
    this.#stopWatching?.();
    this.#own.dispose();
  }
}

function sessionItem(session: Session): vscode.TreeItem {
  const { live } = session;
  const item = new vscode.TreeItem(
    plain(session.title),
    live ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.None,
  );
  // VS Code keeps an id folded as it was; attached it is another item, and opens.
  item.id = live ? `${session.id} attached` : session.id;
  const state = !live?.isAttached ? 'idle' : live.recording ? 'recording' : 'attached';
  item.contextValue = TREE_ITEMS[state];
  item.iconPath = new vscode.ThemeIcon(
    { idle: 'circle-outline', attached: 'pulse', recording: 'record' }[state],
    state === 'recording' ? new vscode.ThemeColor('testing.iconFailed') : undefined,
  );
  item.description = live ? (live.status?.verdict.text ?? '') : session.url.replace(/^https?:\/\//, '');
  if (live && !live.isAttached) item.description = vscode.l10n.t('ended');
  item.tooltip = session.discovery
    ? `${session.url}\n${vscode.l10n.t('process {0}', session.discovery.pid)}`
    : session.url;
  item.command = { command: REVEAL_COMMAND, title: vscode.l10n.t('Attach'), arguments: [{ type: 'session', session }] };
  return item;
}

function participantItem(node: ParticipantNode): vscode.TreeItem {
  const { status, isAuthority } = node;
  const item = new vscode.TreeItem(plain(status.replica));
  item.id = `${node.live.url} ${status.replica}`;
  item.contextValue = isAuthority ? TREE_ITEMS.server : TREE_ITEMS.client;
  const { icon, color, text } = participantState(status);
  item.description = vscode.l10n.t('v{0} · {1}', status.version, isAuthority ? vscode.l10n.t('authority') : text);
  item.iconPath = new vscode.ThemeIcon(
    isAuthority ? 'server' : icon,
    color === undefined ? undefined : new vscode.ThemeColor(color),
  );
  item.command = { command: REVEAL_COMMAND, title: vscode.l10n.t('Show'), arguments: [node] };
  return item;
}

/** A click leads to the record after which the two disagreed. */
function desyncItem(node: DesyncNode): vscode.TreeItem {
  const { live, marker } = node;
  const item = new vscode.TreeItem(plain(marker.text));
  item.id = `${live.url} desync ${marker.position}`;
  item.contextValue = TREE_ITEMS.desync;
  item.description = vscode.l10n.t('at {0} s', (marker.time / 1e9).toFixed(1));
  item.iconPath = new vscode.ThemeIcon('warning', new vscode.ThemeColor('problemsWarningIcon.foreground'));
  item.command = { command: REVEAL_COMMAND, title: vscode.l10n.t('Show'), arguments: [node] };
  return item;
}

function participantState(status: ReplicaStatus): { icon: string; color?: string; text: string } {
  if (status.connection === 'gone') return { icon: 'debug-disconnect', text: vscode.l10n.t('gone') };
  if (status.differs) {
    const text = vscode.l10n.t('differs since v{0}', status.differs.since);
    return { icon: 'error', color: 'problemsErrorIcon.foreground', text };
  }
  if (status.refused !== undefined) return { icon: 'sync', text: vscode.l10n.t('asks again') };
  if (status.lag > 0) return { icon: 'circle-outline', text: vscode.l10n.t('{0} behind', status.lag) };
  if (status.agreement === AGREEMENT.agrees) return { icon: 'pass', text: vscode.l10n.t('agrees') };
  if (status.agreement === AGREEMENT.predicted) return { icon: 'circle-outline', text: vscode.l10n.t('predicting') };
  return { icon: 'circle-outline', text: vscode.l10n.t('not compared yet') };
}
