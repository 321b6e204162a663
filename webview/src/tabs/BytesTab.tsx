// biome-ignore-all lint/a11y/useSemanticElements: items of a virtual list are placed, which <li> cannot be outside of <ul>
import type { RecordDetail, Related } from '@syncscope/protocol/capture';
import { useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useQuery } from '../app/query.ts';
import { useView } from '../app/store.ts';
import { formatBytes, formatCount } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { nudge, type Viewport } from '../ui/scroll.ts';
import { Answer, Empty, FaultView } from '../ui/states.tsx';
import { VirtualList } from '../ui/VirtualList.tsx';
import { bytesPerRow, type FieldRow, fieldAt, flattenFields, printable } from './frame-fields.ts';
import { RecordLink } from './RecordLink.tsx';

/** The frame of the selected record: what it says, and which bytes say it. */
export function BytesTab() {
  const selection = useView((view) => view.selection);
  const playhead = useView((view) => view.playhead);
  const following = useView((view) => view.following);
  const position = selection ?? playhead;
  // The newest record is another one each moment: nobody could read it.
  const isPassing = selection === undefined && following;
  const answer = useQuery(
    ['bytes', position],
    async (query) => {
      const [detail, related] = await Promise.all([query.record(position), query.related(position)]);
      return { detail, related };
    },
    position >= 0 && !isPassing,
  );
  if (position < 0 || isPassing) {
    return (
      <Empty title={isPassing ? 'Following the session' : 'No record is selected'}>
        <p>Select a message in the stream to see its frame.</p>
      </Empty>
    );
  }
  return (
    <Answer query={answer}>
      {({ detail, related }) =>
        detail.record.wire ? (
          <Frame key={detail.position} detail={detail} wire={detail.record.wire} />
        ) : (
          <NoFrame detail={detail} related={related} />
        )
      }
    </Answer>
  );
}

/** Most records are not messages: those that it came from or led to may be. */
function NoFrame({ detail, related }: { readonly detail: RecordDetail; readonly related: Related }) {
  const near = [...related.causes, ...related.effects].slice(0, 8);
  return (
    <Empty title={`A record of kind ${detail.row.kind} has no frame`}>
      <p>Only messages that were sent, received or refused carry bytes.</p>
      {near.length > 0 && (
        <>
          <p>Its causes and effects:</p>
          <ul className="links">
            {near.map((position) => (
              <li key={position}>
                <RecordLink position={position} />
              </li>
            ))}
          </ul>
        </>
      )}
    </Empty>
  );
}

const CHAR_WIDTH = 7.25;

function Frame({ detail, wire }: { readonly detail: RecordDetail; readonly wire: Uint8Array }) {
  const { frame, frameError } = detail;
  const rows = useMemo(() => (frame ? flattenFields(frame) : []), [frame]);
  const [lit, setLit] = useState(-1);
  const [width, hexRef] = useWidth();
  const [hexTop, setHexTop] = useState(0);
  const [hexHeight, setHexHeight] = useState(0);
  const [fieldTop, setFieldTop] = useState(0);
  const [fieldHeight, setFieldHeight] = useState(0);
  const perRow = bytesPerRow(width - 32, CHAR_WIDTH);
  const hexView: Viewport = { count: Math.ceil(wire.length / perRow), height: hexHeight };
  const litField = rows[lit]?.field;

  const lightField = (index: number) => {
    setLit(index);
    const field = rows[index]?.field;
    if (field) setHexTop((now) => nudge(Math.floor(field.offset / perRow), now, hexView));
  };
  const lightByte = (offset: number) => {
    const index = fieldAt(rows, offset);
    setLit(index);
    if (index >= 0) setFieldTop((now) => nudge(index, now, { count: rows.length, height: fieldHeight }));
  };

  return (
    <div className="bytes">
      {frameError && (
        <FaultView
          error={{
            ...frameError,
            place: { ...(frameError.offset === undefined ? {} : { offset: frameError.offset }) },
          }}
        />
      )}
      {rows.length > 0 && (
        <div className="bytes-fields" onPointerLeave={() => setLit(-1)}>
          <VirtualList
            label="Fields of the frame"
            count={rows.length}
            top={fieldTop}
            onTop={setFieldTop}
            onHeight={setFieldHeight}
            renderRow={(index) => (
              <Field key={index} row={rows[index]!} isLit={index === lit} onLight={() => lightField(index)} />
            )}
          />
        </div>
      )}
      <p className="bytes-caption muted number-line">
        {formatBytes(wire.length)}
        {litField &&
          ` · ${visible(litField.name)}: byte ${formatCount(litField.offset)}, ${formatBytes(litField.length)} long`}
      </p>
      <div className="bytes-hex" ref={hexRef} onPointerLeave={() => setLit(-1)}>
        <VirtualList
          label="Bytes of the frame"
          count={hexView.count}
          top={hexTop}
          onTop={setHexTop}
          onHeight={setHexHeight}
          renderRow={(index) => (
            <HexRow
              key={index}
              wire={wire}
              from={index * perRow}
              perRow={perRow}
              litFrom={litField?.offset ?? -1}
              litTo={litField ? litField.offset + litField.length : -1}
              onLight={lightByte}
            />
          )}
        />
      </div>
    </div>
  );
}

function useWidth(): [number, React.RefObject<HTMLDivElement | null>] {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const { current } = element;
    if (!current) return;
    const measure = () => setWidth(current.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    return () => observer.disconnect();
  }, []);
  return [width, element];
}

const INDENT = 12;

function Field({
  row,
  isLit,
  onLight,
}: {
  readonly row: FieldRow;
  readonly isLit: boolean;
  readonly onLight: () => void;
}) {
  const { field, depth } = row;
  return (
    <div
      className={isLit ? 'frame-field lit' : 'frame-field'}
      role="listitem"
      style={{ paddingLeft: 8 + depth * INDENT }}
      onPointerEnter={onLight}
    >
      <span className="key-name mono">{visible(field.name)}</span>
      <span className="mono ellipsis">{visible(field.text)}</span>
      <span className="number muted">{field.offset}</span>
    </div>
  );
}

interface HexRowProps {
  readonly wire: Uint8Array;
  readonly from: number;
  readonly perRow: number;
  readonly litFrom: number;
  readonly litTo: number;
  readonly onLight: (offset: number) => void;
}

function HexRow({ wire, from, perRow, litFrom, litTo, onLight }: HexRowProps) {
  const bytes = [...wire.subarray(from, from + perRow)];
  const lit = (offset: number) => (offset >= litFrom && offset < litTo ? 'lit' : undefined);
  return (
    <div className="hex-row mono" role="listitem">
      <span className="hex-offset muted">{from.toString(16).padStart(6, '0')}</span>
      <span className="hex-bytes" style={{ minWidth: `${perRow * 3}ch` }}>
        {bytes.map((byte, index) => (
          <span key={from + index} className={lit(from + index)} onPointerEnter={() => onLight(from + index)}>
            {byte.toString(16).padStart(2, '0')}
          </span>
        ))}
      </span>
      <span className="hex-text" aria-hidden="true">
        {bytes.map((byte, index) => (
          <span key={from + index} className={lit(from + index)} onPointerEnter={() => onLight(from + index)}>
            {printable(byte)}
          </span>
        ))}
      </span>
    </div>
  );
}
