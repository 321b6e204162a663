import { Button } from '../ui/controls.tsx';
import { useModal } from '../ui/dialog.ts';
import { KEY_HELP } from './keys.ts';
import { update, useApp } from './store.ts';

const close = () =>
  update((draft) => {
    draft.keysOpen = false;
  });

/** The list that `?` opens. */
export function KeyHelp() {
  const isOpen = useApp((state) => state.keysOpen);
  const dialog = useModal(isOpen);
  return (
    <dialog ref={dialog} className="key-help" aria-label="Keys" onClose={close}>
      <h2>Keys</h2>
      <dl>
        {KEY_HELP.map(([keys, meaning]) => (
          <div key={keys}>
            <dt className="mono">{keys}</dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <Button label="Close" onPress={close} />
    </dialog>
  );
}
