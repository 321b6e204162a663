import { setTab, type TabName, useView } from '../app/store.ts';
import { TabBar } from '../ui/TabBar.tsx';
import { BytesTab } from './BytesTab.tsx';
import { CauseTab } from './CauseTab.tsx';
import { DiffTab } from './DiffTab.tsx';
import { MerkleTab } from './merkle.tsx';
import { PairBar } from './PairBar.tsx';
import { StateTab } from './StateTab.tsx';
import { VectorsTab } from './vectors.tsx';

interface TabEntry {
  readonly name: TabName;
  readonly title: string;
  readonly hint: string;
  /** Whether it is about the two chosen replicas. */
  readonly pair: 'none' | 'left' | 'both';
  readonly View: () => React.ReactNode;
}

const TAB_ENTRIES: readonly TabEntry[] = [
  { name: 'cause', title: 'Cause', hint: 'Why a replica differs, what a record is (1)', pair: 'none', View: CauseTab },
  {
    name: 'state',
    title: 'State',
    hint: 'State of the left replica at the playhead (2)',
    pair: 'left',
    View: StateTab,
  },
  { name: 'diff', title: 'Diff', hint: 'Left against right at the playhead (3)', pair: 'both', View: DiffTab },
  { name: 'vectors', title: 'Vectors', hint: 'Who has seen how much of whom (4)', pair: 'none', View: VectorsTab },
  { name: 'merkle', title: 'Merkle', hint: 'Both Merkle tries as one (5)', pair: 'both', View: MerkleTab },
  { name: 'bytes', title: 'Bytes', hint: 'The frame as hex, decoded (6)', pair: 'none', View: BytesTab },
];

export function InspectorTabs() {
  const chosen = useView((view) => view.tab);
  const entry = TAB_ENTRIES.find((one) => one.name === chosen);
  return (
    <div className="tabs">
      <TabBar label="Inspection" tabs={TAB_ENTRIES} chosen={chosen} onChoose={setTab} />
      {entry && (
        <>
          {entry.pair !== 'none' && <PairBar isLeftOnly={entry.pair === 'left'} />}
          <div className="tab-panel" role="tabpanel" id={`panel-${entry.name}`} aria-labelledby={`tab-${entry.name}`}>
            <entry.View />
          </div>
        </>
      )}
    </div>
  );
}
