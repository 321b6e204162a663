/** Drawn for 16 × 16 pixels, in the colour of the text around. */
const PATHS = {
  start: 'M3 3v10M13 3.5v9L5.5 8z',
  end: 'M13 3v10M3 3.5v9L10.5 8z',
  back: 'M9.5 3.5v9L3 8zM11.2 3.5h1.6v9h-1.6z',
  forward: 'M6.5 3.5v9L13 8zM3.2 3.5h1.6v9H3.2z',
  play: 'M4.5 2.5v11l9-5.5z',
  playBack: 'M11.5 2.5v11l-9-5.5z',
  pause: 'M4 3h2.5v10H4zM9.5 3H12v10H9.5z',
  previousMarker: 'M9.5 4.5L6 8l3.5 3.5M3.5 4v8',
  nextMarker: 'M6.5 4.5L10 8l-3.5 3.5M12.5 4v8',
  filter: 'M6.8 2.5a4.3 4.3 0 1 1 0 8.6 4.3 4.3 0 0 1 0-8.6zM10 10l3.8 3.8',
  close: 'M4 4l8 8M12 4l-8 8',
  down: 'M8 3v9M4.5 8.5L8 12l3.5-3.5',
  swap: 'M3 5.5h9.5M10 3l2.5 2.5L10 8M13 10.5H3.5M6 8l-2.5 2.5L6 13',
  chevron: 'M6 4l4 4-4 4',
  pin: 'M6 2.5h4M7 2.5v4L4.5 9.5h7L9 6.5v-4M8 9.5v4',
  copy: 'M5.5 5.5h7v8h-7zM3.5 10.5v-8h7',
  history: 'M8 4.5V8l2.5 1.5M2.9 6.5A5.4 5.4 0 1 1 2.7 9M2.5 3.5v3h3',
  keyboard: 'M2 4.5h12v7H2zM4.5 7h.01M7 7h.01M9.5 7h.01M12 7h.01M5 9.5h6',
  file: 'M4 2.5h5l3 3v8H4zM9 2.5v3h3',
} as const;

export type IconName = keyof typeof PATHS;

const FILLED: ReadonlySet<IconName> = new Set(['play', 'playBack', 'pause', 'back', 'forward']);

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg className="icon" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path
        d={PATHS[name]}
        fill={FILLED.has(name) ? 'currentColor' : 'none'}
        stroke={FILLED.has(name) ? 'none' : 'currentColor'}
        strokeWidth="1.2"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
    </svg>
  );
}
