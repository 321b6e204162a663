import { type FilterCompletions, filterCompletions } from '@syncscope/protocol/capture';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { visible } from '../text/visible.ts';
import { IconButton } from '../ui/controls.tsx';
import { Icon } from '../ui/Icon.tsx';
import { complete, faultOf, moveChoice } from './filter-text.ts';
import { FILTER_INPUT_ID } from './keys.ts';
import { useQuery } from './query.ts';
import { setFilter, useApp, useView } from './store.ts';

const APPLY_AFTER_MS = 200;
const MAX_CHOICES = 12;
const NONE: FilterCompletions = { from: 0, to: 0, options: [] };

/**
 * The stream's filter. What is typed is applied a moment later where it can be; where it cannot, the box says what is
 * wrong and at which character, and the stream stays as it was.
 */
export function FilterBox() {
  const applied = useView((view) => view.filter);
  const isReady = useApp((state) => state.isReady);
  const info = useQuery(['filter-info'], (query) => query.info());
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(applied);
  const [cursor, setCursor] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const [chosen, setChosen] = useState(-1);

  // Set elsewhere: restored, or a link that filters.
  useEffect(() => setText(applied), [applied]);

  const fault = faultOf(text);
  const isFaulty = fault !== undefined;
  useEffect(() => {
    if (isFaulty || text === applied) return;
    const timer = setTimeout(() => setFilter(text), APPLY_AFTER_MS);
    return () => clearTimeout(timer);
  }, [text, applied, isFaulty]);

  const completions = isOpen && info.data ? filterCompletions(text, cursor, info.data) : NONE;
  const options = completions.options.slice(0, MAX_CHOICES);
  // What is only not finished yet is no fault as long as there is something to finish it with.
  const isUnfinished = fault?.offset === text.length && options.length > 0;
  const shownFault = isUnfinished ? undefined : fault;

  function take(option: string): void {
    const next = complete(text, completions, option);
    setText(next.text);
    setCursor(next.cursor);
    setChosen(-1);
    // The cursor can only be put once the new text is in the box.
    requestAnimationFrame(() => input.current?.setSelectionRange(next.cursor, next.cursor));
  }

  function key(event: KeyboardEvent<HTMLInputElement>): void {
    const option = options[chosen];
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      setOpen(true);
      setChosen(moveChoice(chosen, event.key === 'ArrowDown' ? 1 : -1, options.length));
    } else if ((event.key === 'Enter' || event.key === 'Tab') && option) take(option.text);
    else if (event.key === 'Enter') {
      if (!fault) setFilter(text);
      setOpen(false);
    } else if (event.key === 'Escape') {
      if (isOpen && options.length > 0) setOpen(false);
      else event.currentTarget.blur();
    } else return;
    event.preventDefault();
  }

  return (
    <search className="filter">
      <span className="filter-icon">
        <Icon name="filter" />
      </span>
      <span className="filter-field">
        <input
          ref={input}
          id={FILTER_INPUT_ID}
          className="filter-input mono"
          type="text"
          role="combobox"
          aria-label="Filter the stream"
          aria-expanded={isOpen && options.length > 0}
          aria-controls="filter-choices"
          aria-autocomplete="list"
          aria-activedescendant={chosen >= 0 ? `filter-choice-${chosen}` : undefined}
          aria-invalid={shownFault !== undefined}
          aria-describedby={shownFault ? 'filter-fault' : undefined}
          placeholder="filter  kind: who: key: …"
          disabled={!isReady}
          spellCheck={false}
          autoComplete="off"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setCursor(event.target.selectionStart ?? event.target.value.length);
            setOpen(true);
            setChosen(-1);
          }}
          onSelect={(event) => setCursor(event.currentTarget.selectionStart ?? 0)}
          onFocus={() => setOpen(true)}
          onBlur={() => setOpen(false)}
          onKeyDown={key}
        />
        {shownFault && (
          <span className="filter-mark mono" aria-hidden="true">
            <span className="filter-before">{text.slice(0, shownFault.offset)}</span>
            <span className="filter-at">{text.slice(shownFault.offset, shownFault.offset + 1) || ' '}</span>
          </span>
        )}
      </span>
      {text !== '' && (
        <IconButton
          icon="close"
          label="Clear the filter"
          onPress={() => {
            setText('');
            setFilter('');
          }}
        />
      )}
      {shownFault && (
        <div className="filter-fault" id="filter-fault" role="alert">
          At character {shownFault.offset + 1}: {visible(shownFault.message)}
        </div>
      )}
      {isOpen && !shownFault && options.length > 0 && (
        <div className="filter-choices" id="filter-choices" role="listbox" aria-label="Completions">
          {options.map((option, index) => (
            <div
              key={option.text}
              id={`filter-choice-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === chosen}
              className="filter-choice"
              // Before the input loses the focus, and with it this list.
              onPointerDown={(event) => {
                event.preventDefault();
                take(option.text);
              }}
            >
              <span className="mono">{visible(option.text)}</span>
              <span className="muted">{visible(option.detail)}</span>
            </div>
          ))}
        </div>
      )}
    </search>
  );
}
