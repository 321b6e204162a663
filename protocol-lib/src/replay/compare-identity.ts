import type { MutationId, TraceRecord } from '../trace/index.ts';

/** What a record is, whenever and wherever in its capture it stands. */
export function identityOf({ body }: TraceRecord): string {
  switch (body.kind) {
    case 'send':
      return `send ${body.type} ${body.sequence} to ${body.to}`;
    case 'receive':
      return `receive ${body.type} ${body.sequence} of ${body.sender}`;
    case 'commit':
      return `commit ${body.version}${body.mutation ? ` of ${mutationText(body.mutation)}` : ''}`;
    case 'prediction':
    case 'confirmation':
    case 'rollback':
    case 'rejection':
      return `${body.kind} of ${mutationText(body.mutation)}`;
    case 'apply':
    case 'delta':
      return `${body.kind} ${body.from} to ${body.to}`;
    case 'operation':
      return `operation ${body.writer}:${body.counter}`;
    default:
      return 'version' in body ? `${body.kind} at ${body.version}` : body.kind;
  }
}

function mutationText({ writer, counter }: MutationId): string {
  return `${writer}:${counter}`;
}
