import type {
  Confidence,
  Explanation,
  FindingClass,
  RecordDetail,
  Related,
  VerdictClass,
} from '@syncscope/protocol/capture';
import { ask } from '../app/Header.tsx';
import { useHost } from '../app/host-context.ts';
import { useLastDivergence } from '../app/last-divergence.ts';
import { useQuery, useRemote } from '../app/query.ts';
import { goTo, movePlayhead, setPair, setTab, type TabName, update, useApp, useView } from '../app/store.ts';
import { goToVerdict, stepMarker } from '../app/transport.ts';
import { formatBytes, formatTime, plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { lookOfRow } from '../timeline/kinds.ts';
import { Button } from '../ui/controls.tsx';
import { Glyph } from '../ui/Glyph.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { BodyFields } from './BodyFields.tsx';
import { Differences } from './differences.tsx';
import { RecordLink } from './RecordLink.tsx';
import { peerToCompare } from './same-version.ts';

const CLASS_WORDS: Readonly<Record<FindingClass, string>> = {
  lost: 'a message was lost',
  duplicated: 'a message counted twice',
  reordered: 'messages arrived out of order',
  'corrupted-in-transit': 'a message changed on the way',
  'corrupted-at-rest': 'the copy changed behind the protocol’s back',
  'wrong-base': 'a delta was applied to the wrong version',
  'missed-change': 'a change was left out',
  'nondeterministic-reducer': 'the rules give different results each time',
  clock: 'a clock was wrong, and something was decided by it',
  'build-skew': 'two builds have different rules or defaults',
  'codec-fault': 'a frame was encoded or read wrongly',
  'conflict-resolved-differently': 'a conflict was resolved in two ways',
  'split-decision': 'a group decided one version twice, or nearly',
  'not-progressing': 'connected, and does not get on',
  'pending-stuck': 'a mutation is never answered',
  unknown: 'the capture does not show why',
};

const VERDICT_WORDS: Readonly<Record<VerdictClass, string>> = {
  'other-version': 'no divergence: two versions were compared',
  predicted: 'no divergence: the hash is of a predicted state',
  'partial-view': 'no divergence: the replica is shown only a part',
  'refused-delta': 'no divergence: a delta did not fit and was asked for again',
  'missing-or-default': 'no divergence: a missing field and its default',
  ordering: 'no divergence: the same in another order',
  number: 'no divergence: two ways to write one number',
};

const CONFIDENCE_WORDS: Readonly<Record<Confidence, string>> = { high: 'sure', medium: 'likely', low: 'a guess' };

const WRONG_AT_ITS_VERSION: ReadonlySet<FindingClass> = new Set([
  'corrupted-at-rest',
  'corrupted-in-transit',
  'duplicated',
]);

/** Why a replica differs; for any other record, what it is, where it came from and what it led to. */
export function CauseTab() {
  const selection = useView((view) => view.selection);
  const playhead = useView((view) => view.playhead);
  const following = useView((view) => view.following);
  const position = selection ?? playhead;
  // Every new record for a moment each would be no help to anyone.
  const isShown = position >= 0 && (selection !== undefined || !following);
  const answer = useQuery(
    ['cause', position],
    async (query) => {
      const [detail, related, explanation] = await Promise.all([
        query.record(position),
        query.related(position),
        query.explain(position),
      ]);
      return { detail, related, explanation };
    },
    isShown,
  );
  if (position >= 0 && !isShown) return <Following />;
  if (position < 0) return <NothingSelected />;
  return (
    <Answer query={answer}>
      {({ detail, related, explanation }) => (
        <div className="cause scroll">
          {explanation && <Divergence explanation={explanation} position={detail.position} />}
          <RecordFacts detail={detail} isSecond={explanation !== undefined} />
          <Relations related={related} />
        </div>
      )}
    </Answer>
  );
}

function NothingSelected() {
  const remote = useRemote();
  const isEmpty = useApp((state) => state.records === 0);
  return (
    <Empty title="No record is selected">
      {isEmpty ? (
        <p>Nothing has been recorded yet.</p>
      ) : (
        <>
          <p>Select a row or a mark on the timeline to see what it is and why it happened.</p>
          <Button label="Go to the first marker" onPress={() => void stepMarker(remote, 1)} />
        </>
      )}
    </Empty>
  );
}

/** While nothing is selected and the newest record is followed: the last thing that went wrong, if anything did. */
function Following() {
  const remote = useRemote();
  const records = useApp((state) => state.records);
  const isOver = useApp((state) => state.session.state !== 'open');
  const marker = useLastDivergence(records);
  return (
    <Empty title={isOver ? 'At the end of the session' : 'Following the session'}>
      {marker ? (
        <>
          <p>
            Last divergence, at {formatTime(marker.time)}: {visible(marker.text)}
          </p>
          <Button kind="primary" label="Show its cause" onPress={() => void goToVerdict(remote, marker.position)} />
        </>
      ) : (
        <p>No divergence so far. Select a row or a mark to see what it is and why it happened.</p>
      )}
    </Empty>
  );
}

function Divergence({ explanation, position }: { readonly explanation: Explanation; readonly position: number }) {
  const host = useHost();
  const remote = useRemote();
  const { replica, against, differences, evidence, firstDifference, detected, repaired, source } = explanation;
  // In a group without an authority a replica may stand against what it held itself.
  const other = against === replica ? `${replica} before` : against;
  const show = async (tab: TabName) => {
    setPair(replica, await peerToCompare(remote, explanation, detected));
    // Where they are known to differ: before the repair made them equal again.
    movePlayhead(detected);
    update((draft) => {
      // A copy that was changed differs at its own version; one that lacks a delta agrees there, and lacks what came after.
      draft.view.sameVersion = WRONG_AT_ITS_VERSION.has(explanation.class);
      draft.view.diffMoment = undefined;
    });
    setTab(tab);
  };
  const openKey = (key: string) => {
    update((draft) => {
      draft.view.stateSearch = key;
    });
    void ask(() => show('state'));
  };
  return (
    <section className="divergence" aria-label="Divergence">
      <h2 className="sentence">{visible(explanation.sentence)}</h2>
      <p className="class-line">
        {explanation.verdict && <span>{VERDICT_WORDS[explanation.verdict]}</span>}
        {!(explanation.verdict && explanation.class === 'unknown') && (
          <>
            <span className={explanation.verdict ? 'muted' : 'class-word'}>{CLASS_WORDS[explanation.class]}</span>
            <span className="muted">{explanation.class}</span>
          </>
        )}
      </p>
      <p className="muted">
        noticed at {formatTime(explanation.time)}, v{explanation.sinceVersion} · {visible(replica)} against{' '}
        {visible(other)}
      </p>
      {differences.length > 0 && <Differences differences={differences} left={replica} right={other} onKey={openKey} />}
      <div className="actions">
        {firstDifference !== position && (
          <Button kind="primary" label="First difference" onPress={() => goTo(firstDifference)} />
        )}
        {detected !== position && <Button label="Where it was noticed" onPress={() => goTo(detected)} />}
        {repaired !== undefined && repaired !== position && <Button label="Repair" onPress={() => goTo(repaired)} />}
        <Button label="Merkle path" onPress={() => void ask(() => show('merkle'))} />
        <Button label="Diff" onPress={() => void ask(() => show('diff'))} />
        {source && (
          <Button
            label="Source"
            title={`${source.file}:${source.line}`}
            onPress={() => void ask(() => host.openSource(source))}
          />
        )}
      </div>
      {evidence.length > 0 && (
        <>
          <h3>Why this is believed</h3>
          <p>
            {CONFIDENCE_WORDS[explanation.confidence]} <span className="muted">({explanation.confidence})</span>:{' '}
            {visible(explanation.reason)}
          </p>
          <ol className="evidence">
            {evidence.map(({ text, position: shown }) => (
              <li key={`${shown}:${text}`}>
                <span>{visible(text)}</span>
                {shown !== undefined && <RecordLink position={shown} />}
              </li>
            ))}
          </ol>
        </>
      )}
      <h3>What would confirm it</h3>
      <p>{visible(explanation.confirm)}</p>
    </section>
  );
}

function RecordFacts({ detail, isSecond }: { readonly detail: RecordDetail; readonly isSecond: boolean }) {
  const host = useHost();
  const { record, row } = detail;
  const look = lookOfRow(row);
  const { source } = record;
  return (
    <section className="facts" aria-label="Record">
      <h2 className={isSecond ? 'record-title record-title-second' : 'record-title'}>
        <Glyph look={look} /> {visible(row.summary)}
      </h2>
      <p className="muted number-line">
        record {row.seq} · {formatTime(row.time)} · {visible(row.replica)} · {look.label}
        {record.wire && ` · ${formatBytes(record.wire.length)}`}
      </p>
      {record.wire && (
        <p>
          <button type="button" className="link" onClick={() => setTab('bytes')}>
            Show the frame
          </button>
        </p>
      )}
      {source && (
        <p>
          <button
            type="button"
            className="link mono"
            onClick={() =>
              void ask(() => host.openSource(source), host.name === 'browser' ? 'The place was copied.' : undefined)
            }
          >
            {visible(source.file)}:{source.line}
          </button>
        </p>
      )}
      <BodyFields body={record.body} />
    </section>
  );
}

const RELATIONS_SHOWN = 24;

function Relations({ related }: { readonly related: Related }) {
  return (
    <>
      <RelationList title="Caused by" positions={related.causes} none="Nothing recorded made this happen." />
      <RelationList title="Led to" positions={related.effects} none="Nothing recorded followed from this." />
    </>
  );
}

function RelationList(props: { readonly title: string; readonly positions: readonly number[]; readonly none: string }) {
  const { title, positions, none } = props;
  const shown = positions.slice(0, RELATIONS_SHOWN);
  return (
    <section aria-label={title}>
      <h3>
        {title}
        {positions.length > 1 && <span className="muted"> {plural(positions.length, 'record')}</span>}
      </h3>
      {positions.length === 0 && <p className="muted">{none}</p>}
      <ul className="links">
        {shown.map((position) => (
          <li key={position}>
            <RecordLink position={position} />
          </li>
        ))}
      </ul>
      {positions.length > shown.length && <p className="muted">and {positions.length - shown.length} more</p>}
    </section>
  );
}
