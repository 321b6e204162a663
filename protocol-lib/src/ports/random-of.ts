import { type Random, seededRandom } from './ports.ts';

/** A stream of its own for each part of a seeded server. */
export function randomOf(whole: number, part: string): Random {
  let seed = whole >>> 0;
  for (const letter of part) seed = (Math.imul(seed ^ letter.charCodeAt(0), 0x01000193) + 0x9e3779b9) >>> 0;
  return seededRandom(seed);
}
