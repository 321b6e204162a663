/** What both ways of shrinking tell while they run. */
export interface ShrinkWatch {
  readonly isOver: () => boolean;
  readonly tried: (keeps: boolean, left: number) => void;
  readonly onStep?: ((capture: Uint8Array) => Promise<void>) | undefined;
}
