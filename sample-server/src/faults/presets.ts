import type { NetworkPreset } from '@syncscope/protocol/trace';

/** How a link misbehaves. Milliseconds; rates from 0 to 1. */
export interface Trouble {
  readonly latency: number;
  readonly jitter: number;
  readonly loss: number;
  readonly duplication: number;
  /** Share of frames that are held back, and for how long at most. */
  readonly reordering: number;
  readonly reorderBy: number;
}

export const NO_TROUBLE: Trouble = { latency: 0, jitter: 0, loss: 0, duplication: 0, reordering: 0, reorderBy: 0 };

/** Latency is one way. Figures are typical ones, not extremes: who wants worse sets it by hand. */
export const PRESETS: Readonly<Record<NetworkPreset | 'healthy', Trouble>> = {
  healthy: NO_TROUBLE,
  'home broadband': { ...NO_TROUBLE, latency: 12, jitter: 6, loss: 0.001 },
  train: { latency: 70, jitter: 60, loss: 0.03, duplication: 0.002, reordering: 0.02, reorderBy: 120 },
  satellite: { ...NO_TROUBLE, latency: 300, jitter: 30, loss: 0.01 },
  'conference Wi-Fi': { latency: 40, jitter: 80, loss: 0.05, duplication: 0.01, reordering: 0.05, reorderBy: 200 },
};
