import { createHash, timingSafeEqual } from 'node:crypto';
import { emitSends, type Tap } from '@syncscope/protocol/trace';

/** Compares in constant time, whatever the lengths. */
export function sameToken(shown: string, token: string): boolean {
  return timingSafeEqual(digest(shown), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/**
 * A tap that keeps the session's token out of the trace: a HELLO shows it, and a capture is passed on. Its place in
 * the frame is filled with asterisks, so that the frame still decodes and its bytes still count.
 */
export function withoutToken(tap: Tap, token: string): Tap {
  const secret = Buffer.from(token);
  return {
    get isOpen() {
      return tap.isOpen;
    },
    emit: (replica, body, cause, wire, source) =>
      tap.emit(replica, body, cause, wire && mayShowToken(body) ? masked(wire, secret) : wire, source),
    emitSends: (sends, cause, wire) =>
      emitSends(tap, sends, cause, sends.type === 'HELLO' ? masked(wire, secret) : wire),
  };
}

/** A frame that could not be read may be a HELLO, too. */
function mayShowToken(body: Parameters<Tap['emit']>[1]): boolean {
  return ((body.kind === 'send' || body.kind === 'receive') && body.type === 'HELLO') || body.kind === 'refused';
}

function masked(wire: Uint8Array, secret: Buffer): Uint8Array {
  const copy = Buffer.from(wire);
  for (let at = copy.indexOf(secret); at >= 0; at = copy.indexOf(secret, at)) copy.fill('*', at, at + secret.length);
  return new Uint8Array(copy);
}
