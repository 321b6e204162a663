import { WebSocket } from 'ws';

/** What a close frame holds beside its code is 123 bytes. */
const REASON_MAX_BYTES = 123;
const GOODBYE_MS = 2_000;
/** So often, while the other side reads on. */
const GOODBYES = 5;

const closing = new WeakSet<WebSocket>();

/**
 * Closes with a reason, cut to what a close frame holds, and cuts the connection where the other side for two seconds neither answers nor
 * reads on in what is on its way, and after ten in any case. Harmless when done twice: the first reason counts.
 */
export function closeSocket(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState === WebSocket.CLOSED || closing.has(socket)) return;
  closing.add(socket);
  socket.close(code, closeReason(reason));
  let [waiting, left] = [socket.bufferedAmount, GOODBYES];
  const cut = setInterval(() => {
    const rest = socket.bufferedAmount;
    if (rest >= waiting || --left === 0) socket.terminate();
    waiting = rest;
  }, GOODBYE_MS);
  cut.unref();
  socket.once('close', () => clearInterval(cut));
}

/** As much of a text as a close frame holds, ending with a whole character. */
function closeReason(text: string): string {
  const encoder = new TextEncoder();
  const bytes = new Uint8Array(REASON_MAX_BYTES);
  if (encoder.encodeInto(text, bytes).read === text.length) return text;
  const { read } = encoder.encodeInto(text, bytes.subarray(0, REASON_MAX_BYTES - encoder.encode('…').length));
  return `${text.slice(0, read)}…`;
}
