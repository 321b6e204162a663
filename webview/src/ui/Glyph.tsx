import type { KindStyle, MarkerStyle, Shape } from '../timeline/kinds.ts';

/** The timeline's glyphs for the table and the tabs: the same shape says the same thing everywhere. 12 × 12, centre 6,6. */
const OUTLINES: Readonly<Record<Shape, { readonly d: string; readonly filled: boolean }>> = {
  dot: { d: 'M6 3.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6z', filled: true },
  ring: { d: 'M6 2.8a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4z', filled: false },
  square: { d: 'M3.2 3.2h5.6v5.6H3.2z', filled: true },
  diamond: { d: 'M6 2l4 4-4 4-4-4z', filled: true },
  triangle: { d: 'M6 2.4L9.6 8.8H2.4z', filled: false },
  check: { d: 'M2.4 6l2.8 2.8L9.6 3.2', filled: false },
  cross: { d: 'M2.8 2.8l6.4 6.4M2.8 9.2l6.4-6.4', filled: false },
  bolt: { d: 'M7.2 1.6L2.8 6.8h2.8L4.8 10.4 9.2 5.2H6.4z', filled: true },
  bar: { d: 'M5 2h2v8H5z', filled: true },
  plus: { d: 'M2.4 6h7.2M6 2.4v7.2', filled: false },
  undo: { d: 'M9.2 2.8L2.8 6l6.4 3.2z', filled: true },
  gap: { d: 'M5 2H2.6v8H5M7 2h2.4v8H7', filled: false },
  stop: { d: 'M6 2.2a3.8 3.8 0 1 1 0 7.6 3.8 3.8 0 0 1 0-7.6zM3.8 6h4.4', filled: false },
  split: { d: 'M2.2 4.4h7.6M2.2 7.6h7.6M8.2 1.8L3.8 10.2', filled: false },
  fork: { d: 'M6 10V6.4L2.8 2.4M6 6.4l3.2-4', filled: false },
  cut: { d: 'M1.6 6h2.8M4.4 2.4v7.2M7.6 2.4v7.2M7.6 6h2.8', filled: false },
};

export function Glyph({ look }: { readonly look: Pick<KindStyle | MarkerStyle, 'shape' | 'ink'> }) {
  const { d, filled } = OUTLINES[look.shape];
  return (
    <svg
      className={`glyph ink-${look.ink}`}
      width="12"
      height="12"
      viewBox="0 0 12 12"
      aria-hidden="true"
      focusable="false"
    >
      <path d={d} fill={filled ? 'currentColor' : 'none'} stroke={filled ? 'none' : 'currentColor'} strokeWidth="1.4" />
    </svg>
  );
}
