import type { ReplicaId } from '@syncscope/protocol/state';
import { useQuery } from '../app/query.ts';
import { getState, setPair, update, useApp, useView } from '../app/store.ts';
import { visible } from '../text/visible.ts';
import { Checkbox, Dropdown, IconButton } from '../ui/controls.tsx';

/** The pair that every view of two replicas is about. */
export function PairBar({ isLeftOnly }: { readonly isLeftOnly: boolean }) {
  const left = useView((view) => view.left);
  const right = useView((view) => view.right);
  const sameVersion = useView((view) => view.sameVersion);
  // Against another moment there is one replica, and no version to agree on.
  const hasVersions = useView((view) => view.tab !== 'diff' || view.diffMoment === undefined);
  const records = useApp((state) => state.records);
  const info = useQuery(['pair'], async (query) => (await query.info()).replicas, true, records);
  const choices = (info.data ?? []).map(({ id, title }) => ({
    value: id,
    label: visible(title && title !== id ? `${id} · ${title}` : id),
  }));
  if (choices.length === 0) return <div className="pair-bar" />;
  const choose = (side: 'left' | 'right') => (id: ReplicaId) => {
    const { view } = getState();
    setPair(side === 'left' ? id : view.left, side === 'right' ? id : view.right);
  };
  return (
    <div className="pair-bar">
      <Dropdown
        label={isLeftOnly ? 'Replica' : 'Left replica'}
        value={left}
        choices={choices}
        onChoose={choose('left')}
      />
      {!isLeftOnly && (
        <>
          <IconButton icon="swap" label="Swap left and right" onPress={() => setPair(right, left)} />
          <Dropdown label="Right replica" value={right} choices={choices} onChoose={choose('right')} />
          {hasVersions && (
            <Checkbox
              label="at one version"
              isOn={sameVersion}
              onToggle={(isOn) =>
                update((draft) => {
                  draft.view.sameVersion = isOn;
                })
              }
            />
          )}
        </>
      )}
    </div>
  );
}
