import * as vscode from 'vscode';
import { Disposables } from '../disposables.ts';
import { VIEWS } from '../ids.ts';
import { itemOf } from './items.ts';
import { childNodes, type Node, nodeId, nodePosition } from './nodes.ts';
import { type Rows, ShownRows } from './shown-rows.ts';
import type { SessionStore } from './store.ts';

/** Internal command of a click: on a row with its node and the record that it speaks of, on the status bar with nothing; not in the manifest, and so not in the palette. */
export const REVEAL_COMMAND = '_syncscope.reveal';

/** Each row ever made has a number, and by it a command. */
let rowsMade = 0;

/** A row that there is: VS Code knows it by this very object, so it stays, and what it says is put into it. */
interface Row {
  readonly node: Node;
  readonly click: vscode.Disposable;
  readonly command: string;
  /** The record that it spoke of when it was drawn, which is what a click on it means. */
  position: number | undefined;
  /** Was not there when last looked at: a click on it may still be under way. */
  isGone: boolean;
}

/** Running sessions, and below an attached one each participant with its version and state, and what diverged. */
export class SessionsView implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  readonly #store: Pick<SessionStore, 'list' | 'watch' | 'onDidChange'>;
  readonly #onClick: (node: Node, position: number | undefined) => unknown;
  readonly #own = new Disposables();
  readonly #changed = this.#own.add(new vscode.EventEmitter<Node[] | undefined>());
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #rows = new Map<string, Row>();
  readonly #shown = new ShownRows();
  readonly #present: Rows<Node> = {
    id: nodeId,
    look: (node) => JSON.stringify(itemOf(node)),
    children: (node) => this.#children(node),
  };
  #stopWatching: (() => void) | undefined;

  /** `onClick` gets the node and the record that it spoke of. */
  constructor(
    store: Pick<SessionStore, 'list' | 'watch' | 'onDidChange'>,
    onClick: (node: Node, position: number | undefined) => unknown = (node, position) =>
      vscode.commands.executeCommand(REVEAL_COMMAND, node, position),
  ) {
    this.#store = store;
    this.#onClick = onClick;
    this.#own.add(store.onDidChange(() => this.#update()));
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
    const children = this.#children(node);
    this.#shown.childrenWereShown(node && nodeId(node), children.map(nodeId));
    return children;
  }

  getTreeItem(node: Node): vscode.TreeItem {
    const row = this.#row(node);
    row.position = nodePosition(node);
    this.#shown.rowWasShown(nodeId(node), this.#present.look(node));
    const item = itemOf(node);
    // VS Code forgets the arguments of a command when the row is drawn anew, and a click under way would find nothing:
    // so each row has a command of its own, without any.
    if (node.type !== 'earlier') item.command = { command: row.command, title: vscode.l10n.t('Show') };
    return item;
  }

  dispose(): void {
    this.#stopWatching?.();
    this.#own.dispose();
    for (const { click } of this.#rows.values()) click.dispose();
    this.#rows.clear();
  }

  #update(): void {
    const changed = this.#shown.changed(this.#present);
    if (changed === 'all') this.#changed.fire(undefined);
    else if (changed.length > 0) this.#changed.fire(changed);
    this.#dropGone();
  }

  #children(node?: Node): Node[] {
    const children: Node[] = node
      ? childNodes(node)
      : this.#store.list().map((session) => ({ type: 'session', session }));
    return children.map((child) => this.#row(child).node);
  }

  /** The row of a node as it is now. */
  #row(node: Node): Row {
    const id = nodeId(node);
    const known = this.#rows.get(id);
    if (known) {
      known.isGone = false;
      Object.assign(known.node, node);
      return known;
    }
    const command = `${REVEAL_COMMAND}.${++rowsMade}`;
    const click = vscode.commands.registerCommand(command, () => this.#onClick(row.node, row.position));
    const row: Row = { node, click, command, position: undefined, isGone: false };
    this.#rows.set(id, row);
    return row;
  }

  #dropGone(): void {
    const present = new Set<string>();
    const visit = (node: Node) => {
      present.add(nodeId(node));
      for (const child of childNodes(node)) visit(child);
    };
    for (const node of this.#children()) visit(node);
    for (const [id, row] of this.#rows) {
      if (present.has(id)) continue;
      if (row.isGone) {
        row.click.dispose();
        this.#rows.delete(id);
      }
      row.isGone = true;
    }
  }
}
