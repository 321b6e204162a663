import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from 'react';
import { Button, type ButtonProps } from './controls.tsx';

export interface MenuItem {
  readonly id: string;
  readonly label: string;
  readonly onPress: () => void;
}

/** Items on one line behind what they have in common. */
export interface MenuSection {
  readonly title: string;
  /** More about it, on hover and for screen readers. */
  readonly detail?: string;
  readonly items: readonly MenuItem[];
}

export interface MenuProps extends Pick<ButtonProps, 'label' | 'title' | 'isDisabled'> {
  readonly sections: readonly MenuSection[];
  readonly children?: ReactNode;
}

/** A button with a list of things to do. Closes on Escape, on a press elsewhere and after a choice. */
export function Menu({ label, title = '', isDisabled = false, sections }: MenuProps) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!isOpen) return;
    root.current?.querySelector<HTMLElement>('[role=menuitem]')?.focus();
    const onPress = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener('pointerdown', onPress);
    return () => document.removeEventListener('pointerdown', onPress);
  }, [isOpen]);

  function close(): void {
    setOpen(false);
    root.current?.querySelector<HTMLElement>('vscode-button')?.focus();
  }

  function key(event: KeyboardEvent): void {
    if (!isOpen) return;
    const items = [...(root.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];
    const index = items.indexOf(document.activeElement as HTMLElement);
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -index, End: items.length - 1 - index }[event.key];
    if (event.key === 'Escape') close();
    else if (step === undefined) return;
    else items[(index + step + items.length) % items.length]?.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys come up from the menu's own buttons
    <div className="menu" ref={root} onKeyDown={key}>
      <Button label={label} title={title} isDisabled={isDisabled} onPress={() => setOpen(!isOpen)} />
      {isOpen && (
        <div className="menu-list" role="menu" aria-label={label}>
          {sections.map((section) => (
            <div key={section.title} className="menu-section" title={section.detail}>
              <div className="menu-title">{section.title}</div>
              {section.items.map((item) => (
                <button
                  key={item.id}
                  type="button"
                  role="menuitem"
                  className="menu-item"
                  aria-label={`${section.title}: ${item.label}`}
                  aria-description={section.detail}
                  onClick={() => {
                    close();
                    item.onPress();
                  }}
                >
                  {item.label}
                </button>
              ))}
            </div>
          ))}
        </div>
      )}
    </div>
  );
}
