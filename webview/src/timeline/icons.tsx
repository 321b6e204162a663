import type { ReactNode } from 'react';

function icon(children: ReactNode): ReactNode {
  return (
    <svg
      width="16"
      height="16"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.2"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const fitIcon = icon(<path d="M2.5 3v10M13.5 3v10M5 8h6M5 8l2-2M5 8l2 2M11 8L9 6M11 8l-2 2" />);
export const followIcon = icon(<path d="M13 3v10M3 8h7M10 8L7 5M10 8l-3 3" />);
export const legendIcon = icon(
  <>
    <circle cx="4" cy="4" r="1.5" />
    <path d="M2.5 12l1.5-2 1.5 2zM8 4h6M8 11h6" />
  </>,
);
