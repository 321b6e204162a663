import { visible } from '../text/visible.ts';

/** A few lines beside the pointer. */
export interface Tooltip {
  /** Shows `lines`, the first as a heading, at a place within `room`; nothing where there are none. */
  show(lines: readonly string[], x: number, y: number, room: { readonly width: number; readonly height: number }): void;
}

const GAP = 14;

export function createTooltip(element: HTMLElement): Tooltip {
  return {
    show(lines, x, y, room) {
      element.hidden = lines.length === 0;
      if (lines.length === 0) return;
      element.replaceChildren(
        ...lines.map((line, index) => {
          const part = document.createElement(index === 0 ? 'strong' : 'span');
          part.textContent = visible(line);
          return part;
        }),
      );
      const { offsetWidth, offsetHeight } = element;
      const left = x + GAP + offsetWidth > room.width ? x - GAP - offsetWidth : x + GAP;
      const top = y + GAP + offsetHeight > room.height ? y - GAP - offsetHeight : y + GAP;
      element.style.transform = `translate(${Math.round(Math.max(0, left))}px, ${Math.round(top)}px)`;
    },
  };
}
