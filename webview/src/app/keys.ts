import type { CaptureQuery } from '@syncscope/protocol/capture';
import type { StepUnit } from '@syncscope/protocol/cursor';
import { changeSpeed, step, togglePlay } from './player.ts';
import { setTab, TABS, update } from './store.ts';
import { stepMarker, stepReplica, toEnd, toStart } from './transport.ts';

/** The keys, in words, for the list that `?` opens. */
export const KEY_HELP: ReadonlyArray<readonly [keys: string, meaning: string]> = [
  ['← →', 'one record back, forward'],
  ['Shift ← →', 'the same along one replica'],
  ['Alt ← →', 'previous, next marker'],
  ['M V T', 'one message, version, tick of 50 ms forward; with Shift back'],
  ['Home End', 'to the first, the newest record'],
  ['Space', 'play, pause; with Shift backwards'],
  ['[ ]', 'play slower, faster'],
  ['/', 'filter the stream'],
  ['1 – 6', 'Cause, State, Diff, Vectors, Merkle, Bytes'],
  ['↑ ↓ PgUp PgDn', 'along the rows of a list that has the focus'],
  ['Esc', 'leave the filter, close what is open'],
  ['?', 'this list'],
];

export const FILTER_INPUT_ID = 'filter-input';

/** True where a key belongs to what has the focus: text that is typed, an open list, a tab bar. */
export function isOwnKey(target: EventTarget | null, key: string): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches('input, textarea, select, vscode-text-field, vscode-dropdown'))
    return true;
  // A button or a checkbox is pressed by Space; arrows are still ours there.
  return key === ' ' && target.matches('button, a, vscode-button, vscode-checkbox, [role=menuitem], [role=treeitem]');
}

const UNIT_KEYS: Readonly<Record<string, StepUnit>> = { m: 'message', v: 'version', t: 'tick' };

/** Does what a key stands for; true where it stood for something. */
export function pressKey(
  query: CaptureQuery,
  event: Pick<KeyboardEvent, 'key' | 'shiftKey' | 'altKey' | 'ctrlKey' | 'metaKey'>,
): boolean {
  if (event.ctrlKey || event.metaKey) return false;
  const direction = event.key === 'ArrowLeft' ? -1 : event.key === 'ArrowRight' ? 1 : undefined;
  if (direction !== undefined) {
    const move = event.altKey ? stepMarker : event.shiftKey ? stepReplica : step;
    void move(query, direction);
    return true;
  }
  if (event.altKey) return false;
  const unit = UNIT_KEYS[event.key.toLowerCase()];
  if (unit) {
    void step(query, event.shiftKey ? -1 : 1, unit);
    return true;
  }
  const tab = TABS[Number(event.key) - 1];
  if (/^[1-9]$/.test(event.key) && tab) {
    setTab(tab);
    return true;
  }
  switch (event.key) {
    case ' ':
      togglePlay(event.shiftKey);
      return true;
    case '[':
    case ']':
      changeSpeed(event.key === '[' ? -1 : 1);
      return true;
    case 'Home':
      void toStart(query);
      return true;
    case 'End':
      void toEnd(query);
      return true;
    case '/':
      document.getElementById(FILTER_INPUT_ID)?.focus();
      return true;
    case '?':
      update((draft) => {
        draft.keysOpen = !draft.keysOpen;
      });
      return true;
    case 'Escape':
      update((draft) => {
        draft.keysOpen = false;
        draft.notice = undefined;
      });
      return true;
    default:
      return false;
  }
}
