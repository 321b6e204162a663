import { type ReactNode, useEffect, useRef } from 'react';
import { Icon, type IconName } from './Icon.tsx';

/** Controls behind our own props. Booleans are always passed on: the toolkit does not reset a property that goes away. */

export interface ButtonProps {
  readonly label: string;
  readonly onPress: () => void;
  readonly kind?: 'primary' | 'secondary';
  readonly icon?: IconName;
  readonly isDisabled?: boolean;
  readonly title?: string;
}

export function Button({ label, onPress, kind = 'secondary', icon, isDisabled = false, title }: ButtonProps) {
  return (
    <vscode-button
      class={icon ? 'with-icon' : ''}
      appearance={kind}
      disabled={isDisabled}
      onClick={onPress}
      title={title ?? ''}
    >
      {label}
      {icon && (
        <span slot="start" className="icon-slot">
          <Icon name={icon} />
        </span>
      )}
    </vscode-button>
  );
}

export interface IconButtonProps {
  readonly icon: IconName;
  /** Says what it does, to a screen reader and on hover. */
  readonly label: string;
  readonly onPress: () => void;
  readonly isDisabled?: boolean;
  readonly isOn?: boolean;
}

export function IconButton({ icon, label, onPress, isDisabled = false, isOn }: IconButtonProps) {
  return (
    <vscode-button
      appearance="icon"
      aria-label={label}
      title={label}
      disabled={isDisabled}
      onClick={onPress}
      {...(isOn === undefined ? {} : { 'aria-pressed': isOn })}
    >
      <Icon name={icon} />
    </vscode-button>
  );
}

export interface Choice<T extends string> {
  readonly value: T;
  readonly label: string;
}

export interface DropdownProps<T extends string> {
  readonly label: string;
  readonly value: T | undefined;
  readonly choices: readonly Choice<T>[];
  readonly onChoose: (value: T) => void;
}

export function Dropdown<T extends string>({ label, value, choices, onChoose }: DropdownProps<T>) {
  const element = useRef<HTMLElement>(null);
  const choose = useRef(onChoose);
  choose.current = onChoose;
  useEffect(() => {
    const dropdown = element.current;
    if (!dropdown) return;
    const handle = () => choose.current((dropdown as HTMLElement & { value: string }).value as T);
    dropdown.addEventListener('change', handle);
    return () => dropdown.removeEventListener('change', handle);
  }, []);
  // Its value can only be set once the options are there, and again whenever they change.
  const names = choices.map((choice) => choice.value).join('\n');
  useEffect(() => {
    const dropdown = element.current as (HTMLElement & { value: string }) | null;
    if (dropdown && value !== undefined) dropdown.value = value;
  }, [value, names]);
  return (
    <vscode-dropdown ref={element} aria-label={label} title={label}>
      {choices.map((choice) => (
        <vscode-option key={choice.value} value={choice.value} selected={choice.value === value}>
          {choice.label}
        </vscode-option>
      ))}
    </vscode-dropdown>
  );
}

export interface CheckboxProps {
  readonly label: string;
  readonly isOn: boolean;
  readonly onToggle: (isOn: boolean) => void;
}

export function Checkbox({ label, isOn, onToggle }: CheckboxProps) {
  const element = useRef<HTMLElement>(null);
  const toggle = useRef({ onToggle, isOn });
  toggle.current = { onToggle, isOn };
  useEffect(() => {
    const box = element.current as (HTMLElement & { checked: boolean }) | null;
    if (!box) return;
    const handle = () => {
      // It also tells of changes that we made ourselves.
      if (box.checked !== toggle.current.isOn) toggle.current.onToggle(box.checked);
    };
    box.addEventListener('change', handle);
    return () => box.removeEventListener('change', handle);
  }, []);
  return (
    <vscode-checkbox ref={element} checked={isOn}>
      {label}
    </vscode-checkbox>
  );
}

export interface TextFieldProps {
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  readonly onInput: (value: string) => void;
  readonly children?: ReactNode;
}

export function TextField({ label, value, placeholder = '', onInput, children }: TextFieldProps) {
  const element = useRef<HTMLElement>(null);
  // It names itself "Text field" once it is in the page.
  useEffect(() => element.current?.setAttribute('aria-label', label), [label]);
  return (
    <vscode-text-field
      ref={element}
      value={value}
      placeholder={placeholder}
      onInput={(event) => onInput((event.target as HTMLElement & { value: string }).value)}
    >
      {children}
    </vscode-text-field>
  );
}

export function Spinner({ label }: { readonly label: string }) {
  return <vscode-progress-ring aria-label={label} />;
}
