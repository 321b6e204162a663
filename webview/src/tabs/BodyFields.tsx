import type { Change, Value } from '@syncscope/protocol/state';
import type { MutationId, TraceBody, VectorEntries } from '@syncscope/protocol/trace';
import { plural } from '../text/format.ts';
import { visible } from '../text/visible.ts';
import { Hash, ValueText } from '../ui/values.tsx';

const HASH_FIELDS = new Set(['root', 'own', 'reference', 'expected', 'got']);
const SHOWN = 50;

/** What a record says, field by field; changes as what they change. A text that says nothing is left out. */
export function BodyFields({ body }: { readonly body: TraceBody }) {
  const fields = Object.entries(body).filter(([name, value]) => name !== 'kind' && value !== '');
  if (fields.length === 0) return null;
  return (
    <dl className="fields">
      {fields.map(([name, value]) => (
        <div key={name} className="field">
          <dt>{visible(name)}</dt>
          <dd>
            <FieldValue name={name} value={value as unknown} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function FieldValue({ name, value }: { readonly name: string; readonly value: unknown }) {
  if (HASH_FIELDS.has(name) && typeof value === 'string') return <Hash hash={value} />;
  if (name === 'changes' && Array.isArray(value)) return <Changes changes={value as readonly Change[]} />;
  if (name === 'mutation') return <Mutation mutation={value as MutationId} />;
  if (name === 'vector' && Array.isArray(value)) return <Vector vector={value as VectorEntries} />;
  if (name === 'differences' && Array.isArray(value)) return <DifferingKeys differences={value} />;
  if (name === 'records' && Array.isArray(value))
    return <span className="muted">{plural(value.length, 'record')}</span>;
  if (typeof value === 'string' && name !== 'text') return <span className="mono">{visible(value)}</span>;
  return <ValueText value={value as Value} maxLength={400} />;
}

function Mutation({ mutation }: { readonly mutation: MutationId }) {
  return (
    <span className="mono">
      {visible(mutation.writer)}#{mutation.counter}
    </span>
  );
}

function Vector({ vector }: { readonly vector: VectorEntries }) {
  return (
    <span className="mono">{vector.map(({ replica, counter }) => `${visible(replica)}:${counter}`).join('  ')}</span>
  );
}

function DifferingKeys({ differences }: { readonly differences: readonly { readonly key: string }[] }) {
  const keys = differences.slice(0, SHOWN).map(({ key }) => visible(key));
  const rest = differences.length - keys.length;
  return <span className="mono">{keys.join('  ') + (rest > 0 ? `  and ${rest} more` : '')}</span>;
}

/** What was done to which record; the values that it has after. */
export function Changes({ changes }: { readonly changes: readonly Change[] }) {
  return (
    <ul className="changes">
      {changes.slice(0, SHOWN).map((change) => (
        <li key={`${change.op} ${change.key}`}>
          <span className="muted">{change.op}</span> <span className="mono">{visible(change.key)}</span>
          {change.op === 'patch' && (
            <>
              {Object.entries(change.fields).map(([field, after]) => (
                <span key={field} className="change-field">
                  <span className="mono key-name">{visible(field)}</span> <ValueText value={after} />
                </span>
              ))}
              {change.removed.map((field) => (
                <span key={field} className="change-field">
                  <span className="mono key-name">{visible(field)}</span> <ValueText value={undefined} />
                </span>
              ))}
            </>
          )}
          {change.op === 'put' && (
            <span className="change-field">
              <ValueText value={change.record} />
            </span>
          )}
        </li>
      ))}
      {changes.length > SHOWN && <li className="muted">and {changes.length - SHOWN} more</li>}
    </ul>
  );
}
