import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react';
import type { HostCommand, RemoteQuery } from '../rpc/index.ts';
import { plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { Button } from '../ui/controls.tsx';
import { useModal } from '../ui/dialog.ts';
import { useHost } from './host-context.ts';
import { getState, update, useApp } from './store.ts';

export type SaveChoice = Omit<Extract<HostCommand, { command: 'save' }>, 'command'>;

/** Asks for what was captured as a file. Where nothing is chosen, the host knows how. */
export async function save(remote: RemoteQuery, choice: SaveChoice = {}): Promise<void> {
  const { records } = getState();
  await remote.command({ command: 'save', ...choice });
  update((draft) => {
    draft.saved = records;
  });
}

/** Asks what becomes of secrets, in a host that has no dialog or setting of its own for it. */
export function SaveDialog() {
  const isOpen = useApp((state) => state.saveOpen);
  const dialog = useModal(isOpen);
  return (
    <dialog ref={dialog} className="save-dialog" aria-labelledby="save-title" onClose={close} onKeyDown={keepKeys}>
      {isOpen && <SaveForm />}
    </dialog>
  );
}

function close(): void {
  update((draft) => {
    draft.saveOpen = false;
  });
}

/** Letters that are typed here are no keys of the player's. */
function keepKeys(event: KeyboardEvent): void {
  event.stopPropagation();
}

function SaveForm() {
  const host = useHost();
  const records = useApp((state) => state.records);
  const [keepsAll, setKeepsAll] = useState(false);
  const [paths, setPaths] = useState('');
  const [patterns, setPatterns] = useState('');
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<string>();
  /** What was wrong was so before. */
  const change = <T,>(set: (value: T) => void) => {
    return (value: T) => {
      setFailure(undefined);
      set(value);
    };
  };
  const rules = { paths: linesOf(paths), patterns: linesOf(patterns) };
  const hasRules = rules.paths.length + rules.patterns.length > 0;

  async function submit(): Promise<void> {
    if (isBusy) return;
    setBusy(true);
    setFailure(undefined);
    try {
      await save(host.remote, keepsAll ? { unredacted: true } : { rules });
      close();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  }

  return (
    <form
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        void submit();
      }}
    >
      <h2 id="save-title">Save the capture</h2>
      <p className="muted">{plural(records, 'record')}, as a .mcap file</p>
      <fieldset>
        <legend className="visually-hidden">What is secret in it</legend>
        <Option label="Without secrets" isOn={!keepsAll} onChoose={() => change(setKeepsAll)(false)} isFirst>
          Passwords, tokens, cookies and fields that the app marks as secret are replaced by pseudonyms. From the first
          one on, frames and inputs are left out.
        </Option>
        {!keepsAll && (
          <div className="save-rules">
            <Lines
              label="More secret fields"
              hint="player/*.email"
              detail="key.field, one a line"
              value={paths}
              onInput={change(setPaths)}
            />
            <Lines
              label="More secret texts"
              hint="ID-\d{6}"
              detail="regular expressions, one a line"
              value={patterns}
              onInput={change(setPatterns)}
            />
            {hasRules && <p className="muted">With rules of your own, all frames and inputs are left out.</p>}
          </div>
        )}
        <Option label="With everything in it" isOn={keepsAll} onChoose={() => change(setKeepsAll)(true)}>
          As it was captured, with every value and every frame.
        </Option>
        {keepsAll && (
          <p className="save-warning" role="alert">
            <span aria-hidden="true">△</span> The file will hold every password and token that was sent. Give it only to
            those who may have them.
          </p>
        )}
      </fieldset>
      {failure !== undefined && (
        <p className="save-failure" role="alert">
          {visible(failure)}
        </p>
      )}
      <div className="save-buttons">
        <Button label="Cancel" onPress={close} />
        <Button
          label={isBusy ? 'Saving…' : keepsAll ? 'Save with secrets' : 'Save without secrets'}
          kind="primary"
          isDisabled={isBusy}
          onPress={() => void submit()}
        />
      </div>
    </form>
  );
}

interface OptionProps {
  readonly label: string;
  readonly isOn: boolean;
  readonly onChoose: () => void;
  /** Whether it has the focus when the dialog opens. */
  readonly isFirst?: boolean;
  readonly children: string;
}

function Option({ label, isOn, onChoose, isFirst = false, children }: OptionProps) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (isFirst) input.current?.focus();
  }, [isFirst]);
  return (
    <label className="save-option">
      <input ref={input} type="radio" name="save-secrets" checked={isOn} onChange={onChoose} />
      <span>
        <span className="save-label">{label}</span>
        <span className="muted">{children}</span>
      </span>
    </label>
  );
}

interface LinesProps {
  readonly label: string;
  readonly hint: string;
  readonly detail: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
}

function Lines({ label, hint, detail, value, onInput }: LinesProps) {
  return (
    <label className="save-lines">
      <span>
        {label} <span className="muted">{detail}</span>
      </span>
      <textarea
        className="mono"
        aria-label={label}
        rows={2}
        spellCheck={false}
        placeholder={hint}
        value={value}
        onChange={(event) => onInput(event.target.value)}
      />
    </label>
  );
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
