import { SyncError } from '@syncscope/protocol/errors';
import { listSessions } from '@syncscope/protocol/node';
import type { Discovery } from '@syncscope/protocol/trace';
import * as vscode from 'vscode';
import { Disposables } from '../disposables.ts';
import { logged } from '../errors.ts';
import { LiveSession } from '../live/live-session.ts';
import type { SessionAddress } from '../live/recording.ts';
import { requireTrust } from '../trust.ts';

const LOOK_EVERY_MS = 1_500;

/** A session as the user sees it: offered by a process of this machine, attached, or both. */
export interface Session {
  readonly id: string;
  readonly title: string;
  readonly url: string;
  /** Absent for a session that was attached by URL, or is over. */
  readonly discovery?: Discovery;
  readonly live?: LiveSession;
}

/** Every session that is offered or attached. Looks at the discovery folder only while somebody watches. */
export class SessionStore implements vscode.Disposable {
  readonly #log: vscode.LogOutputChannel;
  readonly #own = new Disposables();
  readonly #changed = this.#own.add(new vscode.EventEmitter<void>());
  /** Sessions came, went or changed. */
  readonly onDidChange = this.#changed.event;
  #offered: readonly Discovery[] = [];
  readonly #live = new Map<string, LiveSession>();
  #watchers = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(log: vscode.LogOutputChannel) {
    this.#log = log;
  }

  list(): Session[] {
    const sessions = this.#offered.map((discovery): Session => {
      const live = this.#live.get(discovery.url);
      return { id: discovery.id, title: discovery.title, url: discovery.url, discovery, ...(live ? { live } : {}) };
    });
    const urls = new Set(sessions.map((session) => session.url));
    for (const [url, live] of this.#live) {
      if (!urls.has(url)) sessions.push({ id: url, title: live.title, url, live });
    }
    return sessions;
  }

  get live(): LiveSession[] {
    return [...this.#live.values()];
  }

  /** The one that the status bar speaks of. */
  get shown(): LiveSession | undefined {
    return this.live.find((session) => session.isAttached);
  }

  /** Keeps the list fresh until the returned function is called. */
  watch(): () => void {
    if (++this.#watchers === 1) {
      this.#timer = setInterval(() => void this.refresh(), LOOK_EVERY_MS);
      void this.refresh();
    }
    let isWatching = true;
    return () => {
      if (!isWatching) return;
      isWatching = false;
      if (--this.#watchers === 0) clearInterval(this.#timer);
    };
  }

  /** Looks for sessions now. In Restricted Mode there are none: nothing could be done with them. */
  async refresh(): Promise<void> {
    try {
      const offered = vscode.workspace.isTrusted ? await listSessions() : [];
      if (JSON.stringify(offered) === JSON.stringify(this.#offered)) return;
      this.#offered = offered;
      this.#changed.fire();
    } catch (error) {
      this.#log.error(`looking for sessions: ${logged(error)}`);
    }
  }

  /**
   * Attaches, or gives the session that is attached there already.
   *
   * @throws SyncError `TRUST_REQUIRED`, or one of the codes of `attach`
   */
  async attach(address: SessionAddress): Promise<LiveSession> {
    requireTrust(vscode.l10n.t('Attaching to a session'));
    const present = this.#live.get(address.url);
    if (present?.isAttached) return present;
    if (present) this.remove(present);
    const live = await LiveSession.open(address, this.#log);
    if (this.#own.isDisposed) {
      live.dispose();
      throw new SyncError('ATTACH_CLOSED', vscode.l10n.t('Syncscope is being shut down.'), { origin: 'attach' });
    }
    this.#live.set(address.url, live);
    live.onDidChange(() => this.#changed.fire());
    this.#changed.fire();
    return live;
  }

  /** Leaves a session and forgets its capture. */
  remove(live: LiveSession): void {
    if (this.#live.get(live.url) === live) this.#live.delete(live.url);
    live.dispose();
    this.#changed.fire();
  }

  dispose(): void {
    clearInterval(this.#timer);
    for (const live of this.#live.values()) live.dispose();
    this.#live.clear();
    this.#own.dispose();
  }
}
