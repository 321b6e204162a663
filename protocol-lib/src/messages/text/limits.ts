/** What a text frame may not exceed. A frame of more is refused before it is read, and never written. */
export interface TextLimits {
  /** UTF-8 bytes of a frame. */
  readonly frame: number;
  /** UTF-16 units of a line. */
  readonly line: number;
  readonly lines: number;
}

export const TEXT_LIMITS: TextLimits = { frame: 64 * 1024 * 1024, line: 4 * 1024 * 1024, lines: 1_000_000 };
