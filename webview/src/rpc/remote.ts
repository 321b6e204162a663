import type { CaptureQuery } from '@syncscope/protocol/capture';
import { SyncError, unreachable } from '@syncscope/protocol/errors';
import { METHODS, type QueryMethod } from './contract.ts';
import { cancelled, fromWireError, toWireError } from './errors.ts';
import {
  type HostCommand,
  type HostEvent,
  type HostMessage,
  hostMessageSchema,
  type InspectorMessage,
} from './messages.ts';
import type { Port } from './port.ts';

/** A capture at the other end of a port, together with the host that holds it. */
export interface RemoteQuery extends CaptureQuery {
  /** The same capture, every request of which is cancelled when `signal` aborts; it then rejects with `QUERY_CANCELLED`. */
  until(signal: AbortSignal): CaptureQuery;
  /** Asks the host to do something; rejects with the host's `SyncError`. */
  command(command: HostCommand): Promise<void>;
  /** Calls `listener` with each event of the host. Returns the function that ends it. */
  onEvent(listener: (event: HostEvent) => void): () => void;
  /** Tells the host that the inspector listens now: it answers with the present session. */
  ready(): void;
  /** Requests that wait for an answer. */
  readonly pendingCount: number;
  /** Stops listening; what is under way is rejected. */
  close(): void;
}

interface Waiting {
  readonly settle: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The asking end of {@link serveQuery}. Answers are validated by the schema of the method that was asked. */
export function remoteQuery(port: Port): RemoteQuery {
  const waiting = new Map<number, Waiting>();
  const listeners = new Set<(event: HostEvent) => void>();
  let nextId = 1;
  let isClosed = false;
  let lastReveal = 0;

  const post = (message: InspectorMessage) => port.post(message);
  const emit = (event: HostEvent) => {
    for (const listener of [...listeners]) listener(event);
  };

  function ask<T>(
    message: (id: number) => InspectorMessage,
    parse: (value: unknown) => T,
    signal?: AbortSignal,
  ): Promise<T> {
    if (isClosed) return Promise.reject(closedError());
    if (signal?.aborted) return Promise.reject(cancelled());
    const id = nextId++;
    return new Promise<T>((resolve, reject) => {
      const onAbort = () => {
        if (!waiting.delete(id)) return;
        post({ type: 'cancel', id });
        reject(cancelled());
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      waiting.set(id, {
        settle(value) {
          signal?.removeEventListener('abort', onAbort);
          try {
            resolve(parse(value));
          } catch (error) {
            reject(error);
          }
        },
        reject(error) {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      });
      try {
        post(message(id));
      } catch (error) {
        waiting.delete(id);
        signal?.removeEventListener('abort', onAbort);
        reject(error);
      }
    });
  }

  function take(id: number): Waiting | undefined {
    const entry = waiting.get(id);
    waiting.delete(id);
    return entry;
  }

  /** Whether an event is to be passed on. A reveal is told again until it is known here, and is then nothing new. */
  function isNews(event: HostEvent): boolean {
    if (event.event !== 'reveal' || listeners.size === 0) return true;
    post({ type: 'revealed', id: event.id });
    const isNew = event.id > lastReveal;
    lastReveal = Math.max(lastReveal, event.id);
    return isNew;
  }

  function receive(message: HostMessage): void {
    switch (message.type) {
      case 'result':
        take(message.id)?.settle(message.value);
        return;
      case 'failure':
        take(message.id)?.reject(fromWireError(message.error));
        return;
      case 'event':
        if (isNews(message.event)) emit(message.event);
        return;
      default:
        unreachable(message);
    }
  }

  const stopListening = port.onMessage((data) => {
    let message: HostMessage;
    try {
      message = hostMessageSchema.parse(data, 'message');
    } catch (error) {
      emit({ event: 'error', error: toWireError(error) });
      return;
    }
    receive(message);
  });

  function bind(bound?: AbortSignal): CaptureQuery {
    const one =
      (method: QueryMethod) =>
      (...given: unknown[]) => {
        const last = given.at(-1);
        const own = last instanceof AbortSignal ? last : undefined;
        const args = given.filter((arg) => !(arg instanceof AbortSignal));
        const signal = own && bound ? AbortSignal.any([own, bound]) : (own ?? bound);
        // A trailing signal that was passed as undefined is no argument of the request.
        if (METHODS[method].abortable && last === undefined && args.length > 0) args.pop();
        const contract = METHODS[method];
        return ask<unknown>(
          (id) => ({ type: 'query', id, method, args }),
          (value) => contract.result.parse(value, method),
          signal,
        );
      };
    const entries = (Object.keys(METHODS) as QueryMethod[]).map((method) => [method, one(method)] as const);
    // Each function has the arguments and result of its method by METHODS' own type, which a mapped list cannot carry.
    return Object.fromEntries(entries) as unknown as CaptureQuery;
  }

  return {
    ...bind(),
    until: bind,
    command: (command) =>
      ask(
        (id) => ({ type: 'command', id, command }),
        () => undefined,
      ),
    onEvent(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    ready: () => post({ type: 'ready' }),
    get pendingCount() {
      return waiting.size;
    },
    close() {
      isClosed = true;
      stopListening();
      for (const id of [...waiting.keys()]) take(id)?.reject(closedError());
      listeners.clear();
    },
  };
}

function closedError(): SyncError {
  return new SyncError('PORT_CLOSED', 'the connection to the capture was closed', { origin: 'query' });
}
