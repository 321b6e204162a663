import type { SessionState } from '@syncscope/inspector/rpc';
import { type CaptureStatus, LiveCapture, type Marker } from '@syncscope/protocol/capture';
import { SyncError } from '@syncscope/protocol/errors';
import { unredactedHeader } from '@syncscope/protocol/exchange';
import { type AttachConnection, attach } from '@syncscope/protocol/node';
import type { FaultSpec } from '@syncscope/protocol/trace';
import * as vscode from 'vscode';
import { errorText, logged } from '../errors.ts';
import { plain } from '../text.ts';
import { compression, Recording, type SessionAddress } from './recording.ts';

const STATUS_EVERY_MS = 500;
/** The latest desyncs that are kept to be listed; all are in the capture. */
const DESYNCS_MOST = 20;
/** What grew is told at most this often: about a frame of the screen. */
const GROW_EVERY_MS = 33;

/**
 * An attached session and the capture that grows of it. It outlives its panel while it is being recorded, and its
 * capture outlives its connection: what was seen stays to be looked at.
 */
export class LiveSession implements vscode.Disposable {
  readonly #address: SessionAddress;
  readonly capture: LiveCapture;
  readonly #connection: AttachConnection;
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new vscode.EventEmitter<void>();
  /** Connection, recording or status changed. */
  readonly onDidChange = this.#changed.event;
  #recording: Recording | undefined;
  #status: CaptureStatus | undefined;
  #desyncs: readonly Marker[] = [];
  #desyncCount = 0;
  /** Up to here the capture was searched for them. */
  #searched = -1;
  #statusTimer: NodeJS.Timeout | undefined;
  #isStarting = false;
  #isAttached = true;
  #note: string | undefined;

