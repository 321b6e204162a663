import { LiveCapture, type OpenCapture, openCapture, readAhead } from '@syncscope/protocol/capture';
import { SyncError, unreachable } from '@syncscope/protocol/errors';
import type { ByteSource } from '@syncscope/protocol/ports';
import { replicaId } from '@syncscope/protocol/state';
import { emptySession, type HostCommand, type SessionState, serveQuery, workerPort } from '../rpc/index.ts';
import { type Attachment, attach } from './attach.ts';
import { redactedSave, unredactedSave } from './save.ts';
import { type PageMessage, pageMessageSchema, splitPort, type WorkerMessage } from './side-channel.ts';
import { blobSource, httpSource } from './sources.ts';

/** The browser's host: holds the capture, live or from a file, and answers the page's queries about it. */

const channel = workerPort(self as unknown as Parameters<typeof workerPort>[0]);
const { main, side } = splitPort(channel, (message) => 'page' in message);
const server = serveQuery(undefined, main, { onCommand });

let session: SessionState = emptySession;
/** The capture that is open, live or not. */
let open: OpenCapture | undefined;
let live: { readonly capture: LiveCapture; readonly attachment: Attachment } | undefined;
/** Counts what was opened, so that a slow opening that was overtaken changes nothing. */
let opening = 0;
let abandoned = new AbortController();

const turns = new MessageChannel();
const waiting: (() => void)[] = [];
turns.port1.onmessage = () => waiting.shift()?.();
/** Lets messages in between the parts of a long scan. No timer: of timers in a row each is held back by 4 ms, and a scan has thousands. */
const pause = () =>
  new Promise<void>((resolve) => {
    waiting.push(resolve);
    turns.port2.postMessage(undefined);
  });
/** Growth is told at most this often, milliseconds. */
const GROW_EVERY = 33;

function announce(next: SessionState): void {
  session = next;
  server.announce(next);
}

async function openSource(source: ByteSource, name: string): Promise<void> {
  const mine = ++opening;
  leave();
  session = { ...emptySession, state: 'opening', title: name, place: name };
  server.replace(undefined, session);
  try {
    const query = await openCapture(readAhead(source), {
      onProgress(done, total) {
        if (mine === opening && total > 0) announce({ ...session, progress: done / total });
      },
      signal: abandoned.signal,
      pause,
    });
    if (mine !== opening) return void query.close();
    open = query;
    const { header } = await query.info();
    // A file goes by its name, and its session's title is told beside.
    session = { ...emptySession, state: 'open', title: name, place: name, note: header.title };
    server.replace(query, session);
  } catch (error) {
    if (mine !== opening) return;
    announce({ ...session, state: 'failed' });
    server.fail(inFile(error, name));
  }
}

/** The error with the file's name in it, which the reader of bytes does not know. */
function inFile(error: unknown, name: string): unknown {
  if (!(error instanceof SyncError) || error.place.file !== undefined) return error;
  const { code, message, origin, retry, place } = error;
  return new SyncError(code, message, { origin, retry, place: { ...place, file: name }, cause: error });
}

function openLive(url: string, token: string): void {
  const mine = ++opening;
  leave();
  session = { ...emptySession, state: 'opening', source: 'live', title: 'live session', place: url };
  server.replace(undefined, session);
  const attachment = attach(url, token, {
    onHeader(header, mayInject, targets) {
      const capture = new LiveCapture(header, { schedule: (run) => void setTimeout(run, GROW_EVERY), pause });
      open = capture;
      live = { capture, attachment };
      session = {
        ...session,
        state: 'open',
        title: header.title,
        mayInject,
        targets: targets.map(replicaId),
        recording: true,
      };
      server.replace(capture, session);
    },
    // What it cannot take, it refuses with an error, which ends the attachment.
    onRecords(records) {
      for (const record of records) live?.capture.append(record);
    },
    onEnd(reason, error) {
      if (mine !== opening) return;
      const wasOpen = session.state === 'open';
      announce({ ...session, state: wasOpen ? 'closed' : 'failed', mayInject: false, recording: false, note: reason });
      if (error) server.fail(error);
    },
  });
}

function leave(): void {
  abandoned.abort();
  abandoned = new AbortController();
  live?.attachment.detach();
  live = undefined;
  void open?.close();
  open = undefined;
}

async function onCommand(command: HostCommand): Promise<void> {
  switch (command.command) {
    case 'fault':
      if (!live) throw new SyncError('NOT_LIVE', 'faults need a live session', { origin: 'attach' });
      return live.attachment.inject(command.spec);
    case 'stop':
      live?.attachment.detach();
      return;
    case 'save': {
      if (!live) throw new SyncError('NOT_LIVE', 'this capture is a file already', { origin: 'capture' });
      const { capture, attachment } = live;
      // What happened a moment ago may be waiting to be sent with what comes next.
      await attachment.flush();
      const bytes = command.unredacted ? unredactedSave(capture) : await redactedSave(capture, pause, command.rules);
      const message: WorkerMessage = {
        worker: 'download',
        name: `${fileName(session.title)}.mcap`,
        blob: new Blob([Uint8Array.from(bytes)], { type: 'application/octet-stream' }),
      };
      side.post(message);
      return;
    }
    case 'setViewState':
      return;
    case 'open':
    case 'copy':
    case 'openSource':
      // The page does these by itself: they need the user's gesture.
      throw new SyncError('COMMAND_UNKNOWN', `the worker cannot ${command.command}`, { origin: 'query' });
    default:
      unreachable(command);
  }
}

/** A title as a file name that every system takes. */
function fileName(title: string): string {
  return (
    title
      .replaceAll(/[^\p{L}\p{N}._-]+/gu, '-')
      .replaceAll(/^[-.]+|[-.]+$/g, '')
      .slice(0, 80) || 'capture'
  );
}

side.onMessage((data) => {
  const message: PageMessage = pageMessageSchema.parse(data, 'page');
  switch (message.page) {
    case 'openFile':
      void openSource(blobSource(message.file, message.name), message.name);
      return;
    case 'openUrl':
      void openSource(httpSource(message.url, message.name, message.token, fetch, XMLHttpRequest), message.name);
      return;
    case 'attach':
      openLive(message.url, message.token);
      return;
    case 'leave':
      opening++;
      leave();
      session = emptySession;
      server.replace(undefined, session);
      return;
    default:
      unreachable(message);
  }
});
