import type { GroupDefinition } from '@syncscope/protocol/replay';
import type { TraceHeader } from '@syncscope/protocol/trace';
import { call } from '../scenarios/call.ts';
import { craps } from '../scenarios/craps.ts';
import { peerScenarioGroup } from './peer-group.ts';
import type { PeerScenario } from './peer-scenario.ts';

export { sampleDefinition } from '../scenarios/recorded.ts';

const SCENARIOS: Readonly<Record<string, PeerScenario>> = { craps, call };

/** How the peers of a recorded session of the sample server are made again; undefined for any other capture. */
export function sampleGroup({ scenario, authority }: TraceHeader): GroupDefinition | undefined {
  if (authority !== null || !Object.hasOwn(SCENARIOS, scenario)) return undefined;
  return peerScenarioGroup(SCENARIOS[scenario]!);
}
