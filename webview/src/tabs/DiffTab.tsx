import type { StateAt, StateDiff } from '@syncscope/protocol/capture';
import { useQuery } from '../app/query.ts';
import { setTab, update, useApp, useView } from '../app/store.ts';
import { formatCount, formatTime, plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { Button } from '../ui/controls.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { Hash } from '../ui/values.tsx';
import { Differences } from './differences.tsx';
import { type Pair, pairAtSameVersion } from './same-version.ts';
import { Versions } from './Versions.tsx';

const LIMIT = 500;

const setMoment = (position: number | undefined) =>
  update((draft) => {
    draft.view.diffMoment = position;
  });

/** Left against right at the playhead, or the left replica now against itself at another moment. Only what differs. */
export function DiffTab() {
  const left = useView((view) => view.left);
  const right = useView((view) => view.right);
  const playhead = useView((view) => view.playhead);
  const moment = useView((view) => view.diffMoment);
  const sameVersion = useView((view) => view.sameVersion);
  const records = useApp((state) => state.records);
  const isReady = left !== undefined && right !== undefined && playhead >= 0;
  const diff = useQuery(
    ['diff', left, right, playhead, moment, sameVersion],
    async (query, signal) => {
      if (left === undefined || right === undefined) throw new TypeError('a diff needs two replicas');
      const now: StateAt = { replica: left, position: playhead };
      const pair: Pair =
        moment !== undefined
          ? { left: now, right: { replica: left, position: moment } }
          : sameVersion
            ? await pairAtSameVersion(query, left, right, playhead, signal)
            : { left: now, right: { replica: right, position: playhead } };
      return { diff: await query.diff(pair.left, pair.right, LIMIT), pair };
    },
    isReady,
  );
  if (!isReady) {
    return (
      <Empty title="Nothing to compare yet">
        <p>{records === 0 ? 'No record has been captured.' : 'Move the playhead past the first record.'}</p>
      </Empty>
    );
  }
  const names = {
    left: moment === undefined ? left : `${left} at ${formatCount(playhead)}`,
    right: moment === undefined ? right : `${left} at ${formatCount(moment)}`,
  };
  return (
    <div className="diff">
      <div className="actions">
        {moment === undefined ? (
          <Button
            label="Compare with another moment"
            title={`Keeps ${left} as it is here, and compares it with wherever you go next`}
            onPress={() => setMoment(playhead)}
          />
        ) : (
          <Moment moment={moment} />
        )}
      </div>
      <Answer query={diff}>
        {(data) => <Outcome diff={data.diff} pair={data.pair} left={names.left} right={names.right} />}
      </Answer>
    </div>
  );
}

function Moment({ moment }: { readonly moment: number }) {
  const row = useQuery(['moment', moment], async (query) => (await query.record(moment)).row, moment >= 0);
  return (
    <>
      <span className="nowrap">
        against record {row.data ? `${row.data.seq}, ${formatTime(row.data.time)}` : formatCount(moment)}
      </span>
      <Button label="Compare replicas again" onPress={() => setMoment(undefined)} />
    </>
  );
}

interface OutcomeProps {
  readonly diff: StateDiff;
  readonly pair: Pair;
  readonly left: string;
  readonly right: string;
}

function Outcome({ diff, pair, left, right }: OutcomeProps) {
  if (diff.unknown !== undefined) {
    return (
      <Empty title="One of the states is not known here">
        <p>{visible(diff.unknown)}</p>
      </Empty>
    );
  }
  const openKey = (key: string) => {
    update((draft) => {
      draft.view.stateSearch = key;
    });
    setTab('state');
  };
  return (
    <div className="scroll">
      <p className="diff-sides">
        <span className="nowrap">
          {visible(left)} <span className="muted">v{diff.left.version}</span> <Hash hash={diff.left.root} />
        </span>
        <span className={diff.total === 0 ? 'muted' : 'ink-error'} aria-hidden="true">
          {diff.total === 0 ? '=' : '≠'}
        </span>
        <span className="nowrap">
          {visible(right)} <span className="muted">v{diff.right.version}</span> <Hash hash={diff.right.root} />
        </span>
      </p>
      <Versions pair={pair} isEqual={diff.total === 0 || diff.left.version === diff.right.version} />
      {diff.total === 0 ? (
        <Empty title={`No difference in ${plural(diff.equal, 'record')}`} />
      ) : (
        <>
          <p className="diff-count">
            {plural(diff.total, 'record')} {diff.total === 1 ? 'differs' : 'differ'}
          </p>
          <Differences differences={diff.differences} left={left} right={right} onKey={openKey} />
          {diff.total > diff.differences.length && (
            <p className="muted">
              The first {formatCount(diff.differences.length)} of {formatCount(diff.total)} are shown.
            </p>
          )}
          <p className="folded muted">{plural(diff.equal, 'equal record')} folded</p>
        </>
      )}
    </div>
  );
}
