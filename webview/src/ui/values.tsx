import type { Value } from '@syncscope/protocol/state';
import { createContext, useContext, useState } from 'react';
import { formatValue, kindOfValue } from '../text/format.ts';
import { visible } from '../text/visible.ts';

/** How text is put on the clipboard here; given by the app. */
export const CopyContext = createContext<(text: string) => Promise<void>>(() => Promise.resolve());

/** Eight digits of a hash: whole on hover, copied whole on a click. */
export function Hash({ hash }: { readonly hash: string | null }) {
  const copy = useContext(CopyContext);
  const [wasCopied, setCopied] = useState(false);
  if (hash === null) return <span className="muted">no hash</span>;
  return (
    <button
      type="button"
      className="hash"
      title={wasCopied ? 'copied' : `${visible(hash)} (click to copy)`}
      aria-label={`${visible(hash.slice(0, 8))}, the beginning of hash ${visible(hash)}, press to copy`}
      onPointerLeave={() => setCopied(false)}
      onClick={(event) => {
        event.stopPropagation();
        copy(hash).then(
          () => setCopied(true),
          () => setCopied(false),
        );
      }}
    >
      {visible(hash.slice(0, 8))}
    </button>
  );
}

export interface ValueTextProps {
  readonly value: Value | undefined;
  readonly maxLength?: number;
}

/** A value on one line, coloured by its kind. */
export function ValueText({ value, maxLength = 160 }: ValueTextProps) {
  const text = formatValue(value, maxLength);
  return (
    <span
      className={`value value-${kindOfValue(value)}`}
      title={text.length > 24 ? formatValue(value, 2_000) : undefined}
    >
      {text}
    </span>
  );
}
