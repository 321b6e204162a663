import type { CaptureQuery, GrowingCapture } from '@syncscope/protocol/capture';
import { SyncError, unreachable } from '@syncscope/protocol/errors';
import { isQueryMethod, METHODS, type QueryArguments, type QueryMethod } from './contract.ts';
import { cancelled, toWireError, type WireError } from './errors.ts';
import {
  emptySession,
  type HostCommand,
  type HostEvent,
  type HostMessage,
  type InspectorMessage,
  inspectorMessageSchema,
  SESSION_TEXT,
  type SessionState,
} from './messages.ts';
import type { Port } from './port.ts';

/** What a host does when the inspector asks; a rejection is shown to the user where they asked. */
export type CommandHandler = (command: HostCommand) => void | Promise<void>;

export interface QueryServer {
  /** Takes another capture (or none): requests under way on the old one end as cancelled. */
  replace(query: CaptureQuery | undefined, session: SessionState): void;
  /** Tells the inspector what changed about the session. */
  announce(session: SessionState): void;
  /** Shows an error that no request asked for. */
  fail(error: unknown): void;
  /** Takes the inspector to a record, as soon as it is there: of several that it has not heard of yet, to the last one. */
  reveal(position: number): void;
  /** Stops listening and cancels what is under way. */
  close(): void;
}

const refuseCommand: CommandHandler = (command) => {
  throw new SyncError('COMMAND_UNKNOWN', `this host cannot ${command.command}`, { origin: 'query' });
};

/**
 * Answers the inspector at the other end of `port` from `query`. Every request is answered exactly once: with a
 * result, a failure, or `QUERY_CANCELLED` after a cancel. A message that is not one of the protocol is reported
 * back as an error event and otherwise ignored. A `GrowingCapture` announces its growth by itself.
 */
export function serveQuery(
  query: CaptureQuery | undefined,
  port: Port,
  options: { readonly session?: SessionState; readonly onCommand?: CommandHandler } = {},
): QueryServer {
  const onCommand = options.onCommand ?? refuseCommand;
  const pending = new Map<number, AbortController>();
  let current = query;
  let session = shortened(options.session ?? emptySession);
  let growth: Extract<HostEvent, { event: 'grow' }> | undefined;
  let lastError: WireError | undefined;
  let reveals = 0;
  /** Told again when the inspector is ready, until it says that it has heard it: what is posted to a page that is being loaded may be lost. */
  let unheard: Extract<HostEvent, { event: 'reveal' }> | undefined;
  let stopGrowing = watchGrowth(current);

  const post = (message: HostMessage) => port.post(message);
  const push = (event: HostEvent) => post({ type: 'event', event });

  function watchGrowth(capture: CaptureQuery | undefined): () => void {
    if (!capture || !isGrowing(capture)) return () => {};
    return capture.onGrow((info) => {
      growth = { event: 'grow', records: info.records, range: info.range };
      push(growth);
    });
  }

  /** Answers once, however often it is asked to. */
  function settle(id: number, controller: AbortController, message: HostMessage): void {
    if (pending.get(id) !== controller) return;
    pending.delete(id);
    post(message);
  }

  function track(id: number, run: (signal: AbortSignal) => Promise<unknown>): void {
    const controller = new AbortController();
    pending.get(id)?.abort();
    pending.set(id, controller);
    controller.signal.addEventListener('abort', () =>
      settle(id, controller, { type: 'failure', id, error: toWireError(cancelled()) }),
    );
    run(controller.signal).then(
      (value) => settle(id, controller, { type: 'result', id, value }),
      (error: unknown) => settle(id, controller, { type: 'failure', id, error: toWireError(error) }),
    );
  }

  async function answer(method: string, args: readonly unknown[], signal: AbortSignal): Promise<unknown> {
    if (!isQueryMethod(method)) {
      throw new SyncError('QUERY_UNKNOWN', `there is no query ${method.slice(0, 40)}`, { origin: 'query' });
    }
    if (!current) throw new SyncError('NO_CAPTURE', 'no capture is open yet', { origin: 'query', retry: 'backoff' });
    return call(current, method, args, signal);
  }

  function receive(message: InspectorMessage): void {
    switch (message.type) {
      case 'ready':
        push({ event: 'session', session });
        if (growth) push(growth);
        if (lastError) push({ event: 'error', error: lastError });
        if (unheard) push(unheard);
        return;
      case 'revealed':
        if (unheard?.id === message.id) unheard = undefined;
        return;
      case 'query':
        track(message.id, (signal) => answer(message.method, message.args, signal));
        return;
      case 'command':
        track(message.id, async () => onCommand(message.command));
        return;
      case 'cancel':
        pending.get(message.id)?.abort();
        return;
      default:
        unreachable(message);
    }
  }

  function fail(error: unknown): void {
    lastError = toWireError(error);
    push({ event: 'error', error: lastError });
  }

  function cancelAll(): void {
    for (const controller of [...pending.values()]) controller.abort();
  }

  const stopListening = port.onMessage((data) => {
    let message: InspectorMessage;
    try {
      message = inspectorMessageSchema.parse(data, 'message');
    } catch (error) {
      push({ event: 'error', error: toWireError(error) });
      return;
    }
    receive(message);
  });

  return {
    replace(next, nextSession) {
      stopGrowing();
      cancelAll();
      current = next;
      session = shortened(nextSession);
      growth = undefined;
      lastError = undefined;
      unheard = undefined;
      stopGrowing = watchGrowth(next);
      push({ event: 'session', session });
    },
    announce(next) {
      session = shortened(next);
      push({ event: 'session', session });
    },
    fail,
    reveal(position) {
      unheard = { event: 'reveal', id: ++reveals, position };
      push(unheard);
    },
    close() {
      stopGrowing();
      cancelAll();
      stopListening();
    },
  };
}

/** With texts no longer than an inspector takes: a file may have any name, and an error any length. */
function shortened(session: SessionState): SessionState {
  const { title, place, note } = session;
  const cut = (text: string, limit: number) => (text.length > limit ? `${text.slice(0, limit - 1)}…` : text);
  return {
    ...session,
    title: cut(title, SESSION_TEXT.title),
    place: cut(place, SESSION_TEXT.place),
    ...(note === undefined ? {} : { note: cut(note, SESSION_TEXT.note) }),
  };
}

function isGrowing(query: CaptureQuery): query is GrowingCapture {
  return 'onGrow' in query && typeof query.onGrow === 'function';
}

function call<K extends QueryMethod>(
  query: CaptureQuery,
  method: K,
  args: readonly unknown[],
  signal: AbortSignal,
): Promise<unknown> {
  const contract = METHODS[method];
  const checked: QueryArguments<K> = contract.args.parse(args, method);
  const run = query[method] as (...args: unknown[]) => Promise<unknown>;
  return contract.abortable ? run.call(query, ...checked, signal) : run.call(query, ...checked);
}
