import type { SessionDefinition } from '@syncscope/protocol/sync';
import type { TraceHeader } from '@syncscope/protocol/trace';
import { SCENARIOS } from './index.ts';

/** The rules of a recorded session of the sample server with an authority; undefined for any other capture. `hasViews`: whether each client saw only what concerns it. */
export function sampleDefinition(
  { scenario, authority, build }: TraceHeader,
  hasViews: boolean,
): SessionDefinition | undefined {
  if (authority === null || !build.startsWith('syncscope ') || !Object.hasOwn(SCENARIOS, scenario)) return undefined;
  const { definition, byInterest, asPlayed } = SCENARIOS[scenario]!;
  const rules = hasViews ? byInterest : definition;
  return rules && { ...rules, asPlayed };
}