  private constructor(address: SessionAddress, connection: AttachConnection, log: vscode.LogOutputChannel) {
    this.#address = address;
    // Nothing was taken out of what came over the wire.
    this.capture = new LiveCapture(unredactedHeader(connection.header), {
      compression,
      schedule: (run) => setTimeout(run, GROW_EVERY_MS),
      pause: () => new Promise((resolve) => setImmediate(resolve)),
    });
    this.#connection = connection;
    this.#log = log;
    connection.onRecords((records) => this.#receive(records));
    connection.closed.then(({ kind, reason }) => this.#onClosed(kind === 'left' ? undefined : reason));
  }

  /** @throws SyncError with one of the codes of `attach` */
  static async open(address: SessionAddress, log: vscode.LogOutputChannel): Promise<LiveSession> {
    const connection = await attach(address);
    log.info(`attached to ${plain(connection.header.title)} at ${address.url}`);
    return new LiveSession(address, connection, log);
  }

  get url(): string {
    return this.#address.url;
  }

  get title(): string {
    return plain(this.#connection.header.title);
  }

  /** What the session plays, such as `adventure`. */
  get scenario(): string {
    return this.#connection.header.scenario;
  }

  /** The replica that the others are compared with. */
  get authority(): string | null {
    return this.#connection.header.authority;
  }

  get isAttached(): boolean {
    return this.#isAttached;
  }

  get recording(): Recording | undefined {
    return this.#recording;
  }

  get mayInject(): boolean {
    return this.#isAttached && this.#connection.mayInject;
  }

  get targets(): readonly string[] {
    return this.#connection.targets;
  }

  /** The latest figures of every replica; `undefined` before the first records. */
  get status(): CaptureStatus | undefined {
    return this.#status;
  }

  /** The latest divergences, the newest first. They stay when they are repaired, which is often a moment later. */
  get desyncs(): readonly Marker[] {
    return this.#desyncs;
  }

  /** How many there were in all. */
  get desyncCount(): number {
    return this.#desyncCount;
  }

  /** What the inspector shows in its header. */
  get state(): SessionState {
    return {
      state: this.#isAttached ? 'open' : 'closed',
      source: 'live',
      // As it is: the inspector shows for itself what cannot be seen.
      title: this.#connection.header.title,
      place: this.url,
      mayInject: this.mayInject,
      targets: [...this.#connection.targets],
      recording: this.#recording !== undefined,
      ...(this.#note === undefined ? {} : { note: this.#note }),
    };
  }

  /** @throws SyncError `ATTACH_FORBIDDEN`, `ATTACH_CLOSED`, or what the session says of the fault */
  async inject(spec: FaultSpec): Promise<void> {
    await this.#connection.inject(spec);
    this.#log.info(`fault ${JSON.stringify(spec)} at ${this.url}`);
  }

  /**
   * Writes everything from now on to a file, beginning with the state of every replica; without secrets where `isRedacted`.
   *
   * @throws SyncError `RECORDING_RUNS`, `FILE_UNWRITABLE`, or one of the codes of `attach`
   */
  async startRecording(uri: vscode.Uri, isRedacted: boolean): Promise<void> {
    if (this.#recording || this.#isStarting) {
      throw new SyncError('RECORDING_RUNS', vscode.l10n.t('{0} is being recorded already.', this.title), {
        origin: 'capture',
      });
    }
    this.#isStarting = true;
    try {
      this.#follow(await Recording.start(uri, this.#address, isRedacted));
    } finally {
      this.#isStarting = false;
    }
  }

  /** Resolves when all that happened up to now is in the capture, as far as the session still answers. */
  catchUp(): Promise<void> {
    return this.#connection.flush();
  }

  /** Finishes the file. Returns where it is. Rejects where nothing is recorded or the file could not be finished. */
  async stopRecording(): Promise<vscode.Uri> {
    const recording = this.#recording;
    if (!recording) {
      throw new SyncError('NOT_RECORDING', vscode.l10n.t('{0} is not being recorded.', this.title), {
        origin: 'capture',
      });
    }
    return await recording.stop();
  }

  /** Leaves the session. The capture stays; a recording must be stopped before. */
  detach(): void {
    this.#connection.close();
  }

  dispose(): void {
    clearTimeout(this.#statusTimer);
    this.detach();
    this.#recording?.stop().catch(() => undefined);
    this.#changed.dispose();
  }

  #receive(records: readonly Uint8Array[]): void {
    for (const record of records) this.capture.append(record);
    this.#statusTimer ??= setTimeout(() => {
      void this.#refresh().finally(() => {
        this.#statusTimer = undefined;
      });
    }, STATUS_EVERY_MS);
  }

  async #refresh(): Promise<void> {
    try {
      const last = this.capture.records - 1;
      this.#status = await this.capture.status(last);
      await this.#findDesyncs(last);
      this.#changed.fire();
    } catch (error) {
      this.#log.error(`status of ${this.title}: ${logged(error)}`);
    }
  }

  async #findDesyncs(last: number): Promise<void> {
    const found: Marker[] = [];
    let marker = await this.capture.nextMarker(this.#searched, 1, 'desync');
    while (marker && marker.position <= last) {
      found.unshift(marker);
      marker = await this.capture.nextMarker(marker.position, 1, 'desync');
    }
    this.#searched = last;
    this.#desyncCount += found.length;
    if (found.length > 0) this.#desyncs = [...found, ...this.#desyncs].slice(0, DESYNCS_MOST);
  }

  #onClosed(reason: string | undefined): void {
    this.#isAttached = false;
    this.#note = reason;
    this.#log.info(`left ${this.url}${reason === undefined ? '' : `: ${plain(reason)}`}`);
    this.#changed.fire();
  }

  /** Keeps a recording until its file is closed, by us or because the session ended. */
  #follow(recording: Recording): void {
    this.#recording = recording;
    this.#log.info(`recording ${this.title} to ${recording.uri.fsPath}`);
    recording.done
      .then(
        () => this.#log.info(`recorded ${recording.records} records to ${recording.uri.fsPath}`),
        (error: unknown) => {
          this.#note = errorText(error);
          this.#log.error(`recording to ${recording.uri.fsPath}: ${logged(error)}`);
        },
      )
      .finally(() => {
        this.#recording = undefined;
        this.#changed.fire();
      });
    this.#changed.fire();
  }
}
