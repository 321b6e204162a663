/** What a client over an event stream needs, in browsers as in Node: nothing here touches Node. */
export type { ClientTransport, TransportEvents } from './client-transport.ts';
export { SseTransport, type SseTransportOptions } from './sse-client.ts';
export * from './sse-format.ts';
