import type { Port } from './port.ts';

/**
 * VS Code carries messages between extension host and webview as JSON with the binary parts beside it, which
 * silently turns NaN and infinities into null and -0 into 0: exactly the values that make two states differ.
 * This port packs them on one side and unpacks them on the other.
 */
export function jsonSafePort(port: Port): Port {
  return {
    post: (message) => port.post(pack(message)),
    onMessage: (listener) =>
      port.onMessage((message) => {
        listener(unpack(message, 0));
      }),
  };
}

const MARK = '$number';
const ESCAPED = '$$number';
const MAX_DEPTH = 200;

type Plain = Readonly<Record<string, unknown>>;

function isPlain(value: unknown): value is Plain {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !ArrayBuffer.isView(value) &&
    !(value instanceof ArrayBuffer)
  );
}

/** Replaces numbers that JSON loses by `{$number: text}`; the same object comes back where there are none. */
export function pack(value: unknown): unknown {
  if (typeof value === 'number') {
    if (Object.is(value, -0)) return { [MARK]: '-0' };
    return Number.isFinite(value) ? value : { [MARK]: String(value) };
  }
  if (Array.isArray(value)) return mapArray(value, pack);
  if (!isPlain(value)) return value;
  let changed = false;
  const packed: Array<[string, unknown]> = [];
  for (const name of Object.keys(value)) {
    const before = value[name];
    const after = pack(before);
    const safeName = name.endsWith(MARK) ? `$${name}` : name;
    changed ||= after !== before || safeName !== name;
    packed.push([safeName, after]);
  }
  return changed ? Object.fromEntries(packed) : value;
}

function unpack(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) return mapArray(value, (one) => unpack(one, depth + 1));
  if (!isPlain(value)) return value;
  const names = Object.keys(value);
  if (names.length === 1 && names[0] === MARK) return Number(value[MARK]);
  let changed = false;
  const unpacked: Array<[string, unknown]> = [];
  for (const name of names) {
    const before = value[name];
    const after = unpack(before, depth + 1);
    const plainName = name.endsWith(ESCAPED) ? name.slice(1) : name;
    changed ||= after !== before || plainName !== name;
    unpacked.push([plainName, after]);
  }
  return changed ? Object.fromEntries(unpacked) : value;
}

function mapArray(items: readonly unknown[], map: (item: unknown) => unknown): readonly unknown[] {
  let copy: unknown[] | undefined;
  items.forEach((item, index) => {
    const mapped = map(item);
    if (mapped === item || (Number.isNaN(mapped) && Number.isNaN(item))) return;
    copy ??= items.slice();
    copy[index] = mapped;
  });
  return copy ?? items;
}
