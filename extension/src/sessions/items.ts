import { AGREEMENT, type ReplicaStatus } from '@syncscope/protocol/capture';
import { unreachable } from '@syncscope/protocol/errors';
import * as vscode from 'vscode';
import { TREE_ITEMS } from '../ids.ts';
import { label, steadyVerdict } from '../text.ts';
import {
  type DesyncNode,
  type EarlierNode,
  type Node,
  nodeId,
  type ParticipantNode,
  type SessionNode,
} from './nodes.ts';

/** What is seen of a row; what a click on it does is not its own. */
export function itemOf(node: Node): vscode.TreeItem {
  const item = makeItem(node);
  item.id = nodeId(node);
  return item;
}

function makeItem(node: Node): vscode.TreeItem {
  switch (node.type) {
    case 'session':
      return sessionItem(node);
    case 'participant':
      return participantItem(node);
    case 'desync':
      return desyncItem(node);
    case 'earlier':
      return earlierItem(node);
    default:
      return unreachable(node);
  }
}

function sessionItem({ session }: SessionNode): vscode.TreeItem {
  const { live } = session;
  const item = new vscode.TreeItem(
    label(session.title),
    live ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.None,
  );
  const state = !live?.isAttached ? 'idle' : live.recording ? 'recording' : 'attached';
  item.contextValue = TREE_ITEMS[state];
  item.iconPath = new vscode.ThemeIcon(
    { idle: 'circle-outline', attached: 'pulse', recording: 'record' }[state],
    state === 'recording' ? new vscode.ThemeColor('testing.iconFailed') : undefined,
  );
  const verdict = live?.status?.verdict;
  item.description = live ? label(verdict ? steadyVerdict(verdict) : '') : session.url.replace(/^https?:\/\//, '');
  if (live && !live.isAttached) item.description = vscode.l10n.t('ended');
  item.tooltip = session.discovery
    ? `${session.url}\n${vscode.l10n.t('process {0}', session.discovery.pid)}`
    : session.url;
  return item;
}

function participantItem({ status, isAuthority }: ParticipantNode): vscode.TreeItem {
  const item = new vscode.TreeItem(label(status.replica));
  item.contextValue = isAuthority ? TREE_ITEMS.server : TREE_ITEMS.client;
  const { icon, color, text } = participantState(status);
  item.description = vscode.l10n.t('v{0} · {1}', status.version, isAuthority ? vscode.l10n.t('authority') : text);
  item.iconPath = new vscode.ThemeIcon(
    isAuthority ? 'server' : icon,
    color === undefined ? undefined : new vscode.ThemeColor(color),
  );
  return item;
}

/** A click leads to the record after which the two disagreed. */
function desyncItem({ marker }: DesyncNode): vscode.TreeItem {
  const item = new vscode.TreeItem(label(marker.text));
  item.contextValue = TREE_ITEMS.desync;
  item.description = vscode.l10n.t('at {0} s', (marker.time / 1e9).toFixed(1));
  item.iconPath = new vscode.ThemeIcon('warning', new vscode.ThemeColor('problemsWarningIcon.foreground'));
  return item;
}

function earlierItem({ count, live }: EarlierNode): vscode.TreeItem {
  const item = new vscode.TreeItem(
    vscode.l10n.t('{0} more, earlier', count),
    vscode.TreeItemCollapsibleState.Collapsed,
  );
  item.contextValue = TREE_ITEMS.earlier;
  item.iconPath = new vscode.ThemeIcon('history');
  if (live.desyncCount > live.desyncs.length) {
    item.tooltip = vscode.l10n.t(
      'The latest {0} divergences are listed here. All are in the inspector.',
      live.desyncs.length,
    );
  }
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
