import type { Refusal } from '@syncscope/protocol/node';
import { SYNC_PATH } from './http-app.ts';

/** What the gateway tells those whom it does not let in, each with what to do about it. */
export const CLOSING: Refusal = {
  status: 503,
  code: 'SERVER_DRAINING',
  message: 'this server is closing and lets nobody else in',
  fix: 'Connect to another one, or again later.',
};
export const STRANGE_PAGE: Refusal = {
  status: 403,
  code: 'ORIGIN_REJECTED',
  message: 'a page of another origin may not synchronise',
  fix: 'Serve the page from the address that it synchronises with.',
};
export const PATH_UNKNOWN: Refusal = {
  status: 404,
  code: 'PATH_UNKNOWN',
  message: 'there is no WebSocket at this path',
  fix: `Synchronise at ${SYNC_PATH}.`,
};
export const TOKEN_MISSING: Refusal = {
  status: 401,
  code: 'TOKEN_MISSING',
  message: 'a token is needed',
  fix: 'Send it as Authorization: Bearer; a token in a query is not read.',
};
export const TOKEN_REJECTED: Refusal = {
  status: 401,
  code: 'TOKEN_REJECTED',
  message: 'the token does not let you in',
  fix: 'Use the one that the server printed when it started.',
};
