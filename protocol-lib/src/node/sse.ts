/** What a client over HTTP needs, be it an event stream or the way back from being offline, in browsers as in Node: nothing here touches Node. */
export type { ClientTransport, TransportEvents } from './client-transport.ts';
export { RECONCILE_PATH, type ReconcileOverHttpOptions, reconcileOverHttp } from './reconcile-client.ts';
export { SseTransport, type SseTransportOptions } from './sse-client.ts';
export * from './sse-format.ts';
