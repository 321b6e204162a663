import { basename } from 'node:path';
import * as vscode from 'vscode';
import { Disposables } from '../disposables.ts';
import { CAPTURE_EDITOR, TREE_ITEMS, VIEWS } from '../ids.ts';
import { formatBytes } from '../text.ts';
import type { RecentCaptures } from './recent.ts';

const MOST_IN_WORKSPACE = 200;

interface CaptureFile {
  readonly uri: vscode.Uri;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly changedAt: number;
  readonly origin: 'workspace' | 'recorded' | 'recent';
}

/** Captures of the workspace, of the extension's own storage, and those opened lately; the newest first. */
export class CapturesView implements vscode.TreeDataProvider<CaptureFile>, vscode.Disposable {
  readonly #recent: RecentCaptures;
  readonly #stored: vscode.Uri;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly #own = new Disposables();
  readonly onDidChangeTreeData = this.#changed.event;
  #isWatching = false;

  constructor(recent: RecentCaptures, stored: vscode.Uri) {
    this.#recent = recent;
    this.#stored = stored;
    this.#own.add(this.#changed);
    this.#own.add(recent.onDidChange(() => this.refresh()));
  }

  register(): vscode.Disposable {
    return vscode.window.createTreeView(VIEWS.captures, { treeDataProvider: this });
  }

  refresh(): void {
    this.#changed.fire();
  }

  async getChildren(): Promise<CaptureFile[]> {
    this.#watch();
    const [inWorkspace, recorded] = await Promise.all([
      vscode.workspace.findFiles('**/*.mcap', '**/node_modules/**', MOST_IN_WORKSPACE),
      this.#recorded(),
    ]);
    const origins = new Map<string, CaptureFile['origin']>();
    for (const uri of this.#recent.list()) origins.set(uri.toString(), 'recent');
    for (const uri of recorded) origins.set(uri.toString(), 'recorded');
    for (const uri of inWorkspace) origins.set(uri.toString(), 'workspace');
    const files = await Promise.all([...origins].map(([uri, origin]) => describe(vscode.Uri.parse(uri), origin)));
    return files.filter((file) => file !== undefined).sort((left, right) => right.changedAt - left.changedAt);
  }

  getTreeItem(file: CaptureFile): vscode.TreeItem {
    const item = new vscode.TreeItem(basename(file.uri.path));
    item.id = file.uri.toString();
    item.resourceUri = file.uri;
    item.contextValue = TREE_ITEMS.capture;
    item.iconPath = new vscode.ThemeIcon(file.origin === 'recorded' ? 'record' : 'history');
    const date = new Date(file.changedAt);
    item.description = `${formatBytes(file.size)} · ${shortDate(date)}`;
    item.tooltip = `${file.uri.fsPath}\n${date.toLocaleString(vscode.env.language)}`;
    item.command = {
      command: 'vscode.openWith',
      title: vscode.l10n.t('Open Capture'),
      arguments: [file.uri, CAPTURE_EDITOR],
    };
    return item;
  }

  dispose(): void {
    this.#own.dispose();
  }

  async #recorded(): Promise<vscode.Uri[]> {
    const entries = await Promise.resolve(vscode.workspace.fs.readDirectory(this.#stored)).catch(() => []);
    return entries
      .filter(([name, type]) => type === vscode.FileType.File && name.endsWith('.mcap'))
      .map(([name]) => vscode.Uri.joinPath(this.#stored, name));
  }

  /** From the first look at the view on: nobody pays for a watcher who never opens it. */
  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const patterns = ['**/*.mcap', new vscode.RelativePattern(this.#stored, '*.mcap')];
    for (const pattern of patterns) {
      const watcher = this.#own.add(vscode.workspace.createFileSystemWatcher(pattern, false, true, false));
      this.#own.add(watcher.onDidCreate(() => this.refresh()));
      this.#own.add(watcher.onDidDelete(() => this.refresh()));
    }
  }
}

async function describe(uri: vscode.Uri, origin: CaptureFile['origin']): Promise<CaptureFile | undefined> {
  try {
    const stat = await vscode.workspace.fs.stat(uri);
    return { uri, size: stat.size, changedAt: stat.mtime, origin };
  } catch {
    // A capture that was opened once and is gone now is not listed.
    return undefined;
  }
}

/** The time of a capture of today, the day of an older one. */
function shortDate(date: Date): string {
  const isToday = date.toDateString() === new Date().toDateString();
  const { language } = vscode.env;
  return isToday
    ? date.toLocaleTimeString(language, { hour: '2-digit', minute: '2-digit' })
    : date.toLocaleDateString(language);
}
