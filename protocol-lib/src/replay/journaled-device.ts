import { packMsgpack } from '../bytes/index.ts';
import type { DeviceInput, OfflineJournal } from '../offline/index.ts';
import { fitText } from '../schema/index.ts';
import type { ReplicaId, Value } from '../state/index.ts';
import { argumentText } from './arguments.ts';
import type { Input } from './inputs.ts';
import type { LiveJournal } from './live-journal.ts';

/** For an `OfflineClient`, whose inputs are then written into the trace while somebody listens, as those of a `JournaledManager` are. One for each client. */
export function journaledDevice(journal: LiveJournal, replica: ReplicaId): OfflineJournal {
  const endpoint = {};
  const head = () => ({ replica, now: journal.now });
  const written = (input: DeviceInput): Input => {
    switch (input.op) {
      case 'deviceMutate':
        return { ...input, ...head(), args: argumentText(input.args), creates: [...input.creates] };
      case 'deviceAnswer':
        return { ...input, ...head(), answer: packMsgpack(input.answer as unknown as Value) };
      case 'deviceFailed':
        return { ...input, ...head(), reason: fitText(input.reason, 10_000) };
      default:
        return { ...input, ...head() };
    }
  };
  return {
    get isOpen() {
      return journal.isOpen;
    },
    get hasBegun() {
      return journal.hasBegun(endpoint);
    },
    begin: (standing, isNew) => journal.begin(endpoint, { op: 'deviceStands', ...head(), standing, isNew }),
    run: (input, work) => journal.run(written(input), work),
    aside: (work) => journal.aside(work),
  };
}
