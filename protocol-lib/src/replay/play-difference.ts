import type { StateHash, Version } from '../state/index.ts';
import { mayBeDrawnNumber } from './play-drawn.ts';
import type { PlayedIntent, PlayedOther, RecordedRoot } from './play-script.ts';
import { type RecordFound, textOf } from './play-states.ts';
import type { PlayDifference } from './play-types.ts';

/** An answer that is another one. */
export function answerDifference(
  { answer, replica, counter, command }: PlayedIntent,
  refusal: string | undefined,
): PlayDifference {
  const said = (reason: string | undefined): string => (reason === undefined ? 'accepted' : `refused: ${reason}`);
  const [recorded, live] = [said(answer.accepted ? undefined : answer.reason), said(refusal)];
  const sentence = `record ${answer.seq}: ${command}, mutation ${counter} of ${replica}, was ${recorded}; here it is ${live}`;
  return { replica, what: 'answer', seq: answer.seq, counter, command, recorded, live, sentence };
}

/** A mutation that did not come. */
export function missedDifference({ writer, counter, answer }: PlayedOther, isOwn: boolean): PlayDifference {
  const whose = isOwn ? 'the authority’s own' : `${writer}’s`;
  const sentence = `record ${answer.seq}: mutation ${counter}, ${whose}, which no recorded client sent, did not come here`;
  const { accepted: recorded, seq } = answer;
  return { replica: writer, what: 'other', seq, counter, recorded, live: null, sentence };
}

type Where = Pick<PlayDifference, 'replica'> & { readonly version: Version };

/** A mutation of the authority's own that was not recorded. */
export function extraDifference(where: Where, { root, seq }: RecordedRoot, live: StateHash): PlayDifference {
  const sentence = `record ${seq}: before it, the authority here made a mutation of its own that it did not make then`;
  return { ...where, what: 'other', seq, recorded: root, live, sentence };
}

/** A state that is another one, with the record in which, where that is known. */
export function stateDifference(
  where: Where,
  what: 'beginning' | 'state',
  { root, seq }: RecordedRoot,
  found: RecordFound | undefined,
  live: StateHash,
): PlayDifference {
  const { replica, version } = where;
  const when = what === 'beginning' ? 'before anything was played' : `at version ${version} of the recording`;
  const head = { replica, what, seq, version };
  if (!found) {
    return { ...head, recorded: root, live, sentence: `record ${seq}: ${replica} has another state here ${when}` };
  }
  const { key, field, recorded, live: here } = found;
  const name = field === undefined ? key : `${key}.${field}`;
  const isNumber = mayBeDrawnNumber(recorded, here);
  const note = isNumber ? '; if the server draws it or takes it from a clock: numbers are compared as they are' : '';
  const sentence = `record ${seq}: ${name} was ${textOf(recorded)} ${when}; ${replica} has ${textOf(here)} here${note}`;
  const may = isNumber ? { mayBeDrawn: true } : {};
  return { ...head, key, ...(field === undefined ? {} : { field }), recorded, live: here, ...may, sentence };
}
