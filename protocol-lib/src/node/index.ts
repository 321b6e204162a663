export * from './access.ts';
export {
  type AttachClose,
  type AttachConnection,
  type AttachOptions,
  attach,
} from './attach-client.ts';
export * from './clock.ts';
export { closeSocket } from './close-socket.ts';
export * from './compression.ts';
export * from './discovery.ts';
export * from './files.ts';
export * from './flight-recorder.ts';
export * from './inspectable.ts';
export * from './loopback.ts';
export { OBSERVER_QUEUE_MAX, OBSERVERS_MAX } from './observers.ts';
export { type PlayLiveOptions, playLive } from './play-live.ts';
export * from './pseudonyms.ts';
export * from './record-session.ts';
export * from './redact-written.ts';
export * from './relay.ts';
export * from './sqlite-log.ts';
export { SQLITE_LOG_VERSION } from './sqlite-log-file.ts';
export * from './sqlite-queue.ts';
export { openSqliteStore, SQLITE_STORE_FORMAT, SqliteStore } from './sqlite-store.ts';
export * from './sync-client.ts';
export { messageHead } from './websocket-head.ts';
export { WebSocketTransport } from './websocket-transport.ts';
