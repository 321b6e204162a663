import type { KeyboardEvent } from 'react';

export interface TabBarProps<T extends string> {
  readonly label: string;
  readonly tabs: ReadonlyArray<{ readonly name: T; readonly title: string; readonly hint: string }>;
  readonly chosen: T;
  readonly onChoose: (name: T) => void;
}

/** VS Code's panel titles. The panel has the id `panel-NAME`. */
export function TabBar<T extends string>({ label, tabs, chosen, onChoose }: TabBarProps<T>) {
  function key(event: KeyboardEvent): void {
    const index = tabs.findIndex((tab) => tab.name === chosen);
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -index, End: tabs.length - 1 - index }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = tabs[(index + step + tabs.length) % tabs.length];
    if (!next) return;
    onChoose(next.name);
    document.getElementById(`tab-${next.name}`)?.focus();
  }
  return (
    <div className="tab-bar" role="tablist" aria-label={label} onKeyDown={key}>
      {tabs.map(({ name, title, hint }) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`tab-${name}`}
          className="tab"
          aria-selected={name === chosen}
          aria-controls={`panel-${name}`}
          tabIndex={name === chosen ? 0 : -1}
          title={hint}
          onClick={() => onChoose(name)}
        >
          {title}
        </button>
      ))}
    </div>
  );
}
