import { execFileSync } from 'node:child_process';

const SPAN = 1_000_000_000;

/**
 * The first seed of the range that moves with every commit, and where it comes from: `SYNCSCOPE_SEED` where it is set, else the
 * hash of the commit, else, outside of a repository, the day.
 */
export function movingStart(): { readonly seed: number; readonly from: string } {
  const given = process.env.SYNCSCOPE_SEED;
  if (given !== undefined && /^\d{1,15}$/.test(given)) return { seed: Number(given), from: 'SYNCSCOPE_SEED' };
  try {
    const hash = execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return { seed: SPAN + (Number.parseInt(hash.slice(0, 8), 16) % SPAN), from: `commit ${hash.slice(0, 8)}` };
  } catch {
    return { seed: SPAN + Math.floor(Date.now() / 86_400_000) * 1_000, from: 'the day' };
  }
}
