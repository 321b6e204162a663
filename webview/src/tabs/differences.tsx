import type { RecordDifference } from '@syncscope/protocol/capture';
import type { RecordKey } from '@syncscope/protocol/state';
import { plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { ValueText } from '../ui/values.tsx';

export interface DifferencesProps {
  readonly differences: readonly RecordDifference[];
  readonly left: string;
  readonly right: string;
  readonly onKey?: (key: RecordKey) => void;
}

/** Fields that differ, both values side by side. Equal fields are not shown. */
export function Differences({ differences, left, right, onKey }: DifferencesProps) {
  return (
    <table className="differences">
      <thead>
        <tr>
          <th scope="col">field</th>
          <th scope="col">{visible(left)}</th>
          <th scope="col">{visible(right)}</th>
        </tr>
      </thead>
      {differences.map((difference) => (
        <tbody key={difference.key}>
          <tr className="difference-key">
            <th scope="rowgroup" colSpan={3}>
              {onKey ? (
                <button
                  type="button"
                  className="link mono"
                  title="Show it in the state"
                  onClick={() => onKey(difference.key)}
                >
                  {visible(difference.key)}
                </button>
              ) : (
                <span className="mono">{visible(difference.key)}</span>
              )}
              <span className="muted"> {sideWords(difference, left, right)}</span>
            </th>
          </tr>
          {difference.fields.map((field) => (
            <tr key={field.field}>
              <th scope="row" className="mono">
                {visible(field.field)}
              </th>
              <td className="side-left">
                <ValueText value={field.left} />
              </td>
              <td className="side-right">
                <ValueText value={field.right} />
              </td>
            </tr>
          ))}
        </tbody>
      ))}
    </table>
  );
}

function sideWords(difference: RecordDifference, left: string, right: string): string {
  switch (difference.side) {
    case 'left':
      return `only on ${visible(left)}`;
    case 'right':
      return `only on ${visible(right)}`;
    case 'both':
      return plural(difference.fields.length, 'field');
  }
}
