import type { IncomingMessage } from 'node:http';

/** Where a request comes from. IPv4 within IPv6 counts as IPv4, and a whole /64 as one, since one machine has all of it. */
export function addressOf(request: IncomingMessage): string {
  return networkOf(request.socket.remoteAddress ?? '');
}

/** @internal */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(address);
  if (mapped?.[1]) return mapped[1];
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  const groups = tail === undefined ? left : [...left, ...zeros, ...right];
  return `${groups.slice(0, 4).join(':').toLowerCase()}::/64`;
}
