export type { QueryArguments, QueryMethod, QueryResult } from './contract.ts';
export { cancelled, fromWireError, toWireError, type WireError } from './errors.ts';
export { jsonSafePort } from './json-safe.ts';
export { emptySession, type HostCommand, type HostEvent, type SessionState } from './messages.ts';
export { type Port, portPair, workerPort } from './port.ts';
export { type RemoteQuery, remoteQuery } from './remote.ts';
export { type CommandHandler, type QueryServer, serveQuery } from './serve.ts';
